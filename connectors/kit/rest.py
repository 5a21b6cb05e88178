"""A REST/JSON platform without a line of Python: signing, envelope and paging are declared in the manifest's [wire].

method = "GET"                               # or POST, then the parameters are a form
path = "/v1/enterprises/{uscc}/records"      # the enterprise's code goes into the path
charset = "utf-8"
content_types = ["application/json"]
[wire.categories]                            # the parameter that names the asked categories
parameter = "datasets"
separator = ","
[wire.sign]                                  # see `Signer`; absent for an unsigned platform
kind = "hmac_sm3"                            # no other is known: override `RestConnector._signer`
[wire.envelope]                              # see `Envelope`
code = "code"                                # where the platform's own code stands in an answer,
data = "data"                                # and the payload; absent: the whole answer is the payload
[wire.envelope.codes]                        # a code that is not here is BAD_ANSWER
0 = "OK"
[wire.status]                                # HTTP statuses that are decisive without a readable body
"404" = "NOT_FOUND"
[wire.paging]
page = "page"                                # 1-based
size = "size"
page_size = 50
total = "total"                              # in the payload: number of rows over all pages
max_pages = 20
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Mapping
from typing import Any, Final

from aiohttp import hdrs
from yarl import URL

from connectors.kit.charset import decode_declared
from connectors.kit.connector import HttpConnector, is_json, joined_digest, unreadable
from connectors.kit.documents import BadDocument, read_json
from connectors.kit.envelope import read_envelope
from connectors.kit.http import Reply
from connectors.kit.http_request import Body, Signing, form
from connectors.kit.manifest import Manifest
from connectors.kit.mapping import MappingFault, PayloadMapping, dig
from connectors.kit.rest_wire import wire_faults
from connectors.kit.signing import hmac_sm3, sorted_parameters
from connectors.kit.values import Unreadable, count
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_BAD_ANSWER, OUTCOME_OK
from gateway.domain.answer import Answer
from gateway.domain.consent import Permit
from gateway.domain.errors import PlatformError
from gateway.domain.query import CreditQuery
from gateway.ports import Clock, ConnectorSetup

_QUESTIONS_KEPT: Final = 1_000


class Signer:
    """HMAC-SM3 over the sorted parameters with key, nonce and time, sent in headers.

    Every attempt on the wire is signed anew, one that is made again on a fresh connection included: a signed attempt is never
    replayed byte for byte.
    """

    def __init__(self, setup: ConnectorSetup) -> None:
        self._clock: Clock = setup.clock
        self._key = setup.secrets["app_key"]
        self._secret = setup.secrets["app_secret"]
        self._base_path = URL(setup.base_url.rstrip("/")).path.rstrip("/")

    def __call__(self, _method: str, path: str, parameters: Mapping[str, str]) -> Mapping[str, str]:
        """Gives the headers that sign a request."""
        nonce = secrets.token_hex(16)
        timestamp = str(int(self._clock.now().timestamp() * 1000))
        signed = {
            **parameters,
            "path": self._base_path + path,
            "appKey": self._key,
            "nonce": nonce,
            "timestamp": timestamp,
        }
        return {
            "X-App-Key": self._key,
            "X-Nonce": nonce,
            "X-Timestamp": timestamp,
            "X-Signature": hmac_sm3(self._secret, sorted_parameters(signed)),
        }


class RestConnector(HttpConnector):
    """The plug to a platform that a manifest and a mapping describe fully."""

    def __init__(self, manifest: Manifest, mapping: PayloadMapping, setup: ConnectorSetup) -> None:
        wire = manifest.dialect
        covered = [one for category, one in mapping.by_category.items() if manifest.platform.covers(category)]
        unnamed = [one.plan.records_field for one in covered if not one.category_key]
        faults = wire_faults(wire, unnamed, setup.secrets)
        if faults:
            raise MappingFault(faults)
        super().__init__(manifest, mapping, setup)
        self._wire = wire
        self._method = wire.get("method", "GET")
        self._path: str = wire["path"]
        self._categories: Mapping[str, str] = wire.get("categories", {})
        self._envelope = read_envelope(wire["envelope"])
        self._paging: Mapping[str, Any] | None = wire.get("paging")
        self._held_parameters: dict[tuple[int, ...], dict[str, str]] = {}
        self._held_forms: dict[tuple[int, ...], Body] = {}
        self._signing = self._signer(setup)

    def _signer(self, setup: ConnectorSetup) -> Signing | None:
        """Gives what signs each attempt, None for an unsigned platform; overridden where a platform signs otherwise."""
        return Signer(setup) if "sign" in self._wire else None

    async def _ask(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        path = self._path.replace("{uscc}", query.uscc.value)
        parameters = self._parameters(permit.categories)
        if self._paging is not None:
            return await self._ask_for_pages(query, permit, fetch_by, path, dict(parameters), self._paging)
        reply = await self._exchange(path, permit.categories, parameters, fetch_by)
        fetched_at, digest = reply.fetched_at(self._clock.now()), reply.digest
        outcome, payload = self._open(reply)
        if outcome != OUTCOME_OK:
            return self._reader.empty(outcome, permit.categories, fetched_at=fetched_at, raw_digest=digest)
        return self._reader.answer((payload,), query.uscc, permit.categories, fetched_at=fetched_at, raw_digest=digest)

    async def _ask_for_pages(
        self,
        query: CreditQuery,
        permit: Permit,
        fetch_by: float,
        path: str,
        parameters: dict[str, str],
        paging: Mapping[str, Any],
    ) -> Answer:
        pages: list[Any] = []
        digests: list[bytes] = []
        oldest = None
        is_cut = False
        while True:
            parameters[paging["page"]] = str(len(pages) + 1)
            reply = await self._exchange(path, permit.categories, parameters, fetch_by)
            digests.append(reply.digest)
            fetched_at = reply.fetched_at(self._clock.now())
            oldest = fetched_at if oldest is None else min(oldest, fetched_at)
            outcome, payload = self._open(reply)
            if outcome != OUTCOME_OK:
                return self._reader.empty(
                    outcome, permit.categories, fetched_at=oldest, raw_digest=joined_digest(digests)
                )
            pages.append(payload)
            if not _has_more(payload, len(pages), paging):
                break
            if len(pages) >= paging["max_pages"]:
                is_cut = True
                break
        return self._reader.answer(
            pages,
            query.uscc,
            permit.categories,
            fetched_at=oldest,
            raw_digest=joined_digest(digests),
            is_cut=is_cut,
        )

    def _parameters(self, permitted: tuple[int, ...]) -> dict[str, str]:
        """Gives the parameters of a question, those of its categories as they were made the first time."""
        held = self._held_parameters.get(permitted)
        if held is None:
            held = {}
            if self._categories:
                keys = [mapping.category_key for mapping in self._reader.asked(permitted)]
                held[self._categories["parameter"]] = self._categories["separator"].join(keys)
            if self._paging is not None:
                held[self._paging["size"]] = str(self._paging["page_size"])
            if len(self._held_parameters) < _QUESTIONS_KEPT:
                self._held_parameters[permitted] = held
        return held

    def _form(self, permitted: tuple[int, ...], parameters: Mapping[str, str]) -> Body:
        """Gives the parameters as a form's body; one without pages is the same for every enterprise and is kept."""
        held = self._held_forms.get(permitted)
        if held is None:
            held = form(parameters)
            if self._paging is None and len(self._held_forms) < _QUESTIONS_KEPT:
                self._held_forms[permitted] = held
        return held

    def _exchange(
        self, path: str, permitted: tuple[int, ...], parameters: Mapping[str, str], fetch_by: float
    ) -> Awaitable[Reply]:
        if self._method == hdrs.METH_GET:
            return self._http.exchange(self._method, path, fetch_by, params=parameters, signing=self._signing)
        signing, body = self._signing, self._form(permitted, parameters)
        if signing is None:
            return self._http.exchange(self._method, path, fetch_by, body=body)

        def of_form(method: str, path: str, _: Mapping[str, str]) -> Mapping[str, str]:
            return signing(method, path, parameters)

        return self._http.exchange(self._method, path, fetch_by, body=body, signing=of_form)

    def _open(self, reply: Reply) -> tuple[Any, Any]:
        """Opens the envelope; a 4xx with an envelope has a code, and the code decides."""
        if not reply.body or (reply.status >= 400 and not is_json(reply)):
            self._refuse(reply)
        try:
            if self._charset != "utf-8" or reply.body.startswith(b"\xef\xbb\xbf"):
                document = read_json(decode_declared(reply.body, self._charset))
            else:
                document = read_json(reply.body)
        except BadDocument as error:
            raise unreadable(error, reply) from error
        return self._envelope.open(document, raw_digest=reply.digest)


def _has_more(payload: Any, pages_read: int, paging: Mapping[str, Any]) -> bool:
    try:
        total = count(dig(payload, paging["total"].split(".")))
    except Unreadable as error:
        raise PlatformError(OUTCOME_BAD_ANSWER, "paging", detail="total is no number") from error
    if total is None:
        raise PlatformError(OUTCOME_BAD_ANSWER, "paging", detail="no total")
    return pages_read * int(paging["page_size"]) < total
