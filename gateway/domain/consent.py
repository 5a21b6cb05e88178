"""Who may ask what about whom: a query becomes a permit or a refusal.

Until consents are enforced there is one kind of permit, "development", which allows every category and is named as such
in every view; `xinyidai serve` grants it on loopback only.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway.domain.query import CreditQuery

DEVELOPMENT = "development"


@dataclass(frozen=True, slots=True)
class Permit:
    """What a query may ask: `categories` ascending; `refused` are those asked and not permitted.

    `consents` are what it rests on, each with its version where that is known: what was fetched under one consent, or under
    an earlier version of it, is not given out under another.
    """

    kind: str
    categories: tuple[int, ...]
    refused: tuple[int, ...] = ()
    consents: tuple[str, ...] = ()

    def scope(self) -> view_pb2.PermitScope:
        """Gives the part of the permit that shapes the view."""
        return view_pb2.PermitScope(kind=self.kind, categories=self.categories)  # type: ignore[arg-type]


def development_permit(query: CreditQuery) -> Permit:
    """Permits everything that was asked."""
    return Permit(kind=DEVELOPMENT, categories=query.categories, consents=query.consent_ids)
