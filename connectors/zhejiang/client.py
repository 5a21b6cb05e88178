"""The wire of the simulated Zhejiang platform: two stages of secrets, each with an end, and a signature by MD5.

    appSecret     → refreshTokenByKey → refreshSecret (48 h) and requestSecret (15 min)
    refreshSecret → refreshTokenBySec → a new requestSecret
    requestSecret → signs business calls: md5(appKey + requestSecret + requestTime)

Token calls answer in `datas`, business calls in `data`: a list on success, an empty text on failure, HTTP 200 both times.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from connectors.kit.charset import decode_declared
from connectors.kit.connector import HttpConnector, reading
from connectors.kit.documents import read_json
from connectors.kit.envelope import read_envelope
from connectors.kit.http import Reply
from connectors.kit.http_request import form
from connectors.kit.manifest import Manifest
from connectors.kit.mapping import PayloadMapping
from connectors.kit.signing import md5_hex
from connectors.kit.token import Token, TokenKeeper
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_AUTH_FAILED,
    OUTCOME_BAD_ANSWER,
    OUTCOME_NOT_FOUND,
)
from gateway.domain.answer import Answer
from gateway.domain.consent import Permit
from gateway.domain.errors import PlatformError
from gateway.domain.query import CreditQuery
from gateway.ports import ConnectorSetup

_BY_KEY = "/gateway/app/refreshTokenByKey.htm"
_BY_SECRET = "/gateway/app/refreshTokenBySec.htm"


class ZhejiangConnector(HttpConnector):
    """The plug to the simulated Zhejiang platform."""

    def __init__(self, manifest: Manifest, mapping: PayloadMapping, setup: ConnectorSetup) -> None:
        super().__init__(manifest, mapping, setup)
        wire = manifest.dialect
        self._key, self._secret = setup.secrets["app_key"], setup.secrets["app_secret"]
        self._service: str = wire["service"]
        self._separator: str = wire["categories"]["separator"]
        self._parameter: str = wire["categories"]["parameter"]
        self._envelope = read_envelope(wire["envelope"])
        self._token_envelope = read_envelope({**wire["envelope"], "data": "datas"})
        self._refresh_secret = TokenKeeper(self._by_key, setup.clock)
        self._request_secret = TokenKeeper(self._by_refresh_secret, setup.clock)

    async def _ask(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        keys = [mapping.category_key for mapping in self._reader.asked(permit.categories)]
        asked = {"tyxydm": query.uscc.value, self._parameter: self._separator.join(keys)}
        secret = await self._request_secret.get(fetch_by)
        try:
            reply, data = await self._call(self._service, asked, secret, fetch_by)
        except PlatformError as error:
            if not _is_lost(error, self._request_secret, secret):
                raise
            secret = await self._request_secret.get(fetch_by)
            reply, data = await self._call(self._service, asked, secret, fetch_by)
        fetched_at = reply.fetched_at(self._clock.now())
        if not isinstance(data, list):
            raise PlatformError(OUTCOME_BAD_ANSWER, "shape", detail="data is no list", raw_digest=reply.digest)
        if not data:
            return self._reader.empty(
                OUTCOME_NOT_FOUND, permit.categories, fetched_at=fetched_at, raw_digest=reply.digest
            )
        return self._reader.answer(data, query.uscc, permit.categories, fetched_at=fetched_at, raw_digest=reply.digest)

    async def _call(self, path: str, asked: Mapping[str, str], secret: str, fetch_by: float) -> tuple[Reply, Any]:
        reply = await self._http.exchange("POST", path, fetch_by, body=form(self._signed(asked, secret)))
        return reply, self._open(reply, self._envelope)

    def _signed(self, asked: Mapping[str, str], secret: str) -> dict[str, str]:
        moment = str(int(self._clock.now().timestamp() * 1000))
        sign = md5_hex(self._key + secret + moment)
        return {**asked, "appKey": self._key, "requestTime": moment, "sign": sign}

    def _open(self, reply: Reply, envelope: Any) -> Any:
        if reply.status >= 400 or not reply.body:
            self._refuse(reply)
        with reading(reply):
            document = read_json(decode_declared(reply.body, "utf-8"))
        return envelope.open(document, raw_digest=reply.digest)[1]

    async def _by_key(self, fetch_by: float, held: Token | None) -> Token:
        secrets = await self._token_call(_BY_KEY, self._secret, fetch_by)
        self._request_secret.keep(_token(secrets, "requestSecret"))
        return _token(secrets, "refreshSecret")

    async def _by_refresh_secret(self, fetch_by: float, held: Token | None) -> Token:
        before = held
        refresh_secret = await self._refresh_secret.get(fetch_by)
        came_along = self._request_secret.held
        if came_along is not None and came_along is not before:
            return came_along
        try:
            secrets = await self._token_call(_BY_SECRET, refresh_secret, fetch_by)
        except PlatformError as error:
            if not _is_lost(error, self._refresh_secret, refresh_secret):
                raise
            await self._refresh_secret.get(fetch_by)
            came_along = self._request_secret.held
            if came_along is None:
                raise
            return came_along
        return _token(secrets, "requestSecret")

    async def _token_call(self, path: str, secret: str, fetch_by: float) -> Mapping[str, Any]:
        reply = await self._http.exchange("POST", path, fetch_by, body=form(self._signed({}, secret)))
        secrets = self._open(reply, self._token_envelope)
        if not isinstance(secrets, Mapping):
            raise PlatformError(OUTCOME_AUTH_FAILED, "token_shape", detail="no secrets in datas")
        return secrets


def _is_lost(error: PlatformError, keeper: TokenKeeper, secret: str) -> bool:
    """Whether a call may succeed with another secret; forgets this one then.

    One that the platform does not know any more makes a signature like a wrong one: nothing tells them apart.
    """
    if error.cause == "token_expired":
        keeper.drop(secret)
        return True
    return error.cause == "signature" and keeper.doubt(secret)


def _token(secrets: Mapping[str, Any], name: str) -> Token:
    try:
        until = datetime.fromtimestamp(int(secrets[f"{name}EndTime"]) / 1000, UTC)
        return Token(str(secrets[name]), until)
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise PlatformError(OUTCOME_AUTH_FAILED, "token_shape", detail=f"no usable {name}") from error
