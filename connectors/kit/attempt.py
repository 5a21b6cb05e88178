"""One attempt, told truthfully: whatever goes wrong on the wire becomes the answer's outcome, here and nowhere else."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import replace

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_BAD_ANSWER,
    OUTCOME_TOO_LARGE,
)
from gateway.domain.answer import Answer, answer_of_error
from gateway.domain.errors import PlatformError
from gateway.domain.platform import Platform
from gateway.ports import Clock

from connectors.kit.documents import BadDocument

_TOO_LARGE = frozenset({"too_deep", "too_large"})


async def attempt(
    platform: Platform, categories: Sequence[int], ask: Awaitable[Answer], clock: Clock
) -> Answer:
    """Gives what `ask` gives, or the answer its failure amounts to, with the time it took."""
    started = clock.monotonic()
    try:
        answer = await ask
    except PlatformError as error:
        answer = answer_of_error(platform.id, error, categories)
    except BadDocument as error:
        outcome = OUTCOME_TOO_LARGE if error.reason in _TOO_LARGE else OUTCOME_BAD_ANSWER
        failure = PlatformError(outcome, error.reason, detail=error.detail)
        answer = answer_of_error(platform.id, failure, categories)
    return replace(answer, latency_s=clock.monotonic() - started)
