"""One question about one enterprise (查询), already checked: inside the house nothing checks it again."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.domain.identifiers import Uscc


@dataclass(slots=True)
class CreditQuery:
    """What is asked, by whom and why.

    Never changed once made; not frozen, since every query makes one, and a frozen field is set by a call of its own.

    `purpose` and `categories` are numbers of the catalogue's enums; `categories` and `platforms` are ascending and never
    empty; `required` is a subset of `platforms`; `quorum` is at most their number, 0 for none;
    `oldest_acceptable_age_s` is None when each category's own lifetime decides; `is_batch` queries wait behind the others;
    `sent` are the question's own bytes, of which the request digest is made: empty for a query that came by no call.
    """

    uscc: Uscc
    purpose: int
    categories: tuple[int, ...]
    platforms: tuple[str, ...]
    bank: str = "anonymous"
    required: frozenset[str] = frozenset()
    quorum: int = 0
    oldest_acceptable_age_s: float | None = None
    request_id: str = ""
    consent_ids: tuple[str, ...] = ()
    loan_reference: str = ""
    application_reference: str = ""
    operator: str = ""
    branch: str = ""
    is_all_or_nothing: bool = False
    is_stale_acceptable: bool = False
    is_batch: bool = field(default=False, repr=False)  # how it was sent, not what was asked
    sent: bytes = field(default=b"", repr=False, compare=False)

    def again(
        self,
        uscc: Uscc,
        request_id: str,
        consent_ids: tuple[str, ...],
        loan_reference: str,
        application_reference: str,
        sent: bytes,
    ) -> CreditQuery:
        """Gives the same question about another enterprise, with references of its own."""
        return CreditQuery(
            uscc,
            self.purpose,
            self.categories,
            self.platforms,
            self.bank,
            self.required,
            self.quorum,
            self.oldest_acceptable_age_s,
            request_id,
            consent_ids,
            loan_reference,
            application_reference,
            self.operator,
            self.branch,
            self.is_all_or_nothing,
            self.is_stale_acceptable,
            self.is_batch,
            sent,
        )
