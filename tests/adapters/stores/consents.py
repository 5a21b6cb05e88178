"""Consents that are valid by default."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from gateway._pb.xinyidai.catalogue.v1.options_pb2 import CATEGORY_SOCIAL_INSURANCE, CATEGORY_TAX_PAYMENT
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import PURPOSE_PRE_LOAN
from gateway.domain.consent import Consent

NOON = datetime(2026, 11, 25, 4, tzinfo=UTC)
DEMO = "91310115MA0TERT167"
OTHER = "91310115MAC0DEM080"


def consent(number: int = 1, **more: Any) -> Consent:
    """Gives a consent whose id has that number; ids of higher numbers come later."""
    values: dict[str, Any] = {
        "consent_id": f"01936a00-0000-7000-8000-{number:012x}",
        "bank": "bank-a",
        "uscc": DEMO,
        "purposes": (PURPOSE_PRE_LOAN,),
        "categories": tuple(sorted((CATEGORY_TAX_PAYMENT, CATEGORY_SOCIAL_INSURANCE))),
        "valid_from": NOON - timedelta(days=1),
        "valid_to": NOON + timedelta(days=364),
        "created_at": NOON - timedelta(hours=1),
        "changed_at": NOON - timedelta(hours=1),
        "channel": "E_SIGN",
        "document_digest": bytes(range(32)),
        "signature": b"\x30\x45signed",
        "certificate_serial": "0a1b2c",
        "signatory_ref": "signatory-7",
        "document_ref": "archive/2026/7",
        "institution_code": "C1010011000013",
        "signed_at": NOON - timedelta(hours=2),
    }
    return Consent(**{**values, **more})
