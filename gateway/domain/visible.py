"""What of a platform's own answer a bank may see in a stream: a hidden record leaves no hint there either."""

from __future__ import annotations

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway.domain.answer import Answer
from gateway.domain.statement import Reading


def visible(reading: Reading, view: view_pb2.CreditView) -> Answer:
    """Gives the answer with only those records, outcomes and counts that the view over it shows."""
    answer = reading.answer
    shown = {
        provenance.digest
        for _, records in view.records.ListFields()
        for record in records
        for provenance in record.envelope.provenances
        if provenance.platform == answer.platform
    }
    standing = next(a for a in view.answers if a.platform == answer.platform)
    said = view_pb2.Answer(
        platform=answer.platform,
        outcome=standing.outcome,
        reason=standing.reason,
        categories=standing.categories,
        drifts=standing.drifts,
    )
    if standing.HasField("as_of"):
        said.as_of.CopyFrom(standing.as_of)
    for name, statements in reading.statements.items():
        kept = [statement.record for statement in statements if statement.digest in shown]
        getattr(said.records, name).extend(kept)
    return answer._replace(said=said)
