"""Envelopes: what a platform's own code says about its answer, by a table in the manifest.

A code is decisive whatever the HTTP status says, since some platforms answer everything with 200. A code that is not in
the table is BAD_ANSWER, never OK.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from connectors.kit.mapping import dig
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import (
    OUTCOME_BAD_ANSWER,
    OUTCOME_NO_RECORDS,
    OUTCOME_NOT_FOUND,
    OUTCOME_OK,
    Outcome,
)
from gateway.domain.errors import PlatformError

_GIVEN: Final = frozenset({OUTCOME_OK, OUTCOME_NO_RECORDS, OUTCOME_NOT_FOUND})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a code means: an outcome and a sub-reason."""

    outcome: Outcome.ValueType
    reason: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """Where code and payload stand in an answer, and what each code means."""

    code_path: tuple[str, ...]
    data_path: tuple[str, ...]
    codes: Mapping[str, Verdict]

    def open(self, document: Any, *, raw_digest: bytes = b"") -> tuple[Outcome.ValueType, Any]:
        """Gives OK, NO_RECORDS or NOT_FOUND with the payload; raises PlatformError for any other code."""
        code = dig(document, self.code_path)
        if type(code) is not str:
            if code is None or isinstance(code, (dict, list)):
                raise PlatformError(
                    OUTCOME_BAD_ANSWER, "envelope", detail="no code in the answer", raw_digest=raw_digest
                )
            code = str(code)
        verdict = self.codes.get(code)
        if verdict is None:
            raise PlatformError(
                OUTCOME_BAD_ANSWER,
                "code_unknown",
                detail=f"code {code[:32]!r} is not in the manifest",
                raw_digest=raw_digest,
            )
        if verdict.outcome not in _GIVEN:
            raise PlatformError(verdict.outcome, verdict.reason, detail=f"code {code}", raw_digest=raw_digest)
        return verdict.outcome, dig(document, self.data_path) if self.data_path else document


def read_envelope(table: Mapping[str, Any]) -> Envelope:
    """Reads a manifest's [wire.envelope]; raises ValueError naming an outcome that does not exist."""
    return Envelope(
        code_path=tuple(table["code"].split(".")),
        data_path=tuple(part for part in table.get("data", "").split(".") if part),
        codes={code: read_verdict(meaning) for code, meaning in table["codes"].items()},
    )


def read_verdict(meaning: str) -> Verdict:
    """Reads "AUTH_FAILED:token_expired"; raises ValueError for an outcome that does not exist."""
    name, _, reason = meaning.partition(":")
    if f"OUTCOME_{name}" not in Outcome.keys() or name == "UNSPECIFIED":  # noqa: SIM118  # an enum, not a dict
        known = ", ".join(outcome.removeprefix("OUTCOME_") for outcome in Outcome.keys()[1:])
        raise ValueError(f"{name!r} is no outcome; use one of {known}")
    return Verdict(Outcome.Value(f"OUTCOME_{name}"), reason)
