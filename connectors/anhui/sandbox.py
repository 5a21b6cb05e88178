"""The simulated Anhui platform: SOAP 1.1 in GB18030, strict about key, signature and clock, odd about everything else."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta, timezone
from typing import Any, Final
from xml.sax.saxutils import escape, unescape

from aiohttp import web

from connectors.kit.sandbox import CLOCK_WINDOW_S, SandboxOf, SimulatedPlatform

CREDENTIALS: Final = {"access_key": "sandbox-anhui", "access_secret": "sandbox-anhui-is-no-secret"}
_CHINA: Final = timezone(timedelta(hours=8))
_DATA_DATE: Final = "2026年10月28日"
_WIDE: Final = {ord(str(n)): chr(0xFF10 + n) for n in range(10)}

Values = Mapping[str, Any]
Row = dict[str, str]


def _day(day: date | None) -> str:
    return "" if day is None else f"{day.year}年{day.month}月{day.day}日"


def _wide(text: str) -> str:
    """This platform writes digits of documents full-width."""
    return text.translate(_WIDE)


def _yuan(fen: int) -> str:
    return f"{fen / 100:,.2f}"


def _subject(v: Values, k: Row) -> Row:
    return {
        **k,
        "zzjgdm": v["org_code"],
        "qymc": v["name"],
        "cym": "；".join(v["former_names"]),
        "ztlb": v["kind"],
        "lsdm": v["parent"],
    }


def _registration(v: Values, k: Row) -> Row:
    return {**k, "qylx": v["type"], "fddbr": v["legal_rep"], "zczb": f"{v['capital_fen'] // 1_000_000}万元人民币",
            "sjzb": f"{v['paid_fen'] // 1_000_000}万元人民币", "clrq": _day(v["established"]), "yyqxs": _day(v["term_from"]),
            "yyqxz": _day(v["term_to"]) or "长期", "djzt": v["status"], "zs": v["address"], "jyfw": v["scope"],
            "industrycogb": v["industry"], "djjg": v["authority_name"], "djjgdm": v["authority_code"], "hzrq": _day(v["approved"]),
            "qygm": v["size"], "cyrs": str(v["employees"])}  # fmt: skip


def _licence(v: Values, k: Row) -> Row:
    return {**k, "XKWSH": v["doc_no"], "XKWSMC": v["doc_name"], "XKJG": v["authority_name"], "XKJGDM": v["authority_code"],
            "XKLB": v["kind"], "XKZS": v["cert_name"], "XKBH": v["cert_no"], "XKNR": v["content"], "JDRQ": _day(v["decided"]),
            "YXQS": _day(v["valid_from"]), "YXQZ": _day(v["valid_to"]) or "长期", "ZT": v["status"]}  # fmt: skip


def _penalty(v: Values, k: Row) -> Row:
    return {**k, "ROWGUID": hashlib.sha256(v["doc_no"].encode()).hexdigest()[:12], "JDSWH": _wide(v["doc_no"]), "XZJG": v["authority_name"],
            "CF_WFXW": v["violation"], "CFSY": v["facts"], "CFYJ": v["basis"], "CFLB1": "、".join(v["kinds"]), "CFJG": _wide(v["content"]),
            "CF_NR_FK": f"{v['fine_fen'] / 1_000_000:.4f}" if v["fine_fen"] else "", "CF_NR_WFFF": "无", "JDRQ": _day(v["decided"]),
            "SXCD": v["severity"], "LY": v["domain"], "CF_ZT": v["status"], "CF_ZTRQ": _day(v["status_on"]),
            "GSQX": _day(v["publish_end"]), "ZXQK": "", "CFMC": ""}  # fmt: skip


def _list_entry(v: Values, k: Row) -> Row:
    return {**k, "mdlx": v["name"], "nd": "" if v["year"] is None else _wide(str(v["year"])), "rdyj": v["basis"], "ly": v["field"],
            "wh": v["doc_no"], "cljg": v["authority_name"], "cljgdm": v["authority_code"], "lrycwfqymdyy": v["reason"],
            "lierrq": _day(v["listed"]), "ycrq": _day(v["removed"]), "zrr": "、".join(v["persons"])}  # fmt: skip


def _abnormal(v: Values, k: Row) -> Row:
    return {
        "lryy": v["reason"],
        "lrrq": _day(v["listed"]),
        "jdjg": v["authority_name"],
        "jdjgdm": v["authority_code"],
        "ycrq": _day(v["removed"]),
    }


def _honour(v: Values, k: Row) -> Row:
    return {"rymc": v["name"], "ryjb": v["level"], "wh": v["doc_no"], "rddw": v["authority_name"], "rddwdm": v["authority_code"],
            "rdrq": _day(v["awarded"]), "yxqz": _day(v["valid_to"])}  # fmt: skip


def _evaluation(v: Values, k: Row) -> Row:
    return {"pjlx": v["scheme"], "pjnd": v["period"], "pjdw": v["authority_name"], "pjdwdm": v["authority_code"], "pjjg": v["grade"],
            "pjfs": v["score"] or "--", "pjrq": _day(v["rated"])}  # fmt: skip


def _tax(v: Values, k: Row) -> Row:
    return {"SSQ": v["period"], "SSQLX": "季", "QHDM": v["region"], "PAYABLE_VAT_AMOUNT": _yuan(v["vat_payable_fen"]),
            "PAID_VAT_AMOUNT": _yuan(v["vat_paid_fen"]), "PAYABLE_INCOMETAX_AMOUNT": _yuan(v["cit_payable_fen"]),
            "PAID_INCOMETAX_AMOUNT": _yuan(v["cit_paid_fen"])}  # fmt: skip


def _judicial(v: Values, k: Row) -> Row:
    return {"AH": v["case_no"], "ZXFY": v["authority_name"], "ZXFYDM": v["authority_code"], "SFLX": v["role"],
            "BDJE": _yuan(v["amount_fen"]), "LARQ": _day(v["filed"]), "LXQK": v["performance"]}  # fmt: skip


def _qualification(v: Values, k: Row) -> Row:
    return {"ZZLX": v["kind"], "ZSBH": v["cert_no"], "RDDW": v["authority_name"], "RDDWDM": v["authority_code"], "RDRQ": _day(v["awarded"]),
            "YXQZ": _day(v["valid_to"])}  # fmt: skip


_TABLES: Final[Mapping[str, tuple[str, Callable[[Values, Row], Row]]]] = {
    "tab00558_zt": ("subject", _subject), "tab00558": ("registration", _registration), "app_frk_xzxk": ("licence", _licence),
    "app_frk_ggxx_xzcf_gb": ("penalty", _penalty), "tab00566": ("list_entry", _list_entry), "tab00565": ("abnormal", _abnormal),
    "tab00901": ("honour", _honour), "tab00910": ("evaluation", _evaluation), "app_rzxd_nsxx": ("tax", _tax),
    "tab00824": ("judicial", _judicial), "app_rzxd_kjyf": ("qualification", _qualification),
}  # fmt: skip


class SimulatedAnhui(SimulatedPlatform):
    """Answers the SOAP operation queryEnterprise."""

    platform = "anhui"

    def routes(self) -> list[web.RouteDef]:
        """Gives the one route."""
        return [web.post("/services/CreditQueryService", self._query)]

    async def _query(self, request: web.Request) -> web.Response:
        for kind, code in (("error_envelope", "-1"), ("maintenance", "-6"), ("token_expired", "-7")):
            if self.faults.take(kind):
                return _result(f'<Result code="{code}" total="0"/>')
        try:
            text = (await request.read()).decode("gb18030")
        except UnicodeDecodeError:
            return _result('<Result code="-4" total="0"/>')
        a = {name: unescape(value) for name, value in re.findall(r"<(\w+)>([^<]*)</\1>", text)}
        code = _refusal(a)
        if code:
            return _result(f'<Result code="{code}" total="0"/>')
        uscc, names = a["code"], [name for name in a["tables"].split(",") if name]
        enterprise = self.world.find(self.platform, uscc)
        if enterprise is None:
            return _result('<Result code="2" total="0"/>')
        if self.faults.take("other_subject"):
            uscc = "91310115MAC0DEM080" if uscc != "91310115MAC0DEM080" else "91310115MA0TERT167"
        known_by_number = enterprise.known_by[self.platform] == "reg_no"
        keys = {"uniscid": "" if known_by_number else uscc, "zch": enterprise.reg_no}
        rows = [
            (name, render(values, keys))
            for name in names
            for kind, render in [_TABLES[name]]
            for values in enterprise.at(self.platform, kind)
        ]
        size, page = int(a["pageSize"]), int(a["pageNo"])
        part = rows[(page - 1) * size : page * size]
        tables = "".join(
            f'<rows table="{name}">' + "".join(_row(row) for table, row in part if table == name) + "</rows>"
            for name in names
        )
        head = f'<Result code="1" total="{len(rows)}" uniscid="{keys["uniscid"]}" sjrq="{_DATA_DATE}">'
        charset = "utf-8" if self.faults.take("charset") else "gb18030"
        return _result(f"{head}{tables}</Result>", charset=charset)


def _refusal(a: Mapping[str, str]) -> str:
    needed = ("accessKey", "timestamp", "sign", "code", "tables", "pageNo", "pageSize")
    if any(name not in a for name in needed):
        return "-4"
    if a["accessKey"] != CREDENTIALS["access_key"]:
        return "-2"
    try:
        moment = datetime.strptime(a["timestamp"], "%Y%m%d%H%M%S").replace(tzinfo=_CHINA)
    except ValueError:
        return "-3"
    if abs((moment - datetime.now(_CHINA)).total_seconds()) > CLOCK_WINDOW_S:
        return "-3"
    plain = a["accessKey"] + a["code"] + a["timestamp"] + CREDENTIALS["access_secret"]
    if hashlib.md5(plain.encode()).hexdigest().upper() != a["sign"]:
        return "-2"
    is_sound = (
        a["pageNo"].isdigit() and a["pageSize"].isdigit() and int(a["pageNo"]) >= 1 and 1 <= int(a["pageSize"]) <= 100
    )
    return "" if is_sound and all(name in _TABLES for name in a["tables"].split(",")) else "-4"


def _row(row: Row) -> str:
    return "<row>" + "".join(f"<{key}>{escape(value)}</{key}>" for key, value in row.items()) + "</row>"


def _result(inner: str, *, charset: str = "gb18030") -> web.Response:
    document = f'<?xml version="1.0" encoding="GB18030"?>{inner}'
    envelope = (
        '<?xml version="1.0" encoding="GB18030"?>'
        '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>'
        '<ns1:queryEnterpriseResponse xmlns:ns1="http://service.credit.sandbox.invalid/">'
        f"<queryEnterpriseReturn><![CDATA[{document}]]></queryEnterpriseReturn>"
        "</ns1:queryEnterpriseResponse></soapenv:Body></soapenv:Envelope>"
    )
    return web.Response(body=envelope.encode(charset), headers={"Content-Type": "text/xml; charset=GB18030"})


sandbox = SandboxOf(SimulatedAnhui, CREDENTIALS)
