"""Assessments and recognitions out: domain values become messages, with the words of each fact in both languages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from google.type.date_pb2 import Date

from gateway._pb.xinyidai.gateway.v1 import green_credit_service_pb2 as pb
from gateway.application.assess import Assessed, Recognised
from gateway.domain.decision_table import FactKind
from gateway.domain.green import NearlyFired, RulesUsed, canonical
from gateway.domain.green_reading import Evidence, Missing

Kinds = Mapping[str, FactKind]


Titles = Mapping[tuple[str, str], str]
"""The English title of each row, by its table's digest and its id."""


def assessment_message(assessed: Assessed, kinds: Kinds, titles: Titles) -> pb.GreenAssessment:
    """Gives the whole assessment."""
    found = assessed.assessment
    message = pb.GreenAssessment(
        uscc=found.uscc,
        name=assessed.name,
        as_of=_date(found.as_of),
        measure=_measure(found.measure),
        at_least=_measure(found.at_least),
        admission=_admission(found.admission),
        reasons=[
            pb.GreenReason(
                rule=reason.rule,
                row=reason.row,
                title_en=reason.title_en,
                title_zh=reason.title_zh,
                measure=_measure(reason.measure),
                admission=_admission(reason.admission),
                because=facts_messages(reason.because, kinds),
                table_measure=_measure(reason.table_measure or "UNSPECIFIED"),
                table_admission=_admission(reason.table_admission or "UNSPECIFIED"),
            )
            for reason in found.reasons
        ],
        nearly=[_near(near, found.rules, kinds, titles) for near in found.nearly],
        facts=facts_messages(found.facts.items(), kinds),
        evidence=evidence_messages(found.evidence),
        missing=missing_messages(found.missing),
        waived=found.waived,
        changes=[
            pb.GreenChange(
                facts=[
                    pb.GreenFactChange(
                        actual=_fact(each.fact, each.actual, kinds), other=_fact(each.fact, each.other, kinds)
                    )
                    for each in change.facts
                ],
                measure=_measure(change.measure),
                admission=_admission(change.admission),
            )
            for change in found.changes
        ],
        policy=_rules(found.policy),
        rules=[_rules(used) for used in found.rules],
        view_id=found.view_id,
        answer_id=assessed.answer_id,
        decision_digest=found.decision_digest,
        stored=canonical(found),
    )
    message.assessed_at.FromDatetime(assessed.at)
    return message


def recognition_message(
    uscc: str, recognised: Recognised, kinds: Kinds, certainties: Mapping[str, str]
) -> pb.RecogniseEnterpriseResponse:
    """Gives what all criteria say; `certainties` are by the digest of a table."""
    found = recognised.recognition
    return pb.RecogniseEnterpriseResponse(
        uscc=uscc,
        name=recognised.name,
        list_code=recognised.of.code,
        list_title_zh=recognised.of.title_zh,
        list_title_en=recognised.of.title_en,
        provinces=[
            pb.ProvinceRecognition(
                province=each.province,
                recognised=pb.Recognised.Value(f"RECOGNISED_{each.recognised}"),
                row=each.row,
                title_en=each.title_en,
                title_zh=each.title_zh,
                because=facts_messages(each.because, kinds),
                undecided=[_fact(name, found.facts.get(name), kinds) for name in each.undecided],
                rules=pb.GreenRules(name=each.table, version=each.version, digest=each.digest),
                certainty=certainties.get(each.digest, ""),
            )
            for each in found.by_criterion
        ],
        differs=found.differs,
        evidence=evidence_messages(found.evidence),
        missing=missing_messages(found.missing),
        view_id=recognised.view_id,
        answer_id=recognised.answer_id,
    )


def facts_messages(facts: Iterable[tuple[str, Any]], kinds: Kinds) -> list[pb.GreenFact]:
    """Gives facts with their words."""
    return [_fact(name, value, kinds) for name, value in facts]


def evidence_messages(evidence: Iterable[Evidence]) -> list[pb.GreenEvidence]:
    """Gives the records that facts rest on."""
    return [
        pb.GreenEvidence(
            fact=each.fact,
            category=each.category,
            text=each.text,
            on=each.on,
            province=each.province,
            is_disputed=each.is_disputed,
            sources=[
                pb.GreenSource(platform=s.platform, record_key=s.record_key, as_of=s.as_of, digest=s.digest)
                for s in each.sources
            ],
        )
        for each in evidence
    ]


def missing_messages(missing: Iterable[Missing]) -> list[pb.GreenMissing]:
    """Gives what is missing."""
    return [
        pb.GreenMissing(
            kind=pb.GreenMissingKind.Value(f"GREEN_MISSING_KIND_{each.kind}"),
            platform=each.platform,
            category=each.category,
            detail=each.detail,
        )
        for each in missing
    ]


def _near(near: NearlyFired, rules: Iterable[RulesUsed], kinds: Kinds, titles: Titles) -> pb.GreenNearRule:
    kind = kinds[near.fact]
    wanted = [kind.said(value) for value in kind.satisfying(near.wanted)]
    return pb.GreenNearRule(
        row=near.row,
        title_zh=near.title_zh,
        title_en=next((title for used in rules if (title := titles.get((used.digest, near.row)))), ""),
        actual=_fact(near.fact, near.actual, kinds),
        wanted=near.wanted,
        wanted_en=" / ".join([en for en, _ in wanted]),
        wanted_zh="／".join([zh for _, zh in wanted]),
    )


def _fact(name: str, value: Any, kinds: Kinds) -> pb.GreenFact:
    kind = kinds[name]
    said_en, said_zh = kind.said(value)
    text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return pb.GreenFact(
        name=name, title_en=kind.title_en, title_zh=kind.title_zh, value=text, said_en=said_en, said_zh=said_zh
    )


def _measure(measure: str) -> pb.GreenMeasure.ValueType:
    return pb.GreenMeasure.Value(f"GREEN_MEASURE_{measure}")


def _admission(admission: str) -> pb.GreenAdmission.ValueType:
    return pb.GreenAdmission.Value(f"GREEN_ADMISSION_{admission}")


def _rules(used: RulesUsed) -> pb.GreenRules:
    return pb.GreenRules(name=used.table, version=used.version, digest=used.digest)


def _date(day: str) -> Date:
    year, month, number = day.split("-")
    return Date(year=int(year), month=int(month), day=int(number))
