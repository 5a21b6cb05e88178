"""The simulated Jiangsu platform: OAuth2, tasks that must be polled, sealed and signed bodies; strict about all of it.

Signatures are verified and made by plain-Python SM2, while the connector's come from libcrypto where that serves.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from aiohttp import web
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import SM4

from connectors.kit.enterprise import World
from connectors.kit.sandbox import CLOCK_WINDOW_S, NonceBook, SandboxOf, SimulatedPlatform
from gateway.domain import sm2_plain

_GATEWAY_KEY: Final = "1111111111111111111111111111111111111111111111111111111111111111"
_PLATFORM_KEY: Final = "2222222222222222222222222222222222222222222222222222222222222222"
_GATEWAY_POINT: Final = sm2_plain.public_point(bytes.fromhex(_GATEWAY_KEY))
_PLATFORM_POINT: Final = sm2_plain.public_point(bytes.fromhex(_PLATFORM_KEY))
_SIGNER_ID: Final = b"1234567812345678"
CREDENTIALS: Final = {
    "client_id": "sandbox-jiangsu",
    "client_secret": "sandbox-jiangsu-is-no-secret",
    "sm4_key": "00112233445566778899aabbccddeeff",
    "sign_key": _GATEWAY_KEY,
    "platform_key": _PLATFORM_POINT.hex(),
}
_TOKEN_S: Final = 7200
_POLL_MS: Final = 20
_DATA_DATE: Final = "20261029"
_KINDS: Final = {"企业": "01", "分支机构": "02", "个体工商户": "03", "农民专业合作社": "04"}
_STANDINGS: Final = {"存续": "1", "停业": "2", "吊销": "3", "注销": "4", "迁出": "5", "撤销": "6"}
_SIZES: Final = {"大型": "1", "中型": "2", "小型": "3", "微型": "4"}
_PENALTIES: Final = {"警告": "1", "通报批评": "2", "罚款": "3", "没收违法所得": "4"}
_STATUS: Final = {"正常": "0", "撤销": "1", "异议": "2", "已修复": "5"}
_FIELDS: Final = {"生态环境": "HB", "旅游": "LY", "食品药品": "SY", "产品质量": "ZL", "安全生产": "AQ"}
_LISTS: Final = {"SDL_COURT": "SX01", "SDL_SAMR": "SX02", "SDL_TAX": "SX03", "YRD_ENV": "CSJ01"}
_BASES: Final = {"法律法规": "1", "中央文件": "2", "区域合作备忘录": "3"}

Values = Mapping[str, Any]


def _wan(fen: int | None) -> float | int | None:
    """Amounts go out in 万元 as JSON numbers."""
    return None if fen is None else fen // 1_000_000 if fen % 1_000_000 == 0 else round(fen / 1_000_000, 6)


def _day(day: date | None) -> str:
    return "" if day is None else day.strftime("%Y%m%d")


def _subject(v: Values, uscc: str) -> dict[str, Any]:
    return {"tyshxydm": uscc, "zzjgdm": v["org_code"], "zch": v["reg_no"], "ztmc": v["name"], "cym": v["former_names"],
            "ztlx": _KINDS[v["kind"]], "lsztdm": v["parent"]}  # fmt: skip


def _register(v: Values, uscc: str) -> dict[str, Any]:
    return {"qylx": v["type"], "fddbr": v["legal_rep"], "zczb_wy": _wan(v["capital_fen"]), "sjzb_wy": _wan(v["paid_fen"]),
            "clrq": _day(v["established"]), "yyqxq": _day(v["term_from"]), "yyqxz": _day(v["term_to"]) or "长期",
            "djzt": _STANDINGS[v["status"]], "zs": v["address"], "jyfw": v["scope"], "hydm": v["industry"], "djjg": v["authority_name"],
            "djjgdm": v["authority_code"], "hzrq": _day(v["approved"]), "qygm": _SIZES[v["size"]], "cyrs": v["employees"]}  # fmt: skip


def _permit(v: Values, uscc: str) -> dict[str, Any]:
    return {"xkwsh": v["doc_no"], "xkwsmc": v["doc_name"], "xkjg": v["authority_name"], "xkjgdm": v["authority_code"], "xklb": v["kind"],
            "xkzs": v["cert_name"], "xkbh": v["cert_no"], "xknr": v["content"], "xkjdrq": _day(v["decided"]),
            "yxqz": _day(v["valid_from"]), "yxqzi": _day(v["valid_to"]) or "长期", "zt": "1" if v["status"] == "有效" else "2",
            "sfpwxk": "Y" if v["is_pollution"] else "N"}  # fmt: skip


def _punish(v: Values, uscc: str) -> dict[str, Any]:
    return {"xh": v["doc_no"][-6:], "cfwsh": v["doc_no"], "cfjg": v["authority_name"], "cfjgdm": v["authority_code"],
            "wfxwlx": v["violation"], "wfss": v["facts"], "cfyj": v["basis"], "cflb": ",".join(_PENALTIES.get(k, "99") for k in v["kinds"]),
            "cfnr": v["content"], "fkje_wy": _wan(v["fine_fen"]), "msje_wy": _wan(v["confiscated_fen"]) if v["confiscated_fen"] else None,
            "cfjdrq": _day(v["decided"]), "cfyxq": _day(v["valid_to"]) or "长期", "ly": _FIELDS.get(v["domain"], "QT"),
            "zt": _STATUS[v["status"]], "ztrq": _day(v["status_on"]), "gsjzq": _day(v["publish_end"])}  # fmt: skip


def _blacklist(v: Values, uscc: str) -> dict[str, Any]:
    return {"mddm": _LISTS.get(v["code"], v["code"]), "nd": v["year"], "yj": _BASES[v["basis"]], "wh": v["doc_no"], "rddw": v["authority_name"],
            "rddwdm": v["authority_code"], "lrsy": v["reason"], "lrrq": _day(v["listed"]), "ycrq": _day(v["removed"])}  # fmt: skip


def _grade(v: Values, uscc: str) -> dict[str, Any]:
    return {"pjtx": v["scheme"], "pjzq": v["period"], "pjjg": v["authority_name"], "pjjgdm": v["authority_code"], "dj": v["grade"],
            "df": v["score"], "sfgk": "Y" if v["published"] else "N", "pjrq": _day(v["rated"])}  # fmt: skip


def _tax(v: Values, uscc: str) -> dict[str, Any]:
    return {"ssq": v["period"], "ssqlx": "2", "qhdm": v["region"], "yjzzs_wy": _wan(v["vat_payable_fen"]), "yjnzzs_wy": _wan(v["vat_paid_fen"]),
            "yjsds_wy": _wan(v["cit_payable_fen"]), "yjnsds_wy": _wan(v["cit_paid_fen"]), "qs_wy": _wan(v["arrears_fen"]),
            "fzch": "Y" if v["non_normal"] else "N"}  # fmt: skip


def _social(v: Values, uscc: str) -> dict[str, Any]:
    return {"ny": v["month"], "qhdm": v["region"], "cbrs": v["insured"], "jfe_wy": _wan(v["paid_fen"]), "qfe_wy": _wan(v["arrears_fen"]),
            "qjys": v["months_unpaid"]}  # fmt: skip


def _judicial(v: Values, uscc: str) -> dict[str, Any]:
    return {"ah": v["case_no"], "fy": v["authority_name"], "fydm": v["authority_code"], "sf": "4" if "失信" in v["role"] else "3",
            "je_wy": _wan(v["amount_fen"]), "larq": _day(v["filed"])}  # fmt: skip


def _pledge(v: Values, uscc: str) -> dict[str, Any]:
    return {"lx": v["kind"], "djbh": v["reg_no"], "djjg": v["authority_name"], "djjgdm": v["authority_code"], "je_wy": _wan(v["amount_fen"]),
            "qlr": v["counterparty"], "djrq": _day(v["registered"]), "zxrq": _day(v["cancelled"])}  # fmt: skip


def _tech(v: Values, uscc: str) -> dict[str, Any]:
    kinds = {"高新技术企业": "GX", "科技型中小企业": "KJ", "专精特新": "ZJTX", "专精特新小巨人": "XJR"}
    return {"zzlx": kinds.get(v["kind"], v["kind"]), "zsbh": v["cert_no"], "rddw": v["authority_name"], "rddwdm": v["authority_code"],
            "rdrq": _day(v["awarded"]), "yxqz": _day(v["valid_to"])}  # fmt: skip


_ITEMS: Final[Mapping[str, tuple[str, Callable[[Values, str], dict[str, Any]]]]] = {
    "subject": ("subject", _subject), "register": ("registration", _register), "permit": ("licence", _permit), "punish": ("penalty", _punish),
    "blacklist": ("list_entry", _blacklist), "grade": ("evaluation", _grade), "tax": ("tax", _tax), "social": ("social", _social),
    "judicial": ("judicial", _judicial), "pledge": ("encumbrance", _pledge), "tech": ("qualification", _tech),
}  # fmt: skip


@dataclass(slots=True)
class _Task:
    question: Mapping[str, Any]
    ready_at: float
    next_poll_at: float


class SimulatedJiangsu(SimulatedPlatform):
    """Answers token, submission and result calls; `processing_s` is how long a task runs."""

    platform = "jiangsu"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.processing_s = 0.03
        self.tokens: dict[str, float] = {}
        self.tasks: dict[str, _Task] = {}
        self._nonces = NonceBook()

    def routes(self) -> list[web.RouteDef]:
        """Gives the three routes."""
        return [
            web.post("/oauth/token", self._token),
            web.post("/api/v2/query/submit", self._submit),
            web.post("/api/v2/query/result", self._poll),
        ]

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        right = (
            form.get("client_id") == CREDENTIALS["client_id"]
            and form.get("client_secret") == CREDENTIALS["client_secret"]
        )
        if not right or form.get("grant_type") != "client_credentials":
            return web.json_response({"error": "invalid_client"}, status=401)
        token = secrets.token_hex(16)
        self.tokens[token] = time.time() + _TOKEN_S
        return web.json_response({"access_token": token, "token_type": "bearer", "expires_in": _TOKEN_S})

    async def _question(self, request: web.Request) -> tuple[str, Mapping[str, Any]]:
        """Gives "0000" and the deciphered question, or why it is refused."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.faults.take("token_expired"):
            self.tokens.clear()
        if self.tokens.get(token, 0) <= time.time():
            return "1001", {}
        try:
            body = json.loads(await request.read())
            sealed = base64.b64decode(body["encData"], validate=True)
            signature = sm2_plain.raw_of_der(base64.b64decode(body["signData"], validate=True))
            skew = abs(int(body["timestamp"]) / 1000 - time.time())
        except (ValueError, KeyError, TypeError):
            return "2001", {}
        if not sm2_plain.verify(_GATEWAY_POINT, _SIGNER_ID, body["encData"].encode(), signature):
            return "1002", {}
        if skew > CLOCK_WINDOW_S:
            return "1004", {}
        if not self._nonces.is_fresh(str(body.get("nonce", ""))):
            return "1005", {}
        try:
            return "0000", json.loads(_decipher(sealed))
        except ValueError:
            return "1003", {}

    async def _submit(self, request: web.Request) -> web.Response:
        for kind, code in (("error_envelope", "9999"), ("maintenance", "9000")):
            if self.faults.take(kind):
                return self._answer(code)
        code, question = await self._question(request)
        if code != "0000":
            return self._answer(code)
        items = question.get("items")
        if (
            not isinstance(question.get("tyshxydm"), str)
            or not isinstance(items, list)
            or not all(i in _ITEMS for i in items)
        ):
            return self._answer("2001")
        task_id, now = secrets.token_hex(8), time.monotonic()
        self.tasks[task_id] = _Task(question, now + self.processing_s, now + _POLL_MS / 1000)
        return self._answer("0000", {"taskId": task_id, "status": "ACCEPTED", "pollAfterMs": _POLL_MS})

    async def _poll(self, request: web.Request) -> web.Response:
        code, question = await self._question(request)
        if code != "0000":
            return self._answer(code)
        task = self.tasks.get(str(question.get("taskId")))
        if task is None:
            return self._answer("0000", {"status": "EXPIRED"})
        now = time.monotonic()
        if now < task.next_poll_at - 0.005:
            return self._answer("3001")
        task.next_poll_at = now + _POLL_MS / 1000
        if now < task.ready_at:
            return self._answer("0000", {"status": "PROCESSING", "pollAfterMs": _POLL_MS})
        return self._answer("0000", {"status": "DONE", "result": self._result(task.question)})

    def _result(self, question: Mapping[str, Any]) -> dict[str, Any]:
        uscc = question["tyshxydm"]
        enterprise = self.world.find(self.platform, uscc)
        if enterprise is None:
            return {"found": False}
        if self.faults.take("other_subject"):
            uscc = "91310115MAC0DEM080" if uscc != "91310115MAC0DEM080" else "91310115MA0TERT167"
        items = {
            name: [render(values, uscc) for values in enterprise.at(self.platform, kind)]
            for name in question["items"]
            for kind, render in [_ITEMS[name]]
        }
        return {"found": True, "tyshxydm": uscc, "dataTime": _DATA_DATE, "items": items}

    def _answer(self, code: str, answer: Mapping[str, Any] | None = None) -> web.Response:
        messages = {"0000": "成功", "3001": "查询过于频繁"}
        body: dict[str, Any] = {
            "resultCode": code,
            "resultMsg": messages.get(code, "失败"),
            "encData": "",
            "signData": "",
        }
        if answer is not None:
            charset = "gb18030" if self.faults.take("charset") else "utf-8"
            enc_data = base64.b64encode(_encipher(json.dumps(answer, ensure_ascii=False).encode(charset)))
            signed = b"something else" if self.faults.take("wrong_signature") else enc_data
            nonce = secrets.randbelow(sm2_plain.ORDER - 1) + 1
            raw = sm2_plain.sign(bytes.fromhex(_PLATFORM_KEY), _PLATFORM_POINT, _SIGNER_ID, signed, nonce)
            body |= {"encData": enc_data.decode(), "signData": base64.b64encode(sm2_plain.der_of_raw(raw)).decode()}
        return web.json_response(body)


def _cipher(iv: bytes) -> Cipher[modes.CBC]:
    return Cipher(SM4(bytes.fromhex(CREDENTIALS["sm4_key"])), modes.CBC(iv))


def _encipher(plain: bytes) -> bytes:
    iv, pad = secrets.token_bytes(16), 16 - len(plain) % 16
    encryptor = _cipher(iv).encryptor()
    return iv + encryptor.update(plain + bytes([pad]) * pad) + encryptor.finalize()


def _decipher(sealed: bytes) -> bytes:
    if len(sealed) < 32 or len(sealed) % 16:
        raise ValueError("no whole blocks")
    decryptor = _cipher(sealed[:16]).decryptor()
    plain = decryptor.update(sealed[16:]) + decryptor.finalize()
    if plain[-1:] * plain[-1] != plain[-plain[-1] :] or not 1 <= plain[-1] <= 16:
        raise ValueError("wrong padding")
    return plain[: -plain[-1]]


sandbox = SandboxOf(SimulatedJiangsu, CREDENTIALS)
