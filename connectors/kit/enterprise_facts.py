"""Facts of each kind as the sandboxes' world has them, and the words they are made of: all synthetic."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from random import Random
from typing import Any, Final

from connectors.kit.enterprise import Enterprise
from connectors.kit.enterprise_codes import code_of

CITIES: Final = {
    "shanghai": (("310115", "上海市浦东新区"), ("310112", "上海市闵行区"), ("310117", "上海市松江区")),
    "jiangsu": (("320594", "苏州工业园区"), ("320102", "南京市玄武区"), ("320211", "无锡市滨湖区")),
    "zhejiang": (("330106", "杭州市西湖区"), ("330212", "宁波市鄞州区"), ("330782", "义乌市")),
    "anhui": (("340104", "合肥市蜀山区"), ("340202", "芜湖市镜湖区"), ("340181", "巢湖市")),
}
CITY_OF: Final = {"shanghai": "上海", "jiangsu": "苏州", "zhejiang": "杭州", "anhui": "合肥"}
WORDS: Final = "信诚衡岳澄泽明睿恒远宏瑞嘉禾启辰海川云峰"
TRADES: Final = (
    ("机械", "C3484", "机械零部件加工"), ("环保科技", "M7512", "环保技术推广"), ("食品", "C1499", "食品生产"),
    ("纺织", "C1711", "棉纺织加工"), ("化工", "C2661", "化学试剂制造"), ("物流", "G5810", "货物运输代理"),
    ("旅游", "L7291", "旅行社服务"), ("电子", "C3982", "电子电路制造"),
)  # fmt: skip
_PERSONS: Final = ("测试甲", "测试乙", "测试丙", "测试丁", "测试戊")
_VIOLATIONS: Final = (
    ("生态环境", "超标排放水污染物", "《中华人民共和国水污染防治法》第八十三条", "环罚"),
    ("产品质量", "生产不合格产品", "《中华人民共和国产品质量法》第四十九条", "市监罚"),
    ("食品药品", "经营标签不符合规定的食品", "《中华人民共和国食品安全法》第一百二十五条", "食药罚"),
    ("安全生产", "未按规定进行安全培训", "《中华人民共和国安全生产法》第九十七条", "应急罚"),
)
_BODIES: Final = {"环罚": "生态环境局", "市监罚": "市场监督管理局", "食药罚": "市场监督管理局", "应急罚": "应急管理局"}
ENV_SCHEMES: Final = {
    # Shares of the grades as published: Jiangsu 2016, Hangzhou 2017, Anhui 2016; Shanghai's are assumed.
    "jiangsu": ("江苏环保信用", ("绿", "蓝", "黄", "红", "黑"), (414, 498, 94, 40, 18)),
    "zhejiang": ("浙江环境信用", ("A", "B", "C", "D"), (12, 282, 15, 1)),
    "anhui": ("安徽环境信用", ("诚信", "良好", "警示", "不良"), (138, 195, 23, 7)),
    "shanghai": ("上海环境信用", ("A", "B", "C", "D", "E"), (40, 45, 10, 4, 1)),
}


def authority(platform: str, body: str) -> tuple[str, str]:
    """Gives code and name of a city's public body; the code is synthetic and the same for the same name."""
    city = CITY_OF[platform]
    number = sum(ord(c) * (i + 7) for i, c in enumerate(city + body)) % 10**6
    code = code_of("11", CITIES[platform][0][0][:4] + "00", f"00{number:06d}")
    return code, f"{city}市{body}"


def by(platform: str, body: str) -> dict[str, Any]:
    """Gives the values that name a city's public body as the one that acted."""
    code, name = authority(platform, body)
    return {"authority_code": code, "authority_name": name}


def registration_of(enterprise: Enterprise, platform: str, rng: Random) -> dict[str, Any]:
    """Draws a registration in a platform's province."""
    division, place = CITIES[platform][rng.randrange(3)]
    trade = TRADES[rng.randrange(len(TRADES))]
    established = date(2004 + rng.randrange(18), 1 + rng.randrange(12), 1 + rng.randrange(28))
    return {
        "type": "有限责任公司(自然人投资或控股)", "legal_rep": _PERSONS[rng.randrange(5)],
        "capital_fen": (1 + rng.randrange(50)) * 100_000_000, "paid_fen": (1 + rng.randrange(20)) * 50_000_000,
        "established": established, "term_from": established, "term_to": None, "status": "存续",
        "address": f"{place}示例路{1 + rng.randrange(999)}号", "scope": trade[2], "industry": trade[1],
        **by(platform, "市场监督管理局"), "approved": date(2024, 1 + rng.randrange(12), 1 + rng.randrange(28)),
        "size": ("中型", "小型", "微型")[rng.randrange(3)], "employees": 3 + rng.randrange(400), "division": division,
    }  # fmt: skip


def subject_of(enterprise: Enterprise, kind: str = "企业", former: Sequence[str] = ()) -> dict[str, Any]:
    """Gives what identifies an enterprise."""
    return {
        "name": enterprise.name, "former_names": list(former), "kind": kind, "org_code": enterprise.uscc[8:17],
        "reg_no": enterprise.reg_no, "tax_no": "", "parent": "",
    }  # fmt: skip


def penalty_of(platform: str, number: int, year: int, decided: date, fine_fen: int, which: int = 0) -> dict[str, Any]:
    """Gives a fine of 分 by a body of a platform's province; `which` picks the violation."""
    domain, violation, basis, mark = _VIOLATIONS[which]
    city = CITY_OF[platform]
    yuan = fine_fen // 100
    return {
        "doc_no": f"{city[0]}{mark}〔{year}〕{number}号", **by(platform, _BODIES[mark]), "violation": violation,
        "facts": f"经查，当事人存在{violation}的行为。", "basis": basis, "kinds": ["罚款"], "content": f"罚款{yuan}元",
        "fine_fen": fine_fen, "confiscated_fen": 0, "licence_action": "", "decided": decided, "valid_to": None,
        "domain": domain, "severity": "一般" if fine_fen < 10_000_000 else "严重", "publish_start": decided,
        "publish_end": decided + timedelta(days=365), "status": "正常", "status_on": None,
    }  # fmt: skip


def add_grades(e: Enterprise, *grades: tuple[str, str, str, str, str]) -> None:
    """Adds evaluations, each as platform, scheme, period, grade and score."""
    for platform, scheme, period, grade, score in grades:
        e.add(
            "evaluation",
            {"scheme": scheme, "period": period, **by(platform, "税务局" if scheme == "纳税信用" else "生态环境局"),
             "grade": grade, "score": score, "published": True, "rated": date(2026, 4, 15)},
            **{platform: {}},
        )  # fmt: skip


def tax_of(period: str, region: str, vat_fen: int) -> dict[str, Any]:
    """Gives a quarter's taxes, all paid."""
    return {
        "period": period, "region": region, "vat_payable_fen": vat_fen, "vat_paid_fen": vat_fen,
        "cit_payable_fen": vat_fen // 4, "cit_paid_fen": vat_fen // 4, "arrears_fen": 0, "late_fen": 0, "non_normal": False,
    }  # fmt: skip


def insurance_of(month: str, region: str, insured: int) -> dict[str, Any]:
    """Gives a month's social insurance, all paid."""
    return {
        "month": month,
        "region": region,
        "insured": insured,
        "paid_fen": insured * 142_350,
        "arrears_fen": 0,
        "months_unpaid": 0,
    }


def electricity_of(month: str, region: str, usage: int) -> dict[str, Any]:
    """Gives a month's electricity in kWh, all paid."""
    return {"kind": "电", "month": month, "region": region, "usage": usage, "amount_fen": usage * 78, "arrears_fen": 0}


def yrd_env(year: int, platform: str, number: int) -> dict[str, Any]:
    """Gives a year's entry on the regional environmental list, recognised in a platform's province."""
    return {
        "code": "YRD_ENV", "name": "长三角区域生态环境领域企业严重失信名单", "year": year, "version": "2020",
        "basis": "区域合作备忘录", "field": "生态环境", "doc_no": "", **by(platform, "生态环境局"),
        "reason": "环境信用评价最差等级", "listed": date(year, 12, 1) + timedelta(days=number % 28), "due_off": None,
        "removed": None, "removal_reason": "", "persons": ["测试丙"],
    }  # fmt: skip
