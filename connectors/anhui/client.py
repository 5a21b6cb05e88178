"""The wire of the simulated Anhui platform: SOAP 1.1 in GB18030, key and MD5 in the body, pages counted from 1.

The return value is an XML document of its own inside CDATA, `<Result code="1" total="12">`, with `total` as text, tables
named as in the province's data catalogue, and rows that may carry the old registration number (zch) only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from connectors.kit.charset import decode_declared
from connectors.kit.connector import HttpConnector, joined_digest, reading
from connectors.kit.documents import read_xml
from connectors.kit.envelope import read_envelope
from connectors.kit.http import Reply
from connectors.kit.http_request import Body
from connectors.kit.manifest import Manifest
from connectors.kit.mapping import PayloadMapping
from connectors.kit.signing import md5_hex
from connectors.kit.soap import rows_by_table, soap_request, soap_return
from connectors.kit.values import Unreadable, count
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_BAD_ANSWER, OUTCOME_OK, Outcome
from gateway.domain.answer import Answer
from gateway.domain.consent import Permit
from gateway.domain.dates import CHINA
from gateway.domain.errors import PlatformError
from gateway.domain.query import CreditQuery
from gateway.ports import ConnectorSetup

_OPERATION: Final = "queryEnterprise"


class AnhuiConnector(HttpConnector):
    """The plug to the simulated Anhui platform."""

    def __init__(self, manifest: Manifest, mapping: PayloadMapping, setup: ConnectorSetup) -> None:
        super().__init__(manifest, mapping, setup)
        wire = manifest.dialect
        self._key, self._secret = setup.secrets["access_key"], setup.secrets["access_secret"]
        self._path: str = wire["path"]
        self._namespace: str = wire["namespace"]
        self._page_size: int = wire["paging"]["page_size"]
        self._max_pages: int = wire["paging"]["max_pages"]
        self._envelope = read_envelope(wire["envelope"])

    async def _ask(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        tables = ",".join(m.category_key for m in self._reader.asked(permit.categories))
        pages: list[Any] = []
        digests: list[bytes] = []
        oldest = None
        while True:
            reply = await self._call(query.uscc.value, tables, len(pages) + 1, fetch_by)
            digests.append(reply.digest)
            fetched_at = reply.fetched_at(self._clock.now())
            oldest = fetched_at if oldest is None else min(oldest, fetched_at)
            outcome, page, total = self._open(reply)
            raw_digest = joined_digest(digests)
            if outcome != OUTCOME_OK:
                return self._reader.empty(outcome, permit.categories, fetched_at=oldest, raw_digest=raw_digest)
            pages.append(page)
            is_last = len(pages) * self._page_size >= total
            if is_last or len(pages) >= self._max_pages:
                return self._reader.answer(
                    pages,
                    query.uscc,
                    permit.categories,
                    fetched_at=oldest,
                    raw_digest=raw_digest,
                    is_cut=not is_last,
                )

    async def _call(self, uscc: str, tables: str, page: int, fetch_by: float) -> Reply:
        stamp = self._clock.now().astimezone(CHINA).strftime("%Y%m%d%H%M%S")
        arguments = {
            "accessKey": self._key,
            "timestamp": stamp,
            "sign": md5_hex(self._key + uscc + stamp + self._secret).upper(),
            "code": uscc,
            "tables": tables,
            "pageNo": str(page),
            "pageSize": str(self._page_size),
        }
        body = soap_request(_OPERATION, self._namespace, arguments).encode(self._charset)
        headers = {"Content-Type": f"text/xml; charset={self._charset}", "SOAPAction": f'"{_OPERATION}"'}
        return await self._http.exchange("POST", self._path, fetch_by, body=Body(body), headers=headers)

    def _open(self, reply: Reply) -> tuple[Outcome.ValueType, Mapping[str, Any], int]:
        if reply.status >= 400 or not reply.body:
            self._refuse(reply)
        with reading(reply):
            outer = decode_declared(reply.body, self._charset)
            root = read_xml(soap_return(outer, f"{_OPERATION}Return"))
        if root.tag != "Result":
            raise PlatformError(OUTCOME_BAD_ANSWER, "envelope", detail="no Result", raw_digest=reply.digest)
        document: dict[str, Any] = {**{str(k): v for k, v in root.attrib.items()}, "tables": rows_by_table(root)}
        outcome, page = self._envelope.open(document, raw_digest=reply.digest)
        if outcome != OUTCOME_OK:
            return outcome, page, 0
        try:
            total = count(root.get("total"))
        except Unreadable as error:
            raise PlatformError(OUTCOME_BAD_ANSWER, "paging", detail="total is no number") from error
        if total is None:
            raise PlatformError(OUTCOME_BAD_ANSWER, "paging", detail="no total")
        return outcome, page, total
