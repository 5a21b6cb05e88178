"""The simulated Zhejiang platform: two stages of secrets that run out, form POST, HTTP 200 for everything."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final

from aiohttp import web

from connectors.kit.sandbox import CLOCK_WINDOW_S, SandboxOf, SimulatedPlatform

CREDENTIALS: Final = {"app_key": "A330000000000000000000001", "app_secret": "sandbox-zhejiang-is-no-secret"}
_REFRESH_S: Final = 48 * 3600
_REQUEST_S: Final = 15 * 60
_DATA_DATE: Final = "2026-10-30"
_STATUS: Final = {"正常": "0", "撤销": "1", "异议": "2", "已修复": "4"}
_LEVELS: Final = {"国家级": "1", "省级": "2", "市级": "3"}
_SIZES: Final = {"大型": "L", "中型": "M", "小型": "S", "微型": "XS"}
_KINDS: Final = {"企业": "企业法人"}

Values = Mapping[str, Any]


def _wan(fen: int | None) -> str:
    """Amounts go out in 万元 as decimal texts without trailing zeros."""
    return "" if fen is None else f"{(Decimal(fen) / 1_000_000).normalize():f}"


def _day(day: date | None) -> str:
    return "" if day is None else day.strftime("%Y-%m-%d")


def _subject(v: Values, uscc: str) -> dict[str, Any]:
    return {"tyxydm": uscc, "zzjgdm": v["org_code"], "djzch": v["reg_no"], "qydwmc": v["name"], "cym": "；".join(v["former_names"]),
            "frlx": _KINDS.get(v["kind"], v["kind"]), "lsdwdm": v["parent"]}  # fmt: skip


def _registration(v: Values, uscc: str) -> dict[str, Any]:
    return {"qylx": v["type"], "fddbr": v["legal_rep"], "zczb": _wan(v["capital_fen"]), "sjzb": _wan(v["paid_fen"]),
            "clrq": _day(v["established"]), "yyqxq": _day(v["term_from"]), "yyqxz": _day(v["term_to"]) or "9999-12-31",
            "zt": "正常" if v["status"] == "存续" else v["status"], "zcdz": v["address"], "jyfw": v["scope"], "hydm": v["industry"],
            "djjg": v["authority_name"], "djjgdm": v["authority_code"], "hzsj": _day(v["approved"]), "qygm": _SIZES[v["size"]],
            "cyrs": str(v["employees"])}  # fmt: skip


def _holder(v: Values, uscc: str) -> dict[str, Any]:
    return {"gdmc": v["name"], "gdlx": v["kind"], "gddm": v["uscc"], "rjcze": _wan(v["subscribed_fen"]), "sjcze": _wan(v["paid_fen"]),
            "czbl": f"{Decimal(v['ratio_bp']) / 100:f}", "zw": v["position"]}  # fmt: skip


def _licence(v: Values, uscc: str) -> dict[str, Any]:
    return {"UUID": f"ZJ{v['cert_no']}", "XK_WSH": v["doc_no"], "XK_XKWS": v["doc_name"], "XK_XKJG": v["authority_name"],
            "XK_XKJGDM": v["authority_code"], "XK_XKLB": v["kind"], "XK_XKZS": v["cert_name"], "XK_XKBH": v["cert_no"],
            "XK_NR": v["content"], "XK_JDRQ": _day(v["decided"]), "XK_YXQZ": _day(v["valid_from"]),
            "XK_YXQZI": _day(v["valid_to"]) or "2099-12-31", "XK_ZT": "1" if v["status"] == "有效" else "2"}  # fmt: skip


def _penalty(v: Values, uscc: str) -> dict[str, Any]:
    return {"UUID": hashlib.sha1(v["doc_no"].encode()).hexdigest()[:16], "CF_XDR_MC": "", "CF_XDR_LB": "法人及非法人组织",
            "CF_XDR_SHXYM": uscc, "CF_WSH": v["doc_no"], "CF_CFJG": v["authority_name"], "CF_CFJGDM": v["authority_code"],
            "CF_WFXW": v["violation"], "CF_SY": v["facts"], "CF_YJ": v["basis"], "CF_CFLB": "；".join(v["kinds"]), "CF_NR": v["content"],
            "CF_NR_FK": _wan(v["fine_fen"]), "CF_NR_WFFF": _wan(v["confiscated_fen"]) if v["confiscated_fen"] else "",
            "CF_NR_ZKDX": v["licence_action"], "CF_JDRQ": _day(v["decided"]), "CF_YXQ": _day(v["valid_to"]) or "2099-12-31",
            "CF_GSJZQ": _day(v["publish_end"]), "CF_ZT": _STATUS[v["status"]], "CF_ZTRQ": _day(v["status_on"]), "BZ": ""}  # fmt: skip


def _list_entry(v: Values, uscc: str) -> dict[str, Any]:
    return {"mdmc": v["name"], "nd": "" if v["year"] is None else str(v["year"]), "bb": v["version"], "yj": v["basis"], "ly": v["field"],
            "IDENTIFICATION_NO": v["doc_no"], "rddw": v["authority_name"], "rddwdm": v["authority_code"], "lrsy": v["reason"],
            "lrrq": _day(v["listed"]), "ycrq": _day(v["removed"]), "ycyy": v["removal_reason"], "zrr": ";".join(v["persons"])}  # fmt: skip


def _abnormal(v: Values, uscc: str) -> dict[str, Any]:
    return {"lryy": v["reason"], "lrrq": _day(v["listed"]), "jdjg": v["authority_name"], "jdjgdm": v["authority_code"],
            "ycrq": _day(v["removed"]), "ycyy": v["removal_reason"]}  # fmt: skip


def _honour(v: Values, uscc: str) -> dict[str, Any]:
    return {"rymc": v["name"], "jb": _LEVELS[v["level"]], "bzwh": v["doc_no"], "sydw": v["authority_name"], "sydwdm": v["authority_code"],
            "syrq": _day(v["awarded"]), "yxqz": _day(v["valid_to"])}  # fmt: skip


def _evaluation(v: Values, uscc: str) -> dict[str, Any]:
    return {"pjtx": v["scheme"], "pjzq": v["period"], "pjjg": v["authority_name"], "pjjgdm": v["authority_code"], "pjdj": v["grade"],
            "pjdf": v["score"], "sfgk": "是" if v["published"] else "否", "pjrq": _day(v["rated"])}  # fmt: skip


def _utility(v: Values, uscc: str) -> dict[str, Any]:
    yuan = {"je": v["amount_fen"], "qf": v["arrears_fen"]}
    return {"lb": {"电": "D", "水": "S", "气": "Q"}[v["kind"]], "ny": v["month"], "qhdm": v["region"], "yl": str(v["usage"]),
            **{name: f"{fen / 100:.2f}" for name, fen in yuan.items()}}  # fmt: skip


def _inspection(v: Values, uscc: str) -> dict[str, Any]:
    return {
        "jcrq": _day(v["date"]),
        "jcjg": v["authority_name"],
        "jcjgdm": v["authority_code"],
        "jcsx": v["matter"],
        "jcjg_jg": v["result"],
    }


def _commitment(v: Values, uscc: str) -> dict[str, Any]:
    return {"cnlx": v["kind"], "sldw": v["authority_name"], "sldwdm": v["authority_code"], "cnrq": _day(v["date"]),
            "sfly": "是" if v["performed"] else "否"}  # fmt: skip


_DATASETS: Final[Mapping[str, tuple[str, Callable[[Values, str], dict[str, Any]]]]] = {
    "ztxx": ("subject", _subject), "djxx": ("registration", _registration), "gdxx": ("holder", _holder), "xzxk": ("licence", _licence),
    "xzcf": ("penalty", _penalty), "mdxx": ("list_entry", _list_entry), "jyyc": ("abnormal", _abnormal), "ryxx": ("honour", _honour),
    "xypj": ("evaluation", _evaluation), "sdq": ("utility", _utility), "ccjc": ("inspection", _inspection),
    "xycn": ("commitment", _commitment),
}  # fmt: skip


class SimulatedZhejiang(SimulatedPlatform):
    """Answers token calls in `datas` and business calls in `data`."""

    platform = "zhejiang"

    def routes(self) -> list[web.RouteDef]:
        """Gives the token routes and the one service."""
        self._refresh: dict[str, float] = {}
        self._request: dict[str, float] = {}
        self.refreshes = 0
        return [
            web.route("*", "/gateway/app/refreshTokenByKey.htm", self._by_key),
            web.route("*", "/gateway/app/refreshTokenBySec.htm", self._by_secret),
            web.post("/gateway/api/001008007012001/dataSharing/xinyidai.htm", self._service),
        ]

    async def _form(self, request: web.Request) -> dict[str, str]:
        return {**request.query, **{k: v for k, v in (await request.post()).items() if isinstance(v, str)}}

    def _signed_by(self, form: Mapping[str, str], known: Mapping[str, float]) -> str:
        """Gives "00", or why the call is refused: the sign must be made with a secret that still lives."""
        if form.get("appKey") != CREDENTIALS["app_key"]:
            return "93"
        stamp = form.get("requestTime", "")
        if len(stamp) != 13 or not stamp.isdigit() or abs(int(stamp) / 1000 - time.time()) > CLOCK_WINDOW_S:
            return "91"
        for secret, until in known.items():
            wanted = hashlib.md5((form["appKey"] + secret + stamp).encode()).hexdigest()
            if wanted == form.get("sign"):
                return "00" if until > time.time() else "92"
        return "91"

    async def _by_key(self, request: web.Request) -> web.Response:
        code = self._signed_by(await self._form(request), {CREDENTIALS["app_secret"]: float("inf")})
        if code != "00":
            return _answer(code, "datas", "")
        return _answer(
            "00", "datas", {**self._new("refreshSecret", _REFRESH_S), **self._new("requestSecret", _REQUEST_S)}
        )

    async def _by_secret(self, request: web.Request) -> web.Response:
        code = self._signed_by(await self._form(request), self._refresh)
        return _answer(code, "datas", self._new("requestSecret", _REQUEST_S) if code == "00" else "")

    def _new(self, name: str, lifetime_s: float) -> dict[str, str]:
        self.refreshes += 1
        secret, until = secrets.token_hex(16), time.time() + lifetime_s
        (self._refresh if name == "refreshSecret" else self._request)[secret] = until
        return {name: secret, f"{name}EndTime": str(int(until * 1000))}

    async def _service(self, request: web.Request) -> web.Response:
        if self.faults.take("error_envelope"):
            return _answer("99", "data", "")
        if self.faults.take("maintenance"):
            return _answer("95", "data", "")
        if self.faults.take("token_expired"):
            self._request.clear()
            return _answer("92", "data", "")
        form = await self._form(request)
        code = self._signed_by(form, self._request)
        if code != "00":
            return _answer(code, "data", "")
        names = [name for name in form.get("sjlx", "").split(",") if name]
        uscc = form.get("tyxydm", "")
        if not names or not uscc:
            return _answer("97", "data", "")
        if any(name not in _DATASETS for name in names) or len(uscc) != 18:
            return _answer("98", "data", "")
        enterprise = self.world.find(self.platform, uscc)
        if enterprise is None:
            return _answer("00", "data", [])
        if self.faults.take("other_subject"):
            uscc = "91310115MAC0DEM080" if uscc != "91310115MAC0DEM080" else "91310115MA0TERT167"
        rows = {
            name: [render(values, uscc) for values in enterprise.at(self.platform, kind)]
            for name in names
            for kind, render in [_DATASETS[name]]
        }
        charset = "gb18030" if self.faults.take("charset") else "utf-8"
        return _answer("00", "data", [{"tyxydm": uscc, "sjrq": _DATA_DATE, **rows}], charset=charset)


def _answer(code: str, key: str, data: Any, *, charset: str = "utf-8") -> web.Response:
    """HTTP 200 always; data is an empty text on failure."""
    messages = {"00": "成功", "92": "令牌失效"}
    body = {"code": code, "msg": messages.get(code, "失败"), "description": "", key: data}
    content = json.dumps(body, ensure_ascii=False).encode(charset)
    return web.Response(body=content, headers={"Content-Type": "application/json;charset=UTF-8"})


sandbox = SandboxOf(SimulatedZhejiang, CREDENTIALS)
