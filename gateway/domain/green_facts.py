"""What a merged view says for the green review (绿色信贷审查): the environmental facts that the rules read.

A grade, list or penalty that cannot be read makes the view unclear; it is never taken as good. Repaired, revoked and expired
records are no longer in a view, so nothing here looks at repair again.

Convictions are no category of the green review: a crime is seen where a list entry or a penalty names one.
"""

from __future__ import annotations

from typing import Final

from gateway._pb.xinyidai.catalogue.v1 import conduct_pb2, options_pb2, view_pb2
from gateway.domain.catalogue import UNMAPPED
from gateway.domain.crosswalk import Crosswalk, Domain
from gateway.domain.dates import first_day, iso
from gateway.domain.green_policy import GreenPolicy
from gateway.domain.green_reading import Expected, GreenFacts, Missing, Reading

_LICENCE: Final = options_pb2.CATEGORY_LICENCE
_PENALTY: Final = options_pb2.CATEGORY_PENALTY
_LIST: Final = options_pb2.CATEGORY_LIST_ENTRY
_EVALUATION: Final = options_pb2.CATEGORY_EVALUATION
_BASIS: Final = {value: name.removeprefix("LIST_BASIS_") for name, value in conduct_pb2.ListBasis.items()}
_STOP: Final = frozenset(
    {
        conduct_pb2.PENALTY_KIND_BUSINESS_SUSPENDED,
        conduct_pb2.PENALTY_KIND_CLOSURE,
        conduct_pb2.PENALTY_KIND_LICENCE_REVOKED,
    }
)
_MEMO: Final = conduct_pb2.LIST_BASIS_REGIONAL_MEMO


def green_facts(view: view_pb2.CreditView, policy: GreenPolicy, expected: Expected, crosswalk: Crosswalk) -> GreenFacts:
    """Gives the facts of a view."""
    reading = _Green(view, policy, expected, crosswalk)
    reading.coverage()
    reading.lists()
    reading.penalties()
    reading.grade()
    reading.permit()
    return reading.facts()


class _Green(Reading):
    def __init__(
        self, view: view_pb2.CreditView, policy: GreenPolicy, expected: Expected, crosswalk: Crosswalk
    ) -> None:
        super().__init__(view, policy, expected, crosswalk)
        self._crime = False

    def lists(self) -> None:
        """Reads the environmental lists."""
        worst = "NONE"
        for entry in self._records.list_entries:
            text = f"{entry.list_name_raw} {entry.reason}"
            if self._names_crime(text):
                self._crime = True
                self._note("env_crime", _LIST, entry, f"{entry.list_code or entry.list_name_raw}", entry.listed_on)
            is_environmental = self._is_environmental_list(entry, text)
            if is_environmental is None:
                self._unclear(_LIST, "a list of unknown code and field")
            elif is_environmental:
                is_reference = entry.basis == _MEMO and self._policy.is_memo_reference
                if worst != "LISTED":
                    worst = "REFERENCE" if is_reference else "LISTED"
                year = f" {entry.list_year}" if entry.HasField("list_year") else ""
                text = f"{entry.list_code}{year} {_BASIS.get(entry.basis, entry.basis)}"
                self._note("env_list", _LIST, entry, text, entry.listed_on)
        self._values["env_list"] = worst if worst == "LISTED" or _LIST not in self._incomplete else None
        if self._values["env_list"] is None and worst == "REFERENCE":
            self._values["env_list"] = worst  # at least that; what is missing is named beside it

    def _is_environmental_list(self, entry: conduct_pb2.ListEntry, text: str) -> bool | None:
        if entry.list_code in self._policy.environmental_lists:
            return True
        if entry.joint_field == conduct_pb2.JOINT_FIELD_ENVIRONMENT:
            return True
        if self._is_environmental(text) or self._is_environmental(entry.authority.name):
            return True
        is_told = entry.list_code not in ("", UNMAPPED) or entry.joint_field not in (
            conduct_pb2.JOINT_FIELD_UNSPECIFIED,
            conduct_pb2.JOINT_FIELD_UNMAPPED,
        )
        return False if is_told else None

    def penalties(self) -> None:
        """Reads the penalties that are still published."""
        violations: list[tuple[str, tuple[int, int, int]]] = []
        count, stopped = 0, False
        for penalty in self._records.penalties:
            is_environmental = self._is_environmental_penalty(penalty)
            if is_environmental is None:
                self._unclear(_PENALTY, "a penalty of unknown field")
                continue
            if not is_environmental:
                continue
            count += 1
            violation, number, decided_on = penalty.violation_type, penalty.document_number, penalty.decided_on
            text = f"{number} {violation or penalty.kinds_raw}".strip()
            self._note("env_penalties", _PENALTY, penalty, text, decided_on)
            kinds = frozenset(penalty.kinds)
            if not kinds or conduct_pb2.PENALTY_KIND_UNMAPPED in kinds:
                self._unclear(_PENALTY, f"{number}: a kind of penalty nobody here can read")
            if not _STOP.isdisjoint(kinds):
                stopped = True
                self._note("env_stop_order", _PENALTY, penalty, text, decided_on)
            if violation:
                violations.append((violation, first_day(decided_on)))
                if self._names_crime(violation):
                    self._crime = True
                    self._note("env_crime", _PENALTY, penalty, text, decided_on)
        repeats = self._repeats(violations)
        self._values["env_penalties"] = (
            min(count, 2) if count >= 2 or _PENALTY not in self._incomplete else (count or None)
        )
        self._values["env_stop_order"] = self._known(stopped, _PENALTY)
        self._values["repeat_violation"] = self._known(repeats, _PENALTY)
        self._values["env_crime"] = self._known(self._crime, _PENALTY, _LIST)

    def _is_environmental_penalty(self, penalty: conduct_pb2.Penalty) -> bool | None:
        domain = penalty.domain
        if domain == conduct_pb2.PENALTY_DOMAIN_ENVIRONMENT:
            return True
        text = f"{penalty.authority.name} {penalty.document_number} {penalty.basis} {penalty.domain_raw}"
        if self._is_environmental(text):
            return True
        if domain not in (conduct_pb2.PENALTY_DOMAIN_UNSPECIFIED, conduct_pb2.PENALTY_DOMAIN_UNMAPPED):
            return False
        return False if penalty.authority.name else None

    def grade(self) -> None:
        """Reads the environmental grades; the worst current one decides."""
        found = self.worst_grade(Domain.ENV, "env_grade")
        self._values["env_grade"] = found if found or _EVALUATION in self._incomplete else "NOT_RATED"

    def permit(self) -> None:
        """Reads the discharge licence, and whether the industry needs one."""
        found: set[str] = set()
        for licence in self._records.licences:
            named = f"{licence.document_name} {licence.certificate_name}"
            if not (licence.is_pollution_permit or "排污许可" in named):
                continue
            status = licence.licence_status
            if status == conduct_pb2.LICENCE_STATUS_UNMAPPED:
                self._unclear(_LICENCE, "a discharge licence whose status nobody here can read")
                continue
            is_valid = status in (conduct_pb2.LICENCE_STATUS_IN_FORCE, conduct_pb2.LICENCE_STATUS_UNSPECIFIED)
            found.add("VALID" if is_valid else "INVALID")
            text = f"{licence.certificate_number or licence.document_number} {iso(licence.valid_to)}".strip()
            self._note("permit", _LICENCE, licence, text, licence.decided_on)
        if "VALID" in found:
            self._values["permit"] = "VALID"
        elif found:
            self._values["permit"] = "INVALID"
        else:
            self._values["permit"] = None if _LICENCE in self._incomplete else "NONE"
        code = ""
        for registration in self._records.registrations:
            if industry := registration.industry_code:
                code = code or industry
                self._note("permit_required", options_pb2.CATEGORY_REGISTRATION, registration, industry, None)
        self._values["permit_required"] = is_required = self._policy.needs_permit(code)
        if is_required is None and self._values["permit"] != "VALID":
            self._missing.append(Missing("UNCLEAR" if code else "UNKNOWN", "", "REGISTRATION", "industry_code"))

    def _names_crime(self, text: str) -> bool:
        return any(word in text for word in self._policy.crime_words)
