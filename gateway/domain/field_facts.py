"""What a merged view says on a joint field (联合奖惩领域) other than environment: the facts that its criteria read.

The facts have the same names in every field; the field says of which they are. As in the green review, what cannot be read
makes the view unclear, and nothing is concluded from silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from gateway._pb.xinyidai.catalogue.v1 import conduct_pb2, options_pb2, view_pb2
from gateway.domain.crosswalk import Crosswalk, Domain
from gateway.domain.dates import first_day
from gateway.domain.green_policy import GreenPolicy
from gateway.domain.green_reading import Expected, GreenFacts, Reading

_PENALTY: Final = options_pb2.CATEGORY_PENALTY
_EVALUATION: Final = options_pb2.CATEGORY_EVALUATION
_UNTOLD: Final = (conduct_pb2.PENALTY_DOMAIN_UNSPECIFIED, conduct_pb2.PENALTY_DOMAIN_UNMAPPED)

# 较重行政处罚, as order 44 of the market regulator (2021) counts them; a fine's weight cannot be told from its amount alone.
_HEAVY: Final = frozenset(
    {
        conduct_pb2.PENALTY_KIND_QUALIFICATION_LOWERED,
        conduct_pb2.PENALTY_KIND_LICENCE_REVOKED,
        conduct_pb2.PENALTY_KIND_BUSINESS_RESTRICTED,
        conduct_pb2.PENALTY_KIND_BUSINESS_SUSPENDED,
        conduct_pb2.PENALTY_KIND_CLOSURE,
        conduct_pb2.PENALTY_KIND_PROFESSION_RESTRICTED,
    }
)


class _Field(NamedTuple):
    name: str
    penalties: int
    grades: Domain


_FIELDS: Final[Mapping[int, _Field]] = {
    conduct_pb2.JOINT_FIELD_TOURISM: _Field("TOURISM", conduct_pb2.PENALTY_DOMAIN_TOURISM, Domain.TOURISM),
    conduct_pb2.JOINT_FIELD_FOOD_AND_DRUG: _Field(
        "FOOD_AND_DRUG", conduct_pb2.PENALTY_DOMAIN_FOOD_AND_DRUG, Domain.PHARMA
    ),
    conduct_pb2.JOINT_FIELD_QUALITY: _Field("QUALITY", conduct_pb2.PENALTY_DOMAIN_QUALITY, Domain.QUALITY),
}


def field_facts(
    view: view_pb2.CreditView, field: int, policy: GreenPolicy, expected: Expected, crosswalk: Crosswalk
) -> GreenFacts:
    """Gives the facts of a view on a joint field; raises KeyError for environment, whose facts are the green review's."""
    reading = _FieldReading(view, policy, expected, crosswalk)
    of = _FIELDS[field]
    reading.coverage()
    reading.penalties(of)
    found = reading.worst_grade(of.grades, "field_grade")
    reading.state("field_grade", found if found or reading.is_incomplete(_EVALUATION) else "NOT_RATED")
    return reading.facts()


class _FieldReading(Reading):
    def penalties(self, of: _Field) -> None:
        """Reads the field's penalties that are still published."""
        violations: list[tuple[str, tuple[int, int, int]]] = []
        is_heavy = False
        for penalty in self._records.penalties:
            is_own = self._is_own(penalty, of)
            if is_own is None:
                self._unclear(_PENALTY, "a penalty of unknown field")
            if not is_own:
                continue
            violation, number, decided_on = penalty.violation_type, penalty.document_number, penalty.decided_on
            kinds = frozenset(penalty.kinds)
            if not kinds or conduct_pb2.PENALTY_KIND_UNMAPPED in kinds:
                self._unclear(_PENALTY, f"{number}: a kind of penalty nobody here can read")
            is_heavy = is_heavy or not _HEAVY.isdisjoint(kinds)
            fact = "field_repeat_violation" if _HEAVY.isdisjoint(kinds) else "field_heavy_penalty"
            self._note(fact, _PENALTY, penalty, f"{number} {violation or penalty.kinds_raw}".strip(), decided_on)
            if violation:
                violations.append((violation, first_day(decided_on)))
        self.state("field_heavy_penalty", self._known(is_heavy, _PENALTY))
        self.state("field_repeat_violation", self._known(self._repeats(violations), _PENALTY))

    def _is_own(self, penalty: conduct_pb2.Penalty, of: _Field) -> bool | None:
        if penalty.domain not in _UNTOLD:
            return penalty.domain == of.penalties
        told = (
            penalty.authority.name,
            penalty.document_number,
            penalty.basis,
            penalty.violation_type,
            penalty.domain_raw,
        )
        text = " ".join(told)
        if self._is_environmental(text):
            return False
        if any(word in text for word in self._policy.field_words[of.name]):
            return True
        others = (words for name, words in self._policy.field_words.items() if name != of.name)
        return False if any(word in text for words in others for word in words) else None
