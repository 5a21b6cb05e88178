"""What every connector over HTTP is made of: facts, reader, caller, and one attempt told truthfully.

Whatever goes wrong on the wire becomes the answer's outcome here and nowhere else; a dialect only says how it asks.
"""

from __future__ import annotations

import codecs
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NoReturn

from aiohttp import hdrs

from connectors.kit.documents import BadDocument
from connectors.kit.envelope import read_verdict
from connectors.kit.http import HttpCaller, Reply
from connectors.kit.manifest import Manifest
from connectors.kit.mapping import PayloadMapping
from connectors.kit.payload import PayloadReader
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_AUTH_FAILED,
    OUTCOME_BAD_ANSWER,
    OUTCOME_NO_RECORDS,
    OUTCOME_NOT_FOUND,
    OUTCOME_TOO_LARGE,
)
from gateway.domain.answer import Answer, answer_of_error
from gateway.domain.consent import Permit
from gateway.domain.errors import PlatformError
from gateway.domain.platform import Platform
from gateway.domain.query import CreditQuery
from gateway.domain.statement import sm3
from gateway.ports import ConnectorSetup

_TOO_LARGE: Final = frozenset({"too_deep", "too_large"})
_HAS_NOTHING: Final = frozenset({OUTCOME_NO_RECORDS, OUTCOME_NOT_FOUND})


class HttpConnector(ABC):
    """The plug to one platform; a dialect adds `_ask`."""

    def __init__(self, manifest: Manifest, mapping: PayloadMapping, setup: ConnectorSetup) -> None:
        charset = manifest.dialect.get("charset", "utf-8")
        try:
            codecs.lookup(charset)
        except LookupError as error:
            raise ValueError(f"manifest.toml: wire.charset: {charset!r} is no charset") from error
        self._charset: str = charset
        self._statuses = {
            int(status): read_verdict(meaning) for status, meaning in manifest.dialect.get("status", {}).items()
        }
        self._platform = manifest.platform
        self._clock = setup.clock
        self._reader = PayloadReader(manifest.platform, mapping)
        self._http = HttpCaller(
            setup.session,
            setup.clock,
            setup.base_url,
            max_body_bytes=manifest.platform.limits.max_body_bytes,
            content_types=manifest.dialect.get("content_types", ()),
            tls=setup.tls,
        )

    @property
    def platform(self) -> Platform:
        """The facts about the platform."""
        return self._platform

    @property
    def clock_skew_s(self) -> float | None:
        """How far the platform's clock is ahead of ours, in seconds; None until it answered once."""
        return self._http.clock_skew_s

    async def fetch(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        """Makes one attempt: token, paging and polling are all part of it."""
        try:
            return await self._ask(query, permit, fetch_by)
        except PlatformError as error:
            if error.outcome in _HAS_NOTHING:  # a status that the manifest calls so: it was heard, where it covers
                return self._reader.empty(
                    error.outcome, permit.categories, fetched_at=self._clock.now(), raw_digest=error.raw_digest
                )
            return answer_of_error(self._platform.id, error, permit.categories)

    def _refuse(self, reply: Reply) -> NoReturn:
        """Raises what a status without a document means: what the manifest's [wire.status] says, else no good answer."""
        verdict = self._statuses.get(reply.status)
        if verdict is not None:
            raise PlatformError(verdict.outcome, verdict.reason or f"http_{reply.status}", raw_digest=reply.digest)
        if reply.status < 300:
            raise PlatformError(OUTCOME_BAD_ANSWER, "empty", detail=f"HTTP {reply.status} without a body")
        outcome = OUTCOME_AUTH_FAILED if reply.status in (401, 403) else OUTCOME_BAD_ANSWER
        raise PlatformError(outcome, f"http_{reply.status}", raw_digest=reply.digest)

    @abstractmethod
    async def _ask(self, query: CreditQuery, permit: Permit, fetch_by: float) -> Answer:
        """Asks in the platform's dialect; raises PlatformError."""


@contextmanager
def reading(reply: Reply) -> Iterator[None]:
    """Turns a document that cannot be read into the platform's failure, with the digest of its bytes as evidence."""
    try:
        yield
    except BadDocument as error:
        raise unreadable(error, reply) from error


def unreadable(error: BadDocument, reply: Reply) -> PlatformError:
    """Gives the platform's failure for a document that cannot be read; a `with` block costs as much as a short reading."""
    outcome = OUTCOME_TOO_LARGE if error.reason in _TOO_LARGE else OUTCOME_BAD_ANSWER
    return PlatformError(outcome, error.reason, detail=error.detail, raw_digest=reply.digest)


def joined_digest(digests: Sequence[bytes]) -> bytes:
    """Gives one digest for an answer of several bodies: the digest itself for one, the digest of digests for more."""
    return digests[0] if len(digests) == 1 else sm3(b"".join(digests))


def is_json(reply: Reply) -> bool:
    """Whether a reply says that it is JSON."""
    return reply.headers.get(hdrs.CONTENT_TYPE, "").startswith("application/json")
