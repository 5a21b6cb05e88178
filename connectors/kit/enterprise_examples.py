"""Enterprises that show one thing each, fixed by hand: the demonstration's first, which shows something of everything."""

from __future__ import annotations

from datetime import date
from random import Random

from connectors.kit.enterprise import Enterprise, Fact, Overrides
from connectors.kit.enterprise_codes import code_of, registration_number
from connectors.kit.enterprise_facts import (
    add_grades,
    by,
    electricity_of,
    insurance_of,
    penalty_of,
    registration_of,
    subject_of,
    tax_of,
    yrd_env,
)


def make_examples(rng: Random) -> tuple[list[Enterprise], dict[str, str]]:
    """Makes them, and gives their codes by what they show."""
    found: dict[str, Enterprise] = {"demo": _demo()}
    e = found["moved_province"] = _plain("91340104MA0TERT16M", "合肥迁址环保科技有限公司", "zhejiang", rng)
    gone = {**registration_of(e, "anhui", rng), "status": "迁出", "approved": date(2023, 5, 5)}
    e.add("registration", gone, anhui={})
    e.add("subject", subject_of(e), anhui={})
    parent = found["demo"].uscc
    e = found["branch"] = _plain(
        "91320594MA0TERT16D", "上海澄信机械有限公司苏州分公司", "jiangsu", rng, kind="分支机构"
    )
    e.facts[0] = Fact("subject", {**e.facts[0].values, "parent": parent}, e.facts[0].seen)
    found["national"] = _plain("91100000MA0TERT16Q", "中示全国控股有限公司", "shanghai", rng, "jiangsu")
    e = found["old_number_only"] = _plain("91330106MA0TERT16E", "杭州旧号商贸有限公司", "zhejiang", rng)
    e.add("penalty", penalty_of("anhui", 5, 2026, date(2026, 6, 6), 800_000, 2), anhui={})
    e.known_by["anhui"] = "reg_no"
    e = found["name_variant"] = _plain(code_of("91", "310112", "MA2DEM0A"), "上海启辰（集团）有限公司", "shanghai", rng)
    e.add(
        "subject",
        subject_of(e),
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
    e.add("list_entry", yrd_env(2019, "zhejiang", 1), zhejiang={}, shanghai={})
    e.add("list_entry", {**yrd_env(2026, "zhejiang", 2), "code": "SDL_COURT", "name": "失信被执行人", "field": "", "year": None,
                         "basis": "法律法规", **by("zhejiang", "中级人民法院"), "doc_no": "（2026）浙01执88号"},
          zhejiang={}, anhui={})  # fmt: skip
    e.add("judicial", {"case_no": "（2026）浙01执88号", **by("zhejiang", "中级人民法院"), "role": "失信被执行人", "amount_fen": 52_000_000,
                       "filed": date(2026, 3, 1), "performance": "全部未履行", "closed": None}, shanghai={}, anhui={})  # fmt: skip
    found["env_2018"] = _environmental_2018()
    return list(found.values()), {label: e.uscc for label, e in found.items()}


def _plain(uscc: str, name: str, home: str, rng: Random, *seen: str, kind: str = "企业") -> Enterprise:
    e = Enterprise(uscc, name, registration_number(f"{uscc[2:8]}{rng.randrange(10**8):08d}"))
    everywhere: dict[str, Overrides] = {platform: {} for platform in (home, *seen)}
    e.add("subject", subject_of(e, kind), **everywhere)
    e.add("registration", registration_of(e, home, rng), **everywhere)
    return e


def _environmental_2018() -> Enterprise:
    """On the environmental list of 2018, put right since: a good grade, a valid licence. Drawn apart from the crowd."""
    e = _plain(
        code_of("91", "330106", "MA6DEM0E"), "杭州清源化工有限公司", "zhejiang", Random(2018), "shanghai", "anhui"
    )
    e.add("list_entry", yrd_env(2018, "zhejiang", 7), zhejiang={}, shanghai={})
    # Rated before the revision of 2025-12-23, whose labels are not confirmed.
    grade = {"scheme": "浙江环境信用", "period": "2024", **by("zhejiang", "生态环境局"), "grade": "B", "score": "", "published": True,
             "rated": date(2025, 9, 15)}  # fmt: skip
    e.add("evaluation", grade, zhejiang={})
    e.add("licence", {
        "doc_no": "杭环许〔2024〕66号", "doc_name": "排污许可证", **by("zhejiang", "生态环境局"), "kind": "普通",
        "cert_name": "排污许可证", "cert_no": f"{e.uscc}001P", "content": "废水、废气排放", "decided": date(2024, 6, 1),
        "valid_from": date(2024, 6, 1), "valid_to": date(2029, 5, 31), "status": "有效", "is_pollution": True,
    }, zhejiang={})  # fmt: skip
    return e


def _demo() -> Enterprise:
    e = Enterprise("91310115MA0TERT167", "上海澄信机械有限公司", registration_number("31011500000001"))
    e.add("subject", subject_of(e, former=["上海澄心机械有限公司"]), shanghai={}, jiangsu={}, zhejiang={}, anhui={})
    registration = {
        "type": "有限责任公司(自然人投资或控股)", "legal_rep": "测试甲", "capital_fen": 1_000_000_000,
        "paid_fen": 600_000_000, "established": date(2016, 5, 18), "term_from": date(2016, 5, 18), "term_to": None,
        "status": "存续", "address": "上海市浦东新区示例路88号", "scope": "机械零部件加工；金属制品销售",
        "industry": "C3484", **by("shanghai", "市场监督管理局"), "approved": date(2026, 3, 12), "size": "小型",
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
        "doc_no": "沪环许〔2023〕118号", "doc_name": "排污许可证", **by("shanghai", "生态环境局"), "kind": "普通",
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
    penalty = penalty_of("anhui", 12, 2026, date(2026, 5, 8), 200_000)
    e.add(
        "penalty", penalty, anhui={},
        shanghai={"doc_no": penalty["doc_no"].replace("〔", "[").replace("〕", "]"), "fine_fen": 210_000, "content": "罚款2100元"},
        zhejiang={"doc_no": penalty["doc_no"].replace("〔", "（").replace("〕", "）"), "decided": date(2026, 5, 9)},
    )  # fmt: skip
    # Repaired at its recogniser; Jiangsu never heard of the repair.
    repaired = penalty_of("anhui", 77, 2026, date(2026, 2, 3), 1_500_000, 1)
    e.add("penalty", repaired, anhui={"status": "已修复", "status_on": date(2026, 8, 20)}, jiangsu={})
    e.add(
        "honour",
        {"name": "浦东新区诚信示范企业", "level": "市级", "doc_no": "浦信办〔2025〕9号",
         **by("shanghai", "发展和改革委员会"), "awarded": date(2025, 12, 1), "valid_to": date(2027, 11, 30)},
        shanghai={}, zhejiang={},
    )  # fmt: skip
    add_grades(e, ("shanghai", "纳税信用", "2025", "A", ""), ("shanghai", "上海环境信用", "2025", "B", "82"),
            ("jiangsu", "江苏环保信用", "", "蓝", "9"), ("zhejiang", "浙江公共信用", "2025", "良好", "731.5"))  # fmt: skip
    for quarter, vat in (("2025-Q4", 31_250_000), ("2026-Q1", 28_760_000), ("2026-Q2", 33_015_050)):
        e.add("tax", tax_of(quarter, "310000", vat), shanghai={})
    e.add("tax", tax_of("2026-Q2", "320000", 4_120_000), jiangsu={})
    for month in ("2026-07", "2026-08", "2026-09"):
        e.add("social", insurance_of(month, "310000", 86), shanghai={})
        e.add(
            "housing",
            {"month": month, "region": "310000", "members": 84, "paid_fen": 25_200_000, "state": "正常"},
            shanghai={},
        )
        e.add("utility", electricity_of(month, "310000", 48_210), shanghai={})
    e.add("qualification", {"kind": "高新技术企业", "cert_no": "GR202531000123", "count": None,
                            **by("shanghai", "科学技术委员会"), "awarded": date(2025, 11, 20), "valid_to": date(2028, 11, 19)},
          shanghai={}, jiangsu={})  # fmt: skip
    e.add("commitment", {"kind": "证明事项告知承诺", **by("shanghai", "市场监督管理局"), "date": date(2025, 3, 3), "performed": True},
          shanghai={}, zhejiang={})  # fmt: skip
    e.add("trade", {"year": 2025, "region": "310000", "import_fen": 0, "export_fen": 812_000_000}, shanghai={})
    return e
