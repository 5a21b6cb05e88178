"""The wire of the simulated Jiangsu platform: a task is submitted, then polled until it is done.

    POST /oauth/token              client credentials → access_token (2 h)
    POST /api/v2/query/submit      → taskId, status ACCEPTED, pollAfterMs
    POST /api/v2/query/result      → status PROCESSING | DONE | EXPIRED

Bodies are `{"encData": base64(iv ‖ SM4-CBC(json)), "signData": base64(SM2 DER over encData)}` both ways; an answer whose
signature does not verify is AUTH_FAILED. A task that expired is submitted anew once. A task still running at the deadline
is TIMEOUT(pending); its id is kept for the next query of the same question until it expires over there, or comes to no good.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import msgspec

from connectors.kit.charset import decode_declared
from connectors.kit.connector import HttpConnector, is_json, reading
from connectors.kit.documents import read_json
from connectors.kit.envelope import read_envelope
from connectors.kit.http import Reply
from connectors.kit.http_request import Body, form
from connectors.kit.manifest import Manifest
from connectors.kit.mapping import PayloadMapping
from connectors.kit.poll import poll_until
from connectors.kit.signing import sm4_cbc_decrypt, sm4_cbc_encrypt
from connectors.kit.token import Token, TokenKeeper
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_AUTH_FAILED,
    OUTCOME_BAD_ANSWER,
    OUTCOME_NOT_FOUND,
    OUTCOME_RATE_LIMITED,
)
from gateway.domain.answer import Answer
from gateway.domain.consent import Permit
from gateway.domain.errors import PlatformError
from gateway.domain.query import CreditQuery
from gateway.domain.sm2 import Sm2Signer, Sm2Verifier
from gateway.ports import ConnectorSetup

_TASKS_KEPT: Final = 10_000
TaskKey = tuple[str, tuple[int, ...], str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _Task:
    id: str
    poll_after_s: float
    expires_at: float


class JiangsuConnector(HttpConnector):
    """The plug to the simulated Jiangsu platform."""

    def __init__(self, manifest: Manifest, mapping: PayloadMapping, setup: ConnectorSetup) -> None:
        super().__init__(manifest, mapping, setup)
        wire = manifest.dialect
        self._secrets = setup.secrets
        self._task_lifetime_s: float = wire["task_lifetime_s"]
        self._shortest_poll_s: float = wire["shortest_poll_ms"] / 1000
        signer_id = wire["signer_id"].encode()
        self._signer = Sm2Signer(setup.secrets["sign_key"], signer_id=signer_id)
        self._verifier = Sm2Verifier(setup.secrets["platform_key"], signer_id=signer_id)
        self._sm4_key = bytes.fromhex(setup.secrets["sm4_key"])
        if len(self._sm4_key) != 16:
            raise ValueError("secrets.sm4_key: an SM4 key has 16 bytes in hexadecimal")
        self._envelope = read_envelope(wire["envelope"])
        self._token = TokenKeeper(self._new_token, setup.clock)
        self._tasks: dict[TaskKey, _Task] = {}

    async def _ask(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        # A running task may be taken up again only by the same bank under the same permit and consents.
        key: TaskKey = (query.uscc.value, permit.categories, query.bank, query.consent_ids)
        result, reply = await self._result(key, fetch_by)
        if result is None:  # expired over there: submitted anew, once
            self._tasks.pop(key, None)
            result, reply = await self._result(key, fetch_by)
        if result is None:
            raise PlatformError(OUTCOME_BAD_ANSWER, "task_expired", detail="the task expired twice")
        self._tasks.pop(key, None)
        fetched_at = reply.fetched_at(self._clock.now())
        if result.get("found") is False:
            return self._reader.empty(
                OUTCOME_NOT_FOUND, permit.categories, fetched_at=fetched_at, raw_digest=reply.digest
            )
        return self._reader.answer(
            [result], query.uscc, permit.categories, fetched_at=fetched_at, raw_digest=reply.digest
        )

    async def _result(self, key: TaskKey, fetch_by: float) -> tuple[Mapping[str, Any] | None, Reply]:
        """Gives the finished task's result, None when the task expired over there."""
        task = self._tasks.get(key)
        first_wait_s = 0.0
        if task is None or task.expires_at <= self._clock.monotonic():
            task = await self._submit(key, fetch_by)
            first_wait_s = task.poll_after_s

        async def look() -> tuple[tuple[Mapping[str, Any] | None, Reply] | None, float]:
            try:
                answer, reply = await self._call("/api/v2/query/result", {"taskId": task.id}, fetch_by)
            except PlatformError as error:
                if error.outcome == OUTCOME_RATE_LIMITED:  # polled too soon: it says when to look again
                    return None, error.retry_after_s or task.poll_after_s
                raise
            status = answer.get("status")
            if status == "DONE":
                return (_object(answer.get("result"), "result"), reply), 0.0
            if status == "EXPIRED":
                return (None, reply), 0.0
            if status in ("ACCEPTED", "PROCESSING"):
                return None, self._wait(answer)
            raise PlatformError(OUTCOME_BAD_ANSWER, "status_unknown", detail="of the task")

        try:
            return await poll_until(look, first_wait_s=first_wait_s, fetch_by=fetch_by, clock=self._clock)
        except PlatformError as error:
            if error.outcome == OUTCOME_BAD_ANSWER and self._tasks.get(key) is task:
                del self._tasks[key]  # what it came to would be the next query's answer too
            raise

    async def _submit(self, key: TaskKey, fetch_by: float) -> _Task:
        uscc, categories = key[0], key[1]
        items = [mapping.category_key for mapping in self._reader.asked(categories)]
        answer, _ = await self._call("/api/v2/query/submit", {"tyshxydm": uscc, "items": items}, fetch_by)
        task_id = answer.get("taskId")
        if not isinstance(task_id, str) or not task_id:
            raise PlatformError(OUTCOME_BAD_ANSWER, "shape", detail="no taskId")
        expires_at = self._clock.monotonic() + self._task_lifetime_s
        task = _Task(task_id, self._wait(answer), expires_at)
        if len(self._tasks) >= _TASKS_KEPT:
            self._tasks.pop(next(iter(self._tasks)))
        self._tasks[key] = task
        return task

    def _wait(self, answer: Mapping[str, Any]) -> float:
        stated = answer.get("pollAfterMs")
        stated_s = stated / 1000 if isinstance(stated, int) else 0.0
        return max(stated_s, self._shortest_poll_s)

    async def _call(self, path: str, question: Mapping[str, Any], fetch_by: float) -> tuple[Mapping[str, Any], Reply]:
        token = await self._token.get(fetch_by)
        try:
            return await self._call_with(token, path, question, fetch_by)
        except PlatformError as error:
            if error.cause != "token_expired":
                raise
            self._token.drop(token)
            token = await self._token.get(fetch_by)
            return await self._call_with(token, path, question, fetch_by)

    async def _call_with(
        self, token: str, path: str, question: Mapping[str, Any], fetch_by: float
    ) -> tuple[Mapping[str, Any], Reply]:
        iv = secrets.token_bytes(16)
        sealed = iv + sm4_cbc_encrypt(self._sm4_key, iv, msgspec.json.encode(question))
        enc_data = base64.b64encode(sealed)
        body = {
            "encData": enc_data.decode(),
            "signData": base64.b64encode(self._signer.sign(enc_data)).decode(),
            "nonce": secrets.token_hex(8),
            "timestamp": str(int(self._clock.now().timestamp() * 1000)),
        }
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        reply = await self._http.exchange("POST", path, fetch_by, body=Body(msgspec.json.encode(body)), headers=headers)
        document = self._read(reply)
        self._envelope.open(document, raw_digest=reply.digest)
        return self._unseal(document, reply), reply

    def _read(self, reply: Reply) -> Any:
        if not reply.body or (reply.status >= 400 and not is_json(reply)):
            self._refuse(reply)
        with reading(reply):
            return read_json(decode_declared(reply.body, "utf-8"))

    def _unseal(self, document: Mapping[str, Any], reply: Reply) -> Mapping[str, Any]:
        """Checks the signature first, then deciphers: nothing unsigned is ever parsed."""
        try:
            enc_data = str(document["encData"]).encode()
            signature = base64.b64decode(document["signData"], validate=True)
            sealed = base64.b64decode(enc_data, validate=True)
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise PlatformError(
                OUTCOME_BAD_ANSWER, "envelope", detail="encData or signData", raw_digest=reply.digest
            ) from error
        if not self._verifier.verify(enc_data, signature):
            raise PlatformError(
                OUTCOME_AUTH_FAILED,
                "answer_signature",
                detail="the platform's signature does not verify",
                raw_digest=reply.digest,
            )
        try:
            plain = sm4_cbc_decrypt(self._sm4_key, sealed[:16], sealed[16:])
        except ValueError as error:
            raise PlatformError(
                OUTCOME_AUTH_FAILED, "decipher", detail="SM4 key or padding", raw_digest=reply.digest
            ) from error
        with reading(reply):
            return _object(read_json(decode_declared(plain, "utf-8")), "encData")

    async def _new_token(self, fetch_by: float, held: Token | None) -> Token:
        asked = {
            "grant_type": "client_credentials",
            "client_id": self._secrets["client_id"],
            "client_secret": self._secrets["client_secret"],
        }
        reply = await self._http.exchange("POST", "/oauth/token", fetch_by, body=form(asked))
        if reply.status >= 400:
            raise PlatformError(OUTCOME_AUTH_FAILED, f"token_http_{reply.status}")
        with reading(reply):
            answer = _object(read_json(decode_declared(reply.body, "utf-8")), "token")
        token, lifetime_s = answer.get("access_token"), answer.get("expires_in")
        if not isinstance(token, str) or not isinstance(lifetime_s, int):
            raise PlatformError(OUTCOME_AUTH_FAILED, "token_shape", detail="no usable access_token")
        return Token(token, self._clock.now() + timedelta(seconds=lifetime_s))


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise PlatformError(OUTCOME_BAD_ANSWER, "shape", detail=f"{what} is no object")
    return value
