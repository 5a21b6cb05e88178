"""The common world of raw enterprise facts that the four sandboxes render, each in its own units, names and gaps.

All enterprises are synthetic. The world depends on (count, seed, today) only and imports nothing of the gateway: the codes
here are made by code of their own, so that sandbox and connector cannot share a mistake.

A `Fact` is what is true, with neutral keys (dates, amounts in 分, Chinese labels), and `seen` says which platform holds it
and how its copy deviates: an older amount, another style of bracket, a status that was never updated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import lru_cache
from random import Random
from typing import Any, Final

PLATFORMS: Final = ("shanghai", "jiangsu", "zhejiang", "anhui")
PROVINCE: Final = {"shanghai": "31", "jiangsu": "32", "zhejiang": "33", "anhui": "34"}
DEFAULT_COUNT: Final = 1_000
DEFAULT_SEED: Final = 20_260_401
TODAY: Final = date(2026, 11, 1)

Overrides = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact of one kind, and who holds it with which deviations."""

    kind: str
    values: Mapping[str, Any]
    seen: Mapping[str, Overrides]

    def at(self, platform: str) -> dict[str, Any] | None:
        """Gives the fact as a platform holds it, None when it does not."""
        overrides = self.seen.get(platform)
        return None if overrides is None else {**self.values, **overrides}


@dataclass(slots=True)
class Enterprise:
    """One synthetic enterprise; `known_by` maps a platform to the key it knows the firm by, "uscc" or "reg_no"."""

    uscc: str
    name: str
    reg_no: str
    facts: list[Fact] = field(default_factory=list)
    known_by: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, values: Mapping[str, Any], **seen: Overrides) -> None:
        """Adds a fact; platforms are named by keyword, with their deviations."""
        self.facts.append(Fact(kind, values, seen))
        for platform in seen:
            self.known_by.setdefault(platform, "uscc")

    def repair(self, platform: str, kind: str, on: date) -> int:
        """Repairs what a platform holds of a kind, penalties or list entries; gives how many facts that were."""
        told = {
            "list_entry": {"removed": on, "removal_reason": "信用修复"},
            "penalty": {"status": "已修复", "status_on": on},
        }[kind]
        count = 0
        for place, fact in enumerate(self.facts):
            held = fact.seen.get(platform)
            if fact.kind == kind and held is not None:
                self.facts[place] = Fact(kind, fact.values, {**fact.seen, platform: {**held, **told}})
                count += 1
        return count

    def at(self, platform: str, kind: str) -> list[dict[str, Any]]:
        """Gives the facts of one kind as a platform holds them."""
        held = (fact.at(platform) for fact in self.facts if fact.kind == kind)
        return [values for values in held if values is not None]


@dataclass(frozen=True, slots=True)
class World:
    """All enterprises, by code; `examples` names those that show one thing each."""

    enterprises: Mapping[str, Enterprise]
    examples: Mapping[str, str]

    def find(self, platform: str, uscc: str) -> Enterprise | None:
        """Gives the enterprise if the platform knows it."""
        enterprise = self.enterprises.get(uscc)
        return enterprise if enterprise is not None and platform in enterprise.known_by else None


# --- codes ------------------------------------------------------------------------------------------------------------

_ALPHABET: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"


def code_of(prefix: str, division: str, organisation8: str) -> str:
    """Makes a valid 18-character code from its first two characters, division and the organisation's first eight."""
    weights = (3, 7, 9, 10, 5, 8, 4, 2)
    inner = 11 - sum(int(c, 36) * w for c, w in zip(organisation8, weights, strict=True)) % 11
    first17 = prefix + division + organisation8 + ("X" if inner == 10 else "0" if inner == 11 else str(inner))
    total, weight = 0, 1
    for character in first17:
        total += _ALPHABET.index(character) * weight
        weight = weight * 3 % 31
    return first17 + _ALPHABET[-total % 31]


def registration_number(first14: str) -> str:
    """Makes a valid 15-digit registration number."""
    product = 10
    for digit in first14:
        product = (product + int(digit)) % 10 or 10
        product = product * 2 % 11
    return first14 + str((11 - product) % 10)


# --- vocabulary -------------------------------------------------------------------------------------------------------

CITIES: Final = {
    "shanghai": (("310115", "上海市浦东新区"), ("310112", "上海市闵行区"), ("310117", "上海市松江区")),
    "jiangsu": (("320594", "苏州工业园区"), ("320102", "南京市玄武区"), ("320211", "无锡市滨湖区")),
    "zhejiang": (("330106", "杭州市西湖区"), ("330212", "宁波市鄞州区"), ("330782", "义乌市")),
    "anhui": (("340104", "合肥市蜀山区"), ("340202", "芜湖市镜湖区"), ("340181", "巢湖市")),
}
_PROVINCE_NAME: Final = {"shanghai": "上海市", "jiangsu": "江苏省", "zhejiang": "浙江省", "anhui": "安徽省"}
_CITY_OF: Final = {"shanghai": "上海", "jiangsu": "苏州", "zhejiang": "杭州", "anhui": "合肥"}
_WORDS: Final = "信诚衡岳澄泽明睿恒远宏瑞嘉禾启辰海川云峰".strip()
_TRADES: Final = (
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
_ENV_SCHEMES: Final = {
    # Shares of the grades as published: Jiangsu 2016, Hangzhou 2017, Anhui 2016; Shanghai's are assumed.
    "jiangsu": ("江苏环保信用", ("绿", "蓝", "黄", "红", "黑"), (414, 498, 94, 40, 18)),
    "zhejiang": ("浙江环境信用", ("A", "B", "C", "D"), (12, 282, 15, 1)),
    "anhui": ("安徽环境信用", ("诚信", "良好", "警示", "不良"), (138, 195, 23, 7)),
    "shanghai": ("上海环境信用", ("A", "B", "C", "D", "E"), (40, 45, 10, 4, 1)),
}


def authority(platform: str, body: str) -> tuple[str, str]:
    """Gives code and name of a city's public body; the code is synthetic and the same for the same name."""
    city = _CITY_OF[platform]
    number = sum(ord(c) * (i + 7) for i, c in enumerate(city + body)) % 10**6
    code = code_of("11", CITIES[platform][0][0][:4] + "00", f"00{number:06d}")
    return code, f"{city}市{body}"


def _by(platform: str, body: str) -> dict[str, Any]:
    code, name = authority(platform, body)
    return {"authority_code": code, "authority_name": name}


# --- the demo enterprise: one thing of everything, fixed by hand ------------------------------------------------------


def _registration(enterprise: Enterprise, platform: str, rng: Random) -> dict[str, Any]:
    division, place = CITIES[platform][rng.randrange(3)]
    trade = _TRADES[rng.randrange(len(_TRADES))]
    established = date(2004 + rng.randrange(18), 1 + rng.randrange(12), 1 + rng.randrange(28))
    return {
        "type": "有限责任公司(自然人投资或控股)", "legal_rep": _PERSONS[rng.randrange(5)],
        "capital_fen": (1 + rng.randrange(50)) * 100_000_000, "paid_fen": (1 + rng.randrange(20)) * 50_000_000,
        "established": established, "term_from": established, "term_to": None, "status": "存续",
        "address": f"{place}示例路{1 + rng.randrange(999)}号", "scope": trade[2], "industry": trade[1],
        **_by(platform, "市场监督管理局"), "approved": date(2024, 1 + rng.randrange(12), 1 + rng.randrange(28)),
        "size": ("中型", "小型", "微型")[rng.randrange(3)], "employees": 3 + rng.randrange(400), "division": division,
    }  # fmt: skip


def _subject(enterprise: Enterprise, kind: str = "企业", former: Sequence[str] = ()) -> dict[str, Any]:
    return {
        "name": enterprise.name, "former_names": list(former), "kind": kind, "org_code": enterprise.uscc[8:17],
        "reg_no": enterprise.reg_no, "tax_no": "", "parent": "",
    }  # fmt: skip


def _penalty(platform: str, number: int, year: int, decided: date, fine_fen: int, which: int = 0) -> dict[str, Any]:
    domain, violation, basis, mark = _VIOLATIONS[which]
    city = _CITY_OF[platform]
    yuan = fine_fen // 100
    return {
        "doc_no": f"{city[0]}{mark}〔{year}〕{number}号", **_by(platform, _BODIES[mark]), "violation": violation,
        "facts": f"经查，当事人存在{violation}的行为。", "basis": basis, "kinds": ["罚款"], "content": f"罚款{yuan}元",
        "fine_fen": fine_fen, "confiscated_fen": 0, "licence_action": "", "decided": decided, "valid_to": None,
        "domain": domain, "severity": "一般" if fine_fen < 10_000_000 else "严重", "publish_start": decided,
        "publish_end": decided + timedelta(days=365), "status": "正常", "status_on": None,
    }  # fmt: skip


def _demo() -> Enterprise:
    e = Enterprise("91310115MA0TERT167", "上海澄信机械有限公司", registration_number("31011500000001"))
    e.add("subject", _subject(e, former=["上海澄心机械有限公司"]), shanghai={}, jiangsu={}, zhejiang={}, anhui={})
    registration = {
        "type": "有限责任公司(自然人投资或控股)", "legal_rep": "测试甲", "capital_fen": 1_000_000_000,
        "paid_fen": 600_000_000, "established": date(2016, 5, 18), "term_from": date(2016, 5, 18), "term_to": None,
        "status": "存续", "address": "上海市浦东新区示例路88号", "scope": "机械零部件加工；金属制品销售",
        "industry": "C3484", **_by("shanghai", "市场监督管理局"), "approved": date(2026, 3, 12), "size": "小型",
        "employees": 86,
    }  # fmt: skip
    old = {
        "capital_fen": 500_000_000,
        "legal_rep": "测试乙",
        "address": "上海市浦东新区旧址路1号",
        "approved": date(2021, 7, 1),
    }
    e.add("registration", registration, shanghai={}, zhejiang=old, jiangsu={"employees": 90})
    for name, kind, ratio in (("测试甲", "自然人股东", 6_000), ("上海示例投资有限公司", "法人股东", 4_000)):
        e.add(
            "holder",
            {"name": name, "kind": kind, "uscc": code_of("91", "310115", "MA1DEM01") if kind == "法人股东" else "",
             "subscribed_fen": ratio * 100_000, "paid_fen": ratio * 60_000, "ratio_bp": ratio, "position": ""},
            shanghai={}, zhejiang={},
        )  # fmt: skip
    licence = {
        "doc_no": "沪环许〔2023〕118号", "doc_name": "排污许可证", **_by("shanghai", "生态环境局"), "kind": "普通",
        "cert_name": "排污许可证", "cert_no": "91310115MA0TERT167001Q", "content": "废水、废气排放",
        "decided": date(2023, 6, 1), "valid_from": date(2023, 6, 1), "valid_to": date(2028, 5, 31), "status": "有效",
        "is_pollution": True,
    }  # fmt: skip
    e.add(
        "licence",
        licence,
        shanghai={},
        jiangsu={"doc_no": "沪环许[2023]118号"},
        zhejiang={"doc_no": "沪环许（2023）118号"},
    )
    # The penalty three platforms know: an Anhui event, with other brackets, amounts and dates elsewhere.
    penalty = _penalty("anhui", 12, 2026, date(2026, 5, 8), 200_000)
    e.add(
        "penalty", penalty, anhui={},
        shanghai={"doc_no": penalty["doc_no"].replace("〔", "[").replace("〕", "]"), "fine_fen": 210_000, "content": "罚款2100元"},
        zhejiang={"doc_no": penalty["doc_no"].replace("〔", "（").replace("〕", "）"), "decided": date(2026, 5, 9)},
    )  # fmt: skip
    # Repaired at its recogniser; Jiangsu never heard of the repair.
    repaired = _penalty("anhui", 77, 2026, date(2026, 2, 3), 1_500_000, 1)
    e.add("penalty", repaired, anhui={"status": "已修复", "status_on": date(2026, 8, 20)}, jiangsu={})
    e.add(
        "honour",
        {"name": "浦东新区诚信示范企业", "level": "市级", "doc_no": "浦信办〔2025〕9号",
         **_by("shanghai", "发展和改革委员会"), "awarded": date(2025, 12, 1), "valid_to": date(2027, 11, 30)},
        shanghai={}, zhejiang={},
    )  # fmt: skip
    _grades(e, ("shanghai", "纳税信用", "2025", "A", ""), ("shanghai", "上海环境信用", "2025", "B", "82"),
            ("jiangsu", "江苏环保信用", "", "蓝", "9"), ("zhejiang", "浙江公共信用", "2025", "良好", "731.5"))  # fmt: skip
    for quarter, vat in (("2025-Q4", 31_250_000), ("2026-Q1", 28_760_000), ("2026-Q2", 33_015_050)):
        e.add("tax", _tax(quarter, "310000", vat), shanghai={})
    e.add("tax", _tax("2026-Q2", "320000", 4_120_000), jiangsu={})
    for month in ("2026-07", "2026-08", "2026-09"):
        e.add("social", _social(month, "310000", 86), shanghai={})
        e.add(
            "housing",
            {"month": month, "region": "310000", "members": 84, "paid_fen": 25_200_000, "state": "正常"},
            shanghai={},
        )
        e.add("utility", _utility(month, "310000", 48_210), shanghai={})
    e.add("qualification", {"kind": "高新技术企业", "cert_no": "GR202531000123", "count": None,
                            **_by("shanghai", "科学技术委员会"), "awarded": date(2025, 11, 20), "valid_to": date(2028, 11, 19)},
          shanghai={}, jiangsu={})  # fmt: skip
    e.add("commitment", {"kind": "证明事项告知承诺", **_by("shanghai", "市场监督管理局"), "date": date(2025, 3, 3), "performed": True},
          shanghai={}, zhejiang={})  # fmt: skip
    e.add("trade", {"year": 2025, "region": "310000", "import_fen": 0, "export_fen": 812_000_000}, shanghai={})
    return e


def _grades(e: Enterprise, *grades: tuple[str, str, str, str, str]) -> None:
    for platform, scheme, period, grade, score in grades:
        e.add(
            "evaluation",
            {"scheme": scheme, "period": period, **_by(platform, "税务局" if scheme == "纳税信用" else "生态环境局"),
             "grade": grade, "score": score, "published": True, "rated": date(2026, 4, 15)},
            **{platform: {}},
        )  # fmt: skip


def _tax(period: str, region: str, vat_fen: int) -> dict[str, Any]:
    return {"period": period, "region": region, "vat_payable_fen": vat_fen, "vat_paid_fen": vat_fen, "cit_payable_fen": vat_fen // 4,
            "cit_paid_fen": vat_fen // 4, "arrears_fen": 0, "late_fen": 0, "non_normal": False}  # fmt: skip


def _social(month: str, region: str, insured: int) -> dict[str, Any]:
    return {
        "month": month,
        "region": region,
        "insured": insured,
        "paid_fen": insured * 142_350,
        "arrears_fen": 0,
        "months_unpaid": 0,
    }


def _utility(month: str, region: str, usage: int) -> dict[str, Any]:
    return {"kind": "电", "month": month, "region": region, "usage": usage, "amount_fen": usage * 78, "arrears_fen": 0}


# --- enterprises that show one thing each -----------------------------------------------------------------------------


def _plain(uscc: str, name: str, home: str, rng: Random, *seen: str, kind: str = "企业") -> Enterprise:
    e = Enterprise(uscc, name, registration_number(f"{uscc[2:8]}{rng.randrange(10**8):08d}"))
    everywhere: dict[str, Overrides] = {platform: {} for platform in (home, *seen)}
    e.add("subject", _subject(e, kind), **everywhere)
    e.add("registration", _registration(e, home, rng), **everywhere)
    return e


def _examples(rng: Random) -> tuple[list[Enterprise], dict[str, str]]:
    found: dict[str, Enterprise] = {"demo": _demo()}
    e = found["moved_province"] = _plain("91340104MA0TERT16M", "合肥迁址环保科技有限公司", "zhejiang", rng)
    gone = {**_registration(e, "anhui", rng), "status": "迁出", "approved": date(2023, 5, 5)}
    e.add("registration", gone, anhui={})
    e.add("subject", _subject(e), anhui={})
    parent = found["demo"].uscc
    e = found["branch"] = _plain(
        "91320594MA0TERT16D", "上海澄信机械有限公司苏州分公司", "jiangsu", rng, kind="分支机构"
    )
    e.facts[0] = Fact("subject", {**e.facts[0].values, "parent": parent}, e.facts[0].seen)
    found["national"] = _plain("91100000MA0TERT16Q", "中示全国控股有限公司", "shanghai", rng, "jiangsu")
    e = found["old_number_only"] = _plain("91330106MA0TERT16E", "杭州旧号商贸有限公司", "zhejiang", rng)
    e.add("penalty", _penalty("anhui", 5, 2026, date(2026, 6, 6), 800_000, 2), anhui={})
    e.known_by["anhui"] = "reg_no"
    e = found["name_variant"] = _plain(code_of("91", "310112", "MA2DEM0A"), "上海启辰（集团）有限公司", "shanghai", rng)
    e.add(
        "subject",
        _subject(e),
        zhejiang={"name": "上海启辰(集团)有限公司"},
        anhui={"name": "上海启辰（集团）有限公司　"},
    )
    found["wrap_zero"] = _plain("91310115MAC0DEM080", "上海零尾电子有限公司", "shanghai", rng)
    found["individual_business"] = _plain(
        "92330782MA0TERT16C", "义乌市示例五金商行", "zhejiang", rng, kind="个体工商户"
    )
    found["cooperative"] = _plain("93340100MA0TERT16M", "合肥示例农业专业合作社", "anhui", rng, kind="农民专业合作社")
    found["clean"] = _plain(
        code_of("91", "320102", "MA3DEM0B"), "南京清白电子有限公司", "jiangsu", rng, "shanghai", "zhejiang", "anhui"
    )
    found["rare_characters"] = _plain(
        code_of("91", "340202", "MA4DEM0C"), "芜湖䶮泽〔示例〕食品有限公司", "anhui", rng, "shanghai"
    )
    e = found["listed"] = _plain(
        code_of("91", "330106", "MA5DEM0D"), "杭州失信化工有限公司", "zhejiang", rng, "shanghai"
    )
    e.add("list_entry", _yrd_env(2019, "zhejiang", 1), zhejiang={}, shanghai={})
    e.add("list_entry", {**_yrd_env(2026, "zhejiang", 2), "code": "SDL_COURT", "name": "失信被执行人", "field": "", "year": None,
                         "basis": "法律法规", **_by("zhejiang", "中级人民法院"), "doc_no": "（2026）浙01执88号"},
          zhejiang={}, anhui={})  # fmt: skip
    e.add("judicial", {"case_no": "（2026）浙01执88号", **_by("zhejiang", "中级人民法院"), "role": "失信被执行人", "amount_fen": 52_000_000,
                       "filed": date(2026, 3, 1), "performance": "全部未履行", "closed": None}, shanghai={}, anhui={})  # fmt: skip
    found["env_2018"] = _environmental_2018()
    return list(found.values()), {label: e.uscc for label, e in found.items()}


def _environmental_2018() -> Enterprise:
    """On the environmental list of 2018, put right since: a good grade, a valid licence. Drawn apart from the crowd."""
    e = _plain(
        code_of("91", "330106", "MA6DEM0E"), "杭州清源化工有限公司", "zhejiang", Random(2018), "shanghai", "anhui"
    )
    e.add("list_entry", _yrd_env(2018, "zhejiang", 7), zhejiang={}, shanghai={})
    # Rated before the revision of 2025-12-23, whose labels are not confirmed.
    grade = {"scheme": "浙江环境信用", "period": "2024", **_by("zhejiang", "生态环境局"), "grade": "B", "score": "", "published": True,
             "rated": date(2025, 9, 15)}  # fmt: skip
    e.add("evaluation", grade, zhejiang={})
    e.add("licence", {
        "doc_no": "杭环许〔2024〕66号", "doc_name": "排污许可证", **_by("zhejiang", "生态环境局"), "kind": "普通",
        "cert_name": "排污许可证", "cert_no": f"{e.uscc}001P", "content": "废水、废气排放", "decided": date(2024, 6, 1),
        "valid_from": date(2024, 6, 1), "valid_to": date(2029, 5, 31), "status": "有效", "is_pollution": True,
    }, zhejiang={})  # fmt: skip
    return e


def _yrd_env(year: int, platform: str, number: int) -> dict[str, Any]:
    return {
        "code": "YRD_ENV", "name": "长三角区域生态环境领域企业严重失信名单", "year": year, "version": "2020",
        "basis": "区域合作备忘录", "field": "生态环境", "doc_no": "", **_by(platform, "生态环境局"),
        "reason": "环境信用评价最差等级", "listed": date(year, 12, 1) + timedelta(days=number % 28), "due_off": None,
        "removed": None, "removal_reason": "", "persons": ["测试丙"],
    }  # fmt: skip


# --- the crowd --------------------------------------------------------------------------------------------------------

# How many rows of the regional environmental list each year had, and from where (Jiangsu shared none).
_LIST_2017_TO_2019: Final = (
    *((2017, "zhejiang"),) * 40, *((2017, "anhui"),) * 39, *((2017, "shanghai"),) * 20,
    *((2018, "zhejiang"),) * 35, *((2018, "shanghai"),) * 20, *((2019, "zhejiang"),) * 3,
)  # fmt: skip


def _others(home: str, rng: Random, share: float) -> dict[str, Overrides]:
    return {home: {}, **{p: {} for p in PLATFORMS if p != home and rng.random() < share}}


def _random_enterprise(number: int, rng: Random) -> Enterprise:
    home = PLATFORMS[number % 4]
    division, place = CITIES[home][rng.randrange(3)]
    letters = "".join(_ALPHABET[rng.randrange(31)] for _ in range(2))
    uscc = code_of("91", division, f"MA{number % 10_000:04d}{letters}")
    word = _WORDS[rng.randrange(len(_WORDS))] + _WORDS[rng.randrange(len(_WORDS))]
    trade = _TRADES[rng.randrange(len(_TRADES))][0]
    e = Enterprise(uscc, f"{place[:2]}{word}{trade}有限公司", registration_number(f"{division}{number:08d}"))
    copies = _others(home, rng, 0.3)
    e.add("subject", _subject(e), **copies)
    registration = _registration(e, home, rng)
    stale = {"capital_fen": registration["capital_fen"] // 2, "approved": date(2020, 6, 30)}
    e.add("registration", registration, **{p: ({} if p == home or rng.random() < 0.8 else stale) for p in copies})
    if rng.random() < 0.12:
        where = home if rng.random() < 0.7 else PLATFORMS[rng.randrange(4)]
        decided = TODAY - timedelta(days=rng.randrange(30, 700))
        fine = (1 + rng.randrange(30)) * 100_000
        penalty = _penalty(where, 1 + number % 900, decided.year, decided, fine, rng.randrange(4))
        seen = _others(where, rng, 0.5)
        if rng.random() < 0.15:
            seen[where] = {"status": "已修复", "status_on": decided + timedelta(days=100)}
        e.add("penalty", penalty, **seen)
    if rng.random() < 0.4:
        decided = date(2022 + rng.randrange(4), 1 + rng.randrange(12), 1 + rng.randrange(28))
        e.add("licence", {
            "doc_no": f"{_CITY_OF[home][0]}许〔{decided.year}〕{number}号", "doc_name": "准予许可决定书", **_by(home, "行政审批局"),
            "kind": "普通", "cert_name": "许可证", "cert_no": f"XK{number:08d}", "content": "准予许可", "decided": decided,
            "valid_from": decided, "valid_to": date(decided.year + 5, 1, 1), "status": "有效", "is_pollution": rng.random() < 0.2,
        }, **_others(home, rng, 0.4))  # fmt: skip
    if rng.random() < 0.5:
        scheme, labels, shares = _ENV_SCHEMES[home]
        _grades(e, (home, scheme, "2025" if home != "jiangsu" else "", rng.choices(labels, shares)[0], ""))
    if rng.random() < 0.6:
        _grades(e, (home, "纳税信用", "2025", rng.choices("ABMCD", (10, 40, 40, 7, 3))[0], ""))
    region = PROVINCE[home] + "0000"
    for quarter in ("2026-Q1", "2026-Q2"):
        e.add("tax", _tax(quarter, region, rng.randrange(10**7)), **{home: {}})
    e.add("social", _social("2026-09", region, 1 + rng.randrange(200)), **{home: {}})
    if rng.random() < 0.05:
        e.add("abnormal", {"reason": "未按规定公示年度报告", "listed": date(2026, 7, 8), **_by(home, "市场监督管理局"),
                           "removed": date(2026, 9, 1) if rng.random() < 0.5 else None, "removal_reason": ""},
              **_others(home, rng, 0.3))  # fmt: skip
    return e


def make_world(count: int = DEFAULT_COUNT, seed: int = DEFAULT_SEED) -> World:
    """Makes the world: the examples first, then a crowd, `count` enterprises in all; whoever changes it changes their own."""
    drawn = _drawn(count, seed)
    own = {uscc: replace(e, facts=list(e.facts), known_by=dict(e.known_by)) for uscc, e in drawn.enterprises.items()}
    return World(own, drawn.examples)


@lru_cache(maxsize=2)
def _drawn(count: int, seed: int) -> World:
    """Draws the world once for all the platforms that one process simulates."""
    rng = Random(seed)
    made, examples = _examples(rng)
    crowd = [_random_enterprise(number, rng) for number in range(max(0, count - len(made)))]
    for number, (year, platform) in enumerate(_listed(len(crowd))):
        e = crowd[number * 5 % len(crowd)]
        e.add("list_entry", _yrd_env(year, platform, number), **{platform: {}})
    return World({e.uscc: e for e in (*made, *crowd)}, examples)


def _listed(crowd: int) -> Iterable[tuple[int, str]]:
    """Gives the 157 rows of the regional list, fewer for a small world."""
    step = max(1, 1_000 // max(crowd, 1))
    return _LIST_2017_TO_2019[::step] if crowd else ()
