"""One attempt, told truthfully: whatever goes wrong on the wire becomes the answer's outcome, here and nowhere else."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager

from connectors.kit.documents import BadDocument
from connectors.kit.http import Reply
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_BAD_ANSWER,
    OUTCOME_TOO_LARGE,
)
from gateway.domain.answer import Answer, answer_of_error
from gateway.domain.errors import PlatformError
from gateway.domain.platform import Platform

_TOO_LARGE = frozenset({"too_deep", "too_large"})


@contextmanager
def reading(reply: Reply) -> Iterator[None]:
    """Turns a document that cannot be read into the platform's failure, with the digest of its bytes as evidence."""
    try:
        yield
    except BadDocument as error:
        outcome = OUTCOME_TOO_LARGE if error.reason in _TOO_LARGE else OUTCOME_BAD_ANSWER
        raise PlatformError(outcome, error.reason, detail=error.detail, raw_digest=reply.digest) from error


async def attempt(platform: Platform, categories: Sequence[int], ask: Awaitable[Answer]) -> Answer:
    """Gives what `ask` gives, or the answer its failure amounts to."""
    try:
        return await ask
    except PlatformError as error:
        return answer_of_error(platform.id, error, categories)
