"""Whose certificates there are, and where a development authority keeps them: what commands know without reading any."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

PROFILES: Final = "profiles.toml"
DEMO_BANK: Final = "demo-bank"
DEMO_OPERATOR: Final = "demo-operator"
BANK_KEY: Final = "xinyidai-bank"
"""Metadata key by which a caller says which bank it is: all a development gateway knows it by."""


class Kind(StrEnum):
    """Whose a certificate is."""

    SERVER = "server"
    BANK = "bank"
    REVIEWER = "reviewer"
    AUDITOR = "auditor"
    OPERATOR = "operator"
