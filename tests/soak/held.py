"""What must hold of every call, whatever the platforms do: how it may end, and what an answer may say.

A platform that failed is never told as one that holds nothing; one that was heard shows what it holds, all of it. What is
compared is what the same question showed while all was calm. No kind of fault is excepted: what `charset`, `other_subject` and
`wrong_signature` make of an answer has to be refused as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from grpc import StatusCode

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_NOT_FOUND, OUTCOME_OK, OUTCOME_PARTIAL, Outcome
from gateway.domain.answer import HEARD
from gateway.domain.catalogue import CATALOGUE
from tests.soak.truth import UNCONSENTED, Calm, named, persons_of, sources_of

_OK, _GONE = StatusCode.OK, StatusCode.UNAVAILABLE
_ASKED: Final = frozenset({_OK, _GONE, StatusCode.NOT_FOUND})

ENDINGS: Final[Mapping[str, frozenset[StatusCode]]] = {
    # UNAVAILABLE: no platform was heard. NOT_FOUND: all were, and none knows the enterprise, which is held against the world.
    "view": _ASKED,
    "kept view": _ASKED,
    "stale view": _ASKED,
    "request id": _ASKED,
    "repeated at once": _ASKED,
    "beside one gone": _ASKED,
    "request id reused": _ASKED | {StatusCode.ALREADY_EXISTS},
    # FAILED_PRECONDITION: the required platform failed in a way that does not pass by itself.
    "required platform": _ASKED | {StatusCode.FAILED_PRECONDITION},
    "stream": _ASKED,
    "stream abandoned": _ASKED | {StatusCode.CANCELLED},
    "batch": frozenset({_OK}),
    "batch item": _ASKED,
    "batch item wrong": frozenset({StatusCode.INVALID_ARGUMENT}),
    "batch abandoned": frozenset({_OK, StatusCode.CANCELLED}),
    "batch too large": frozenset({StatusCode.RESOURCE_EXHAUSTED}),
    "cancelled": _ASKED | {StatusCode.CANCELLED},
    "short": _ASKED | {StatusCode.DEADLINE_EXCEEDED},
    "unknown": _ASKED,
    "wrong code": frozenset({StatusCode.INVALID_ARGUMENT}),
    "not permitted": frozenset({StatusCode.PERMISSION_DENIED}),
    "under a restless consent": _ASKED | {StatusCode.PERMISSION_DENIED},
    "under a revoked consent": frozenset({StatusCode.PERMISSION_DENIED}),
    "consent registered": frozenset({_OK}),
    "consent revoked": frozenset({_OK}),
    "archived": frozenset({_OK}),
    "archived, unknown": frozenset({StatusCode.NOT_FOUND}),
}
"""With what each kind of call may end. None may end INTERNAL or UNKNOWN; only the short ones at their deadline.

A patient one that ends there is excused while the machine itself is busy: see `Machine`."""


def of_answers(answers: Iterable[view_pb2.PlatformAnswer | view_pb2.Answer], calm: Calm) -> list[str]:
    """Gives what does not hold of what platforms are said to have said."""
    return [fault for answer in answers for fault in _of_answer(answer, calm)]


def _of_answer(answer: view_pb2.PlatformAnswer | view_pb2.Answer, calm: Calm) -> Iterable[str]:
    for said in answer.categories:
        outcome, count = calm.told.get((answer.platform, said.category), (OUTCOME_NOT_FOUND, 0))
        where = f"{answer.platform} on {named(said.category)} says {_name(said.outcome)} with {said.record_count}"
        if said.outcome not in HEARD:
            continue
        if answer.outcome not in HEARD:
            yield f"{where} though the platform was not heard ({_name(answer.outcome)})"
        elif said.outcome == OUTCOME_PARTIAL:
            if said.record_count > count:
                yield f"{where}, in part more than the {count} it holds"
        elif (said.outcome, said.record_count) != (outcome, count):
            yield f"{where}, and when calm {_name(outcome)} with {count}"


def of_view(view: view_pb2.CreditView, calm: Calm, *, is_final: bool = True) -> list[str]:
    """Gives what does not hold of a view, or of one on the way to a final one."""
    faults = of_answers(view.answers, calm)
    for answer in view.answers:
        stated, held = sources_of(view, answer.platform), calm.sources.get(answer.platform, frozenset())
        if answer.outcome == OUTCOME_OK and _said(answer) == _said_when_calm(answer.platform, calm):
            if stated != held:
                faults.append(f"{answer.platform} is shown with {len(stated)} statements, {len(held)} when calm")
        elif not stated <= held:
            faults.append(f"{answer.platform} is shown with statements it does not make when calm")
        if answer.outcome not in HEARD and stated:
            faults.append(f"{answer.platform} was not heard and is shown with {len(stated)} statements")
    for coverage in view.coverage:
        if coverage.is_known_empty and (coverage.missing or coverage.record_count):
            faults.append(f"{named(coverage.category)} is called empty, and {list(coverage.missing)} are missing")
    if calm.view is None:
        if is_final and all(answer.outcome in HEARD for answer in view.answers):
            faults.append("all platforms were heard, none knows the enterprise, and there is a view")
    elif (
        _outcomes(view) == _outcomes(calm.view) and view.as_of == calm.view.as_of and view.view_id != calm.view.view_id
    ):
        faults.append(f"all said what they say when calm, and the view differs: {_difference(view, calm.view)}")
    return faults + of_withheld(view.permit, view.records)


def of_withheld(permit: view_pb2.PermitScope, records: view_pb2.Records) -> list[str]:
    """Gives the withheld categories that are shown all the same."""
    whole = {each.category for each in permit.withheld if not each.field and not each.platforms}
    return [
        f"{named(category)} is withheld and shown"
        for category in whole
        if len(getattr(records, CATALOGUE.by_category[category].records_field))
    ]


def of_unconsented(
    answers: Iterable[view_pb2.PlatformAnswer | view_pb2.Answer], records: view_pb2.Records
) -> list[str]:
    """Gives where the category is shown, or told of, that no consent of the soak covers."""
    faults = []
    if getattr(records, CATALOGUE.by_category[UNCONSENTED].records_field):
        faults.append(f"{named(UNCONSENTED)} is shown though nobody consented to it")
    for answer in answers:
        for said in answer.categories:
            if said.category == UNCONSENTED and (said.outcome in HEARD or said.record_count):
                faults.append(f"{answer.platform} is told to have {said.record_count} of {named(UNCONSENTED)}")
    return faults


def of_names(raw: bytes, uscc: str) -> list[str]:
    """Gives a complaint for each person's name that stands in clear in an answer's bytes; the name itself is invented."""
    return [f"the name {name} stands in clear" for name in persons_of(uscc) if name.encode() in raw]


def _said(answer: view_pb2.PlatformAnswer) -> Mapping[int, tuple[int, int]]:
    return {c.category: (int(c.outcome), c.record_count) for c in answer.categories}


def _said_when_calm(platform: str, calm: Calm) -> Mapping[int, tuple[int, int]]:
    return {category: said for (one, category), said in calm.told.items() if one == platform}


def _outcomes(view: view_pb2.CreditView) -> Sequence[tuple[str, int, str]]:
    return [(answer.platform, int(answer.outcome), answer.reason) for answer in view.answers]


def _difference(view: view_pb2.CreditView, calm: view_pb2.CreditView) -> str:
    """Gives the names of the fields that differ: what is in them is nothing for a log."""
    one, other = view_pb2.CreditView(), view_pb2.CreditView()
    differing = []
    for descriptor in view.DESCRIPTOR.fields:
        one.Clear()
        other.Clear()
        for copy, source in ((one, view), (other, calm)):
            copy.CopyFrom(source)
            for each in view.DESCRIPTOR.fields:
                if each.name != descriptor.name:
                    copy.ClearField(each.name)  # type: ignore[arg-type]
        if one != other:
            differing.append(descriptor.name)
    return ", ".join(differing)


def _name(outcome: int) -> str:
    return Outcome.Name(outcome).removeprefix("OUTCOME_")  # type: ignore[arg-type]
