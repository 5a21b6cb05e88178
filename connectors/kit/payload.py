"""A parsed payload → a platform's answer, by the compiled mapping: pure.

For every asked and covered category the payload must hold its rows, be they none: a category that is not there is not an
empty one. The enterprise's code in the payload, and on every row that has one, is checked against the question.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date

from connectors.kit.mapping import DRIFTS_TOLD, Drifts, PayloadMapping, TypeMapping, dig
from connectors.kit.values import Unreadable
from gateway._pb.xinyidai.catalogue.v1 import envelope_pb2, view_pb2
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_BAD_ANSWER,
    OUTCOME_NO_RECORDS,
    OUTCOME_NOT_COVERED,
    OUTCOME_OK,
    OUTCOME_PARTIAL,
    Outcome,
)
from gateway.domain.answer import Answer, category_entry, summary_outcome
from gateway.domain.dates import china_midnight
from gateway.domain.errors import InvalidIdentifierError, PlatformError
from gateway.domain.identifiers import Uscc
from gateway.domain.platform import Platform
from gateway.domain.wire import delimited, encoder


class PayloadReader:
    """Reads one platform's payloads; built once."""

    def __init__(self, platform: Platform, mapping: PayloadMapping) -> None:
        self._platform = platform
        self._mapping = mapping
        self._head = _PLATFORM(platform.id)
        self._as_of_of = lru_cache(maxsize=1024)(self._read_as_of)
        self._covered = {
            category: mapping for category, mapping in mapping.by_category.items() if platform.covers(category)
        }
        self._said_by: dict[int, bytes] = {
            method: envelope_pb2.Provenance(platform=platform.id, match_method=method).SerializeToString()
            for method in envelope_pb2.MatchMethod.values()
        }

    def asked(self, permitted: Iterable[int]) -> list[TypeMapping]:
        """Gives the mappings of the permitted categories the platform covers, in ascending order."""
        return [self._covered[category] for category in sorted(permitted) if category in self._covered]

    def empty(
        self,
        outcome: Outcome.ValueType,
        categories: Sequence[int],
        *,
        fetched_at: datetime,
        raw_digest: bytes,
    ) -> Answer:
        """Gives the answer of a platform that was heard and has nothing: NOT_FOUND or NO_RECORDS."""
        said = view_pb2.Answer(platform=self._platform.id, outcome=outcome, raw_digest=raw_digest)
        for category in categories:
            covered = self._platform.covers(category)
            said.categories.add(category=category, outcome=outcome if covered else OUTCOME_NOT_COVERED)
        return Answer(said=said, fetched_at=fetched_at, attempts=1)

    def answer(
        self,
        pages: Sequence[Any],
        uscc: Uscc,
        categories: Sequence[int],
        *,
        fetched_at: datetime,
        raw_digest: bytes,
        is_cut: bool = False,
    ) -> Answer:
        """Gives the answer of one platform from the pages of its payload.

        `is_cut` says that pages or records beyond a cap were not read: what was read is then PARTIAL("cap"). Raises
        PlatformError BAD_ANSWER: "wrong_subject", "shape".
        """
        for page in pages:
            stated_code = dig(page, self._mapping.subject_path)
            if stated_code != uscc.value:
                self._check_subject(stated_code, uscc)
        drifts = Drifts()
        left = self._platform.limits.max_records
        parts: list[bytes] = [self._head, _RAW_DIGEST(raw_digest), self._as_of(pages, fetched_at, drifts)]
        stated: list[tuple[int, Outcome.ValueType, str]] = []
        records: list[bytes] = []
        for category in categories:
            mapping = self._covered.get(category)
            rows = _rows(pages, mapping) if mapping is not None else None
            outcome, reason, count = OUTCOME_NOT_COVERED, "", 0
            if mapping is not None:
                if rows is None:
                    outcome, reason = OUTCOME_BAD_ANSWER, "category_missing"
                else:
                    if is_cut or len(rows) > left:
                        outcome, reason, rows = OUTCOME_PARTIAL, "cap", rows[:left]
                    else:
                        outcome = OUTCOME_OK if rows else OUTCOME_NO_RECORDS
                    count = len(rows)
                    left -= count
                    if count:
                        self._check_rows(mapping, rows, uscc)
                        records += mapping.encode(rows, self._said_by, drifts)
            parts.append(category_entry(category, outcome, reason, count))
            stated.append((category, outcome, reason))
        parts.append(_summary(tuple(stated)))
        if records:
            parts.append(_RECORDS(b"".join(records)))
        said = view_pb2.Answer.FromString(b"".join(parts))
        if drifts.found:
            said.drifts.extend(drifts.found[:DRIFTS_TOLD])
            if len(drifts.found) > DRIFTS_TOLD:
                said.drifts.add(reason="drifts.cut")
        # By the tuple's own constructor: a named one is a function of Python.
        return tuple.__new__(Answer, (said, 0.0, 1, fetched_at, None, None, "", None))

    def _check_rows(self, mapping: TypeMapping, rows: Sequence[Any], uscc: Uscc) -> None:
        if set(map(type, rows)) != _OBJECTS:
            raise PlatformError(OUTCOME_BAD_ANSWER, "shape", detail="a row is no object")
        for key in mapping.code_keys:
            for row in rows:
                if row.get(key):
                    self._check_subject(row[key], uscc)

    def _check_subject(self, stated: Any, uscc: Uscc) -> None:
        # A platform that knows the firm by an old number sends no code: such records carry their match method instead.
        if stated is None or stated == "" or stated == uscc.value:
            return
        try:
            is_same = Uscc.parse(stated) == uscc
        except InvalidIdentifierError:
            is_same = False
        if not is_same:
            raise PlatformError(OUTCOME_BAD_ANSWER, "wrong_subject", detail="the answer is about another enterprise")

    def _as_of(self, pages: Sequence[Any], fetched_at: datetime, drifts: Drifts) -> bytes:
        """Gives the data time as a field of an answer, nothing when it is not stated, cannot be read, or lies ahead."""
        if self._mapping.as_of is None or not pages:
            return b""
        raw = dig(pages[0], self._mapping.as_of_path)
        try:
            # Days are few. Texts only are kept: 1, 1.0 and True are one key.
            is_kept = type(raw) is str and len(raw) < _LONGEST_DAY
            field, seconds = self._as_of_of(raw) if is_kept else self._read_as_of(raw)
        except Unreadable as error:
            drifts.add(".".join(self._mapping.as_of_path), error.reason, raw)
            return b""
        if seconds > fetched_at.timestamp() + _CLOCK_APART_S:
            # Taken at its word it would win every choice of the newest: an answer from the future has no data time.
            drifts.add(".".join(self._mapping.as_of_path), "date.future")
            return b""
        return field

    def _read_as_of(self, raw: Any) -> tuple[bytes, int]:
        """Gives the field, and the seconds since 1970 in it."""
        assert self._mapping.as_of is not None  # asked only for a mapping that names it
        day = self._mapping.as_of(raw)
        if not isinstance(day, Date) or not day.day:
            return b"", 0
        # A date without a time is true at the start of its day in China: never fresher than it may be.
        seconds = china_midnight(date(day.year, day.month, day.day))
        return _AS_OF(Timestamp(seconds=seconds)), seconds


def _rows(pages: Sequence[Any], mapping: TypeMapping) -> list[Any] | None:
    """Gives the rows of all pages, None when no page has a place for them."""
    rows: list[Any] | None = None
    for page in pages:
        part = dig(page, mapping.rows_path)
        if part is None:
            continue
        if not isinstance(part, list):
            raise PlatformError(OUTCOME_BAD_ANSWER, "shape", detail="rows are no list")
        rows = part if rows is None else rows + part
    return rows


@lru_cache(maxsize=4096)
def _summary(stated: tuple[tuple[int, Outcome.ValueType, str], ...]) -> bytes:
    """Gives outcome and reason of a whole answer on the wire, from those of its categories."""
    outcome, reason = summary_outcome(
        [
            view_pb2.CategoryAnswer(category=category, outcome=said, reason=why)  # type: ignore[arg-type]
            for category, said, why in stated
        ]
    )
    return view_pb2.Answer(outcome=outcome, reason=reason).SerializeToString()


_FIELDS: Final = view_pb2.Answer.DESCRIPTOR.fields_by_name
_PLATFORM: Final = encoder(_FIELDS["platform"])
_RAW_DIGEST: Final = encoder(_FIELDS["raw_digest"])
_AS_OF: Final = encoder(_FIELDS["as_of"])
_RECORDS: Final = delimited(_FIELDS["records"])
_OBJECTS: Final = {dict}
_LONGEST_DAY: Final = 64
_CLOCK_APART_S: Final = 900.0
"""How far a platform's clock may be ahead of ours before its data time is of the future."""
