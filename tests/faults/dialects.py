"""How the four dialects wrap their data, so that a test can change one value on its way and leave the wrapping sound.

A changed document is sealed and signed anew where the dialect does so: the fault is in what the platform says, not in how.
The keys of the sandboxes' sealing are public and worthless.
"""

from __future__ import annotations

import base64
import json
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, Final
from xml.sax.saxutils import escape, quoteattr

from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from lxml import etree

from connectors.jiangsu.sandbox import CREDENTIALS
from gateway.domain import sm2_plain

_PLATFORM_KEY: Final = bytes.fromhex("22" * 32)
_PLATFORM_POINT: Final = bytes.fromhex(CREDENTIALS["platform_key"])
_SIGNER_ID: Final = b"1234567812345678"
_CDATA: Final = (b"<![CDATA[", b"]]>")


class Exactly(str):
    """A JSON number as it shall stand on the wire, digit by digit."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Names:
    """What the dialect calls the enterprise's code and data date, and the values of a penalty."""

    subject: str
    as_of: str
    name: str
    document: str
    violation: str
    fine: str
    decided: str
    kinds: str


@dataclass(slots=True)
class Document:
    """The data of one answer, to change in place: what stands beside the rows, and the rows of two record types.

    `tables` is what holds all rows, and `penalties_key` where the penalties stand in it.
    """

    names: Names
    head: dict[str, Any]
    tables: dict[str, Any]
    penalties_key: str
    subjects_key: str

    @property
    def penalties(self) -> list[dict[str, Any]]:
        """The penalties' rows."""
        rows: list[dict[str, Any]] = self.tables[self.penalties_key]
        return rows

    @property
    def subject(self) -> dict[str, Any]:
        """The one row that names the enterprise."""
        row: dict[str, Any] = self.tables[self.subjects_key][0]
        return row


Change = Callable[[Document], None]


class Dialect(ABC):
    """One platform's wrapping; the paths are parts of those of the call that asks and of the one that brings the data."""

    data_path: ClassVar[str]
    question_path: ClassVar[str] = ""
    """Empty where one call asks and brings the data."""
    content_type: ClassVar[str]
    charset: ClassVar[str] = "utf-8"
    names: ClassVar[Names]

    def changed(self, body: bytes, change: Change) -> bytes:
        """Gives the body with its document changed; a body without data (a task still running, a refusal) as it is."""
        tree = self.parsed(self.unwrapped(body))
        document = self.document(tree)
        if document is None:
            return body
        change(document)
        return self.wrapped(body, self.rendered(tree))

    def unwrapped(self, body: bytes) -> bytes:
        """Gives the bytes of the document inside the body."""
        return body

    def wrapped(self, body: bytes, inner: bytes) -> bytes:
        """Gives the body with another document inside."""
        return inner

    def parsed(self, inner: bytes) -> Any:
        """Gives the document as dicts and lists, fractions as Decimal."""
        return json.loads(inner, parse_float=Decimal)

    def rendered(self, tree: Any) -> bytes:
        """Gives the bytes of a document."""
        return _json(tree)

    @abstractmethod
    def document(self, tree: Any) -> Document | None:
        """Gives the part of the document that tests change, None where there is no data in it."""

    @abstractmethod
    def recoded(self, body: bytes, code: str) -> bytes:
        """Gives the body with another code in its envelope."""


def _json(tree: Any) -> bytes:
    """Gives JSON with each `Exactly` and Decimal as the number it is written as."""
    exact: list[str] = []

    def plain(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: plain(value) for key, value in node.items()}
        if isinstance(node, list):
            return [plain(value) for value in node]
        if isinstance(node, (Exactly, Decimal)):
            exact.append(str(node))
            return f"@exact-{len(exact) - 1}@"
        return node

    text = json.dumps(plain(tree), ensure_ascii=False)
    for number, written in enumerate(exact):
        text = text.replace(f'"@exact-{number}@"', written, 1)
    return text.encode()


class Shanghai(Dialect):
    """REST and JSON as it is."""

    data_path = "/api/v1/enterprises/"
    content_type = "application/json"
    names = Names(
        "creditCode", "dataDate", "name", "decisionNo", "violation", "fineAmount", "decisionDate", "penaltyTypes"
    )

    def document(self, tree: Any) -> Document | None:
        data = tree.get("data")
        if data is None:
            return None
        return Document(self.names, data, data["records"], "penalty", "subject")

    def recoded(self, body: bytes, code: str) -> bytes:
        return _json({**json.loads(body), "code": code})


class Zhejiang(Dialect):
    """JSON whose data is a list of one."""

    data_path = "/dataSharing/"
    content_type = "application/json"
    names = Names("tyxydm", "sjrq", "qydwmc", "CF_WSH", "CF_WFXW", "CF_NR_FK", "CF_JDRQ", "CF_CFLB")

    def document(self, tree: Any) -> Document | None:
        if not tree.get("data"):
            return None
        data = tree["data"][0]
        return Document(self.names, data, data, "xzcf", "ztxx")

    def recoded(self, body: bytes, code: str) -> bytes:
        return _json({**json.loads(body), "code": code})


class Jiangsu(Dialect):
    """JSON sealed by SM4 and signed by SM2 inside an envelope of JSON."""

    data_path = "/api/v2/query/result"
    question_path = "/api/v2/query/submit"
    content_type = "application/json"
    names = Names("tyshxydm", "dataTime", "ztmc", "cfwsh", "wfxwlx", "fkje_wy", "cfjdrq", "cflb")

    def unwrapped(self, body: bytes) -> bytes:
        sealed = base64.b64decode(json.loads(body)["encData"])
        if not sealed:
            return b"{}"
        decryptor = _sm4(sealed[:16]).decryptor()
        plain = decryptor.update(sealed[16:]) + decryptor.finalize()
        return plain[: -plain[-1]]

    def wrapped(self, body: bytes, inner: bytes) -> bytes:
        iv, pad = secrets.token_bytes(16), 16 - len(inner) % 16
        encryptor = _sm4(iv).encryptor()
        sealed = base64.b64encode(iv + encryptor.update(inner + bytes([pad]) * pad) + encryptor.finalize())
        nonce = secrets.randbelow(sm2_plain.ORDER - 1) + 1
        raw = sm2_plain.sign(_PLATFORM_KEY, _PLATFORM_POINT, _SIGNER_ID, sealed, nonce)
        signature = base64.b64encode(sm2_plain.der_of_raw(raw))
        return _json({**json.loads(body), "encData": sealed.decode(), "signData": signature.decode()})

    def document(self, tree: Any) -> Document | None:
        result = tree.get("result") if isinstance(tree, dict) else None
        if not result or not result.get("found"):
            return None
        return Document(self.names, result, result["items"], "punish", "subject")

    def recoded(self, body: bytes, code: str) -> bytes:
        return _json({**json.loads(body), "resultCode": code})


def _sm4(iv: bytes) -> Cipher[modes.CBC]:
    return Cipher(SM4(bytes.fromhex(CREDENTIALS["sm4_key"])), modes.CBC(iv))


class Anhui(Dialect):
    """XML inside CDATA inside SOAP, all of it GB18030; here as {"head": attributes, "tables": {name: rows}}."""

    data_path = "/services/"
    content_type = "text/xml"
    charset = "gb18030"
    names = Names("uniscid", "sjrq", "qymc", "JDSWH", "CF_WFXW", "CF_NR_FK", "JDRQ", "CFLB1")

    def unwrapped(self, body: bytes) -> bytes:
        return body.partition(_CDATA[0])[2].partition(_CDATA[1])[0]

    def wrapped(self, body: bytes, inner: bytes) -> bytes:
        before, _, rest = body.partition(_CDATA[0])
        return before + _CDATA[0] + inner + _CDATA[1] + rest.partition(_CDATA[1])[2]

    def parsed(self, inner: bytes) -> Any:
        root = etree.fromstring(inner.decode("gb18030").partition("?>")[2])
        tables = {
            rows.get("table"): [{str(cell.tag): cell.text or "" for cell in row} for row in rows.iter("row")]
            for rows in root.iter("rows")
        }
        return {"head": dict(root.attrib), "tables": tables}

    def rendered(self, tree: Any) -> bytes:
        attributes = "".join(f" {name}={quoteattr(str(value))}" for name, value in tree["head"].items())
        tables = "".join(
            f"<rows table={quoteattr(name)}>{''.join(map(_row, rows))}</rows>" for name, rows in tree["tables"].items()
        )
        return f'<?xml version="1.0" encoding="GB18030"?><Result{attributes}>{tables}</Result>'.encode("gb18030")

    def document(self, tree: Any) -> Document | None:
        if not tree["tables"]:
            return None
        return Document(self.names, tree["head"], tree["tables"], "app_frk_ggxx_xzcf_gb", "tab00558_zt")

    def recoded(self, body: bytes, code: str) -> bytes:
        return body.replace(b'<Result code="1"', f'<Result code="{code}"'.encode(), 1)


def _row(row: Mapping[str, Any]) -> str:
    return "<row>" + "".join(f"<{key}>{escape(str(value or ''))}</{key}>" for key, value in row.items()) + "</row>"


DIALECTS: Final[Mapping[str, Dialect]] = {
    "shanghai": Shanghai(),
    "jiangsu": Jiangsu(),
    "zhejiang": Zhejiang(),
    "anhui": Anhui(),
}
