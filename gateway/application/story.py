"""What is known of one query while it is under way: when it was let in, what has come of it so far, and its trail entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gateway.domain.answer import Answer
from gateway.domain.audit import AuditEntry
from gateway.domain.audit_entries import audit_entry
from gateway.domain.caller import Caller
from gateway.domain.consent import Permit
from gateway.domain.errors import UnauthenticatedError
from gateway.domain.figures import ViewFigures
from gateway.domain.query import CreditQuery
from gateway.domain.response_digest import DigestOf
from gateway.domain.statement import Reader, Reading
from gateway.domain.told import Told
from gateway.domain.verdict import NOTHING_TO_ASK

_RESERVE_SHARE: Final = 0.15
_RESERVE_S: Final = (0.02, 0.25)
_NO_PERMIT: Final = Permit(kind="", categories=())


@dataclass(slots=True)
class Admission:
    """When a query was let in, by when it must be answered, and who asks; never changed once made, as `CreditQuery`.

    `at` is the moment as_of is taken from, once; `arrived` and `deadline` are points of `Clock.monotonic`. `caller` is None
    for a query that came by no call.
    """

    at: datetime
    arrived: float
    deadline: float
    caller: Caller | None = None

    @property
    def fetch_by(self) -> float:
        """The point by which answers must be in: a share of the time left is kept back to merge and answer."""
        left = self.deadline - self.arrived
        return self.deadline - min(max(left * _RESERVE_SHARE, _RESERVE_S[0]), _RESERVE_S[1])

    def lapse(self, now: datetime) -> UnauthenticatedError | None:
        """Gives the error of a caller that is proven no more at a moment."""
        return self.caller.lapse(now) if self.caller is not None else None


class Story:
    """What is known of one query while it is under way."""

    def __init__(
        self, query: CreditQuery, admission: Admission, answer_id: str, reader: Reader, digest_of: DigestOf
    ) -> None:
        self.query = query
        self.admission = admission
        self.answer_id = answer_id
        self.permit = _NO_PERMIT
        self.denied_by = ""
        self.is_cancelled = False
        self.distrusted: list[str] = []
        self._reader = reader
        self._digest_of = digest_of
        self._answers: dict[str, Answer] = {}
        self._readings: dict[str, Reading] = {}

    @property
    def is_all_kept(self) -> bool:
        """Whether no platform was asked: what may be known of the enterprise was kept already."""
        for answer in self._answers.values():
            if answer.cache_age_s is None and answer.said.outcome not in NOTHING_TO_ASK:
                return False
        return True

    def note(self, answer: Answer) -> None:
        """Takes one answer, and reads it unless it was kept: then it may be that its view was too."""
        if answer.cache_age_s is None:
            self.take(answer)
        else:
            self._answers[answer.said.platform] = answer

    def take(self, answer: Answer) -> Reading:
        """Takes one answer and reads it; one that may not enter the merge is not to be given to the next query either."""
        try:
            reading = self._reader.read(answer, self.query.uscc.value)
        except Exception:
            self.distrusted.append(answer.platform)
            raise
        if reading.answer is not answer:
            self.distrusted.append(answer.platform)
        platform = answer.said.platform
        self._answers[platform] = reading.answer
        self._readings[platform] = reading
        return reading

    def answers(self) -> tuple[Answer, ...]:
        """Gives all answers so far, ordered by platform id."""
        return tuple([self._answers[platform] for platform in sorted(self._answers)])

    def in_order(self) -> list[Reading]:
        """Gives the readings of all answers so far, ordered by platform id."""
        for platform in self._answers.keys() - self._readings.keys():
            self.take(self._answers[platform])
        return [self._readings[platform] for platform in sorted(self._readings)]

    def entry(
        self,
        event: str,
        at: datetime,
        answers: Sequence[Answer] = (),
        figures: ViewFigures | None = None,
        stale_copies: int = 0,
        reason: str = "",
        told: Sequence[Told] = (),
    ) -> AuditEntry:
        """Gives the trail's entry for what has happened."""
        return audit_entry(
            event,
            self.query,
            self.permit,
            answers,
            answer_id=self.answer_id,
            at=at,
            view_id=figures.view_id if figures is not None else "",
            completeness_bp=figures.completeness_bp if figures is not None else None,
            stale_copies=stale_copies,
            reason=reason,
            policy=self.denied_by,
            certificate=self.admission.caller.certificate if self.admission.caller is not None else "",
            digest_of=self._digest_of,
            told=told,
        )
