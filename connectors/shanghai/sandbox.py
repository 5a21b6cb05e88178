"""The simulated Shanghai platform: signed GET with paging; strict about signature, clock, nonce and parameters."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final

from aiohttp import web

from connectors.kit.sandbox import CLOCK_WINDOW_S, NonceBook, SandboxOf, SimulatedPlatform

CREDENTIALS: Final = {"app_key": "sandbox-shanghai", "app_secret": "sandbox-shanghai-is-no-secret"}
_DATA_DATE: Final = "2026-10-31"
_STATUS: Final = {"正常": "0", "撤销": "1", "异议": "2", "已修复": "3"}

Values = Mapping[str, Any]


def _yuan(fen: int | None) -> float | int | None:
    """Amounts go out as JSON numbers in 元, with a fraction only where there is one."""
    if fen is None:
        return None
    return fen // 100 if fen % 100 == 0 else round(fen / 100, 2)


def _iso(day: date | None) -> str:
    return "" if day is None else day.isoformat()


def _authority(v: Values) -> dict[str, Any]:
    return {"authority": v["authority_name"], "authorityCode": v["authority_code"]}


def _subject(v: Values, uscc: str) -> dict[str, Any]:
    return {"creditCode": uscc, "orgCode": v["org_code"], "regNo": v["reg_no"], "taxNo": v["tax_no"], "name": v["name"],
            "formerNames": ";".join(v["former_names"]), "kind": v["kind"], "parentCode": v["parent"]}  # fmt: skip


def _registration(v: Values, uscc: str) -> dict[str, Any]:
    return {"entType": v["type"], "legalRep": v["legal_rep"], "regCapital": _yuan(v["capital_fen"]), "paidCapital": _yuan(v["paid_fen"]),
            "establishDate": _iso(v["established"]), "termFrom": _iso(v["term_from"]), "termTo": _iso(v["term_to"]) or "长期",
            "status": v["status"], "address": v["address"], "businessScope": v["scope"], "industryCode": v["industry"],
            "regAuthority": v["authority_name"], "regAuthorityCode": v["authority_code"], "approveDate": _iso(v["approved"]),
            "scale": v["size"], "employees": v["employees"]}  # fmt: skip


def _holder(v: Values, uscc: str) -> dict[str, Any]:
    return {"holderName": v["name"], "holderType": v["kind"], "holderCode": v["uscc"], "subscribed": _yuan(v["subscribed_fen"]),
            "paid": _yuan(v["paid_fen"]), "ratio": v["ratio_bp"] / 10_000, "position": v["position"]}  # fmt: skip


def _licence(v: Values, uscc: str) -> dict[str, Any]:
    return {"id": f"SHXK-{v['cert_no']}", "decisionNo": v["doc_no"], "decisionName": v["doc_name"], **_authority(v),
            "licenceType": v["kind"], "certName": v["cert_name"], "certNo": v["cert_no"], "content": v["content"],
            "decisionDate": _iso(v["decided"]), "validFrom": _iso(v["valid_from"]), "validTo": _iso(v["valid_to"]) or "长期",
            "status": v["status"], "pollutionPermit": v["is_pollution"]}  # fmt: skip


def _penalty(v: Values, uscc: str) -> dict[str, Any]:
    return {"id": f"SHCF-{abs(hash_of(v['doc_no'])) % 10**8}", "decisionNo": v["doc_no"], **_authority(v), "violation": v["violation"],
            "facts": v["facts"], "basis": v["basis"], "penaltyTypes": v["kinds"], "content": v["content"],
            "fineAmount": _yuan(v["fine_fen"]), "confiscatedAmount": _yuan(v["confiscated_fen"]) or None,
            "licenceAction": v["licence_action"], "decisionDate": _iso(v["decided"]), "validTo": _iso(v["valid_to"]) or None,
            "domain": v["domain"], "severity": v["severity"], "status": _STATUS[v["status"]], "statusDate": _iso(v["status_on"]),
            "publicityStart": _iso(v["publish_start"]), "publicityEnd": _iso(v["publish_end"])}  # fmt: skip


def hash_of(text: str) -> int:
    """Gives a number for a record's id that is the same in every process."""
    return int.from_bytes(text.encode()) % 99_999_989


def _list_entry(v: Values, uscc: str) -> dict[str, Any]:
    return {"listName": v["name"], "year": v["year"], "version": v["version"], "basis": v["basis"], "field": v["field"] or None,
            "documentNo": v["doc_no"], **_authority(v), "reason": v["reason"], "listedDate": _iso(v["listed"]),
            "dueDate": _iso(v["due_off"]), "removedDate": _iso(v["removed"]), "removalReason": v["removal_reason"],
            "persons": v["persons"]}  # fmt: skip


def _abnormal(v: Values, uscc: str) -> dict[str, Any]:
    return {"reason": v["reason"], "listedDate": _iso(v["listed"]), **_authority(v), "removedDate": _iso(v["removed"]),
            "removalReason": v["removal_reason"]}  # fmt: skip


def _honour(v: Values, uscc: str) -> dict[str, Any]:
    return {"name": v["name"], "level": v["level"], "documentNo": v["doc_no"], **_authority(v), "awardDate": _iso(v["awarded"]),
            "validTo": _iso(v["valid_to"])}  # fmt: skip


def _evaluation(v: Values, uscc: str) -> dict[str, Any]:
    return {"scheme": v["scheme"], "period": v["period"], **_authority(v), "grade": v["grade"], "score": v["score"] or None,
            "published": v["published"], "ratedDate": _iso(v["rated"])}  # fmt: skip


def _tax(v: Values, uscc: str) -> dict[str, Any]:
    return {"period": v["period"], "periodType": "Q" if "Q" in v["period"] else "Y", "region": v["region"],
            "vatPayable": _yuan(v["vat_payable_fen"]), "vatPaid": _yuan(v["vat_paid_fen"]), "citPayable": _yuan(v["cit_payable_fen"]),
            "citPaid": _yuan(v["cit_paid_fen"]), "arrears": _yuan(v["arrears_fen"]), "lateFee": _yuan(v["late_fen"]),
            "nonNormal": v["non_normal"]}  # fmt: skip


def _social(v: Values, uscc: str) -> dict[str, Any]:
    return {"month": v["month"], "region": v["region"], "insured": v["insured"], "paid": _yuan(v["paid_fen"]),
            "arrears": _yuan(v["arrears_fen"]), "monthsUnpaid": v["months_unpaid"]}  # fmt: skip


def _housing(v: Values, uscc: str) -> dict[str, Any]:
    return {
        "month": v["month"],
        "region": v["region"],
        "members": v["members"],
        "paid": _yuan(v["paid_fen"]),
        "state": v["state"],
    }


def _utility(v: Values, uscc: str) -> dict[str, Any]:
    return {"kind": v["kind"], "month": v["month"], "region": v["region"], "usage": v["usage"], "amount": _yuan(v["amount_fen"]),
            "arrears": _yuan(v["arrears_fen"])}  # fmt: skip


def _judicial(v: Values, uscc: str) -> dict[str, Any]:
    return {"caseNo": v["case_no"], "court": v["authority_name"], "courtCode": v["authority_code"], "role": v["role"],
            "amount": _yuan(v["amount_fen"]), "filedDate": _iso(v["filed"]), "performance": v["performance"],
            "closedDate": _iso(v["closed"])}  # fmt: skip


def _qualification(v: Values, uscc: str) -> dict[str, Any]:
    return {"kind": v["kind"], "certNo": v["cert_no"], "count": v["count"], **_authority(v), "awardDate": _iso(v["awarded"]),
            "validTo": _iso(v["valid_to"])}  # fmt: skip


def _trade(v: Values, uscc: str) -> dict[str, Any]:
    return {
        "year": str(v["year"]),
        "region": v["region"],
        "importAmount": _yuan(v["import_fen"]),
        "exportAmount": _yuan(v["export_fen"]),
    }


def _commitment(v: Values, uscc: str) -> dict[str, Any]:
    return {"kind": v["kind"], **_authority(v), "date": _iso(v["date"]), "performed": v["performed"]}


_DATASETS: Final[Mapping[str, tuple[str, Callable[[Values, str], dict[str, Any]]]]] = {
    "subject": ("subject", _subject), "registration": ("registration", _registration), "holder": ("holder", _holder),
    "licence": ("licence", _licence), "penalty": ("penalty", _penalty), "list": ("list_entry", _list_entry),
    "abnormal": ("abnormal", _abnormal), "honour": ("honour", _honour), "evaluation": ("evaluation", _evaluation),
    "tax": ("tax", _tax), "social": ("social", _social), "housing": ("housing", _housing), "utility": ("utility", _utility),
    "judicial": ("judicial", _judicial), "qualification": ("qualification", _qualification), "trade": ("trade", _trade),
    "commitment": ("commitment", _commitment),
}  # fmt: skip


class SimulatedShanghai(SimulatedPlatform):
    """Answers `GET /api/v1/enterprises/{uscc}/records`."""

    platform = "shanghai"

    def routes(self) -> list[web.RouteDef]:
        """Gives the one route."""
        self._nonces = NonceBook()
        return [web.get("/api/v1/enterprises/{uscc}/records", self._records)]

    def _refusal(self, request: web.Request) -> tuple[int, int, str] | None:
        headers = request.headers
        if headers.get("X-App-Key") != CREDENTIALS["app_key"]:
            return 403, 40300, "应用未授权"
        stamp = headers.get("X-Timestamp", "")
        if not (stamp.isdigit() and len(stamp) == 13 and abs(int(stamp) / 1000 - time.time()) <= CLOCK_WINDOW_S):
            return 401, 40101, "时间戳超出允许范围"
        fields = dict(request.query) | {
            "path": request.path, "appKey": headers["X-App-Key"], "nonce": headers.get("X-Nonce", ""), "timestamp": stamp,
        }  # fmt: skip
        text = "&".join(name + "=" + fields[name] for name in sorted(fields) if fields[name])
        expected = hmac.digest(CREDENTIALS["app_secret"].encode(), text.encode(), "sm3").hex()
        if not hmac.compare_digest(expected, headers.get("X-Signature", "")):
            return 401, 40100, "签名错误"
        if not self._nonces.is_fresh(headers.get("X-Nonce", "")):
            return 401, 40102, "请求重放"
        return None

    async def _records(self, request: web.Request) -> web.Response:
        if self.faults.take("error_envelope"):
            return _answer(200, 50000, "系统异常")
        if self.faults.take("maintenance"):
            return _answer(200, 50300, "系统维护中")
        if self.faults.take("token_expired"):
            return _answer(401, 40101, "时间戳超出允许范围")
        refusal = self._refusal(request)
        if refusal is not None:
            return _answer(*refusal)
        names = [name for name in request.query.get("datasets", "").split(",") if name]
        page, size = request.query.get("page", ""), request.query.get("size", "")
        if not names or any(name not in _DATASETS for name in names) or not (page.isdigit() and size.isdigit()):
            return _answer(400, 40000, "参数错误")
        if not 1 <= int(size) <= 100 or int(page) < 1:
            return _answer(400, 40000, "分页参数错误")
        uscc = request.match_info["uscc"]
        enterprise = self.world.find(self.platform, uscc)
        if enterprise is None:
            return _answer(404, 40400, "未查询到该企业")
        if self.faults.take("other_subject"):
            uscc = "91310115MAC0DEM080" if uscc != "91310115MAC0DEM080" else "91310115MA0TERT167"
        rows = [
            (name, render(values, uscc))
            for name in names
            for kind, render in [_DATASETS[name]]
            for values in enterprise.at(self.platform, kind)
        ]
        start = (int(page) - 1) * int(size)
        records: dict[str, list[Any]] = {name: [] for name in names}
        for name, row in rows[start : start + int(size)]:
            records[name].append(row)
        data = {"creditCode": uscc, "dataDate": _DATA_DATE, "total": len(rows), "page": int(page), "records": records}
        return _answer(200, 0, "成功", data, charset="gb18030" if self.faults.take("charset") else "utf-8")


def _answer(status: int, code: int, message: str, data: Any = None, *, charset: str = "utf-8") -> web.Response:
    body = json.dumps({"code": code, "message": message, "data": data, "traceId": "sandbox"}, ensure_ascii=False)
    return web.Response(
        status=status, body=body.encode(charset), headers={"Content-Type": "application/json; charset=utf-8"}
    )


sandbox = SandboxOf(SimulatedShanghai, CREDENTIALS)
