"""What a gateway has that serves real banks: a development authority's certificates, and a consent for every enterprise.

The consent covers what is not public in the realistic payload, for the purpose that is asked for; the plain payload's
registration is public, so there it is looked up and decided about, and nothing rests on it.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import grpc

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import PURPOSE_PRE_LOAN
from gateway.adapters.identity.authority import Authority
from gateway.adapters.identity.certificates import TlsFiles
from gateway.adapters.identity.kinds import DEMO_BANK, Kind
from gateway.adapters.stores.door import StoreDoor
from gateway.cli.reach import credentials, profile
from gateway.domain.consent import Consent
from gateway.gateway_file import ConsentSettings, StoreSettings
from gateway.settings import Settings
from tests.bench.fixture import number_of

_ID: Final = "01900000-0000-7000-8000-{:012d}"


def consent_of(uscc: str) -> str:
    """Gives the id of the consent about one of the benchmark's enterprises."""
    return _ID.format(number_of(uscc))


def folder_of(trail: Path) -> Path:
    """Gives where the certificates of the gateway with that trail stand."""
    return trail.with_name(f"{trail.name}-trust")


def certificates(trail: Path) -> TlsFiles:
    """Makes the certificates of a gateway with that trail."""
    authority = Authority(folder_of(trail))
    authority.init()
    return authority.server_files()


def bank_credentials(trail: Path) -> grpc.ChannelCredentials:
    """Gives what the demonstration bank shows to the gateway with that trail."""
    return credentials(*profile(folder_of(trail), Kind.BANK))


def enforcing(settings: Settings, trail: Path) -> Settings:
    """Gives the settings with consents enforced."""
    key = trail.with_name(f"{trail.name}-key")
    key.write_text(secrets.token_hex(32), encoding="ascii")
    consent = ConsentSettings(enforced=True, masking_key=f"file:{key}")
    store = StoreSettings(
        url=f"sqlite+aiosqlite:///{trail}-store.db"
    )  # else all gateways of the folder would share one
    return replace(settings, gateway=settings.gateway.model_copy(update={"consent": consent, "store": store}))


async def register(settings: Settings, trail: Path, enterprises: Sequence[str], categories: Sequence[int]) -> None:
    """Registers a consent about each enterprise, for the demonstration bank."""
    now = datetime.now(UTC)
    door = StoreDoor(*settings.gateway.store.resolved(trail))
    try:
        store = await door.consents()
        for uscc in enterprises:
            await store.register(
                Consent(
                    consent_id=consent_of(uscc),
                    bank=DEMO_BANK,
                    uscc=uscc,
                    purposes=(PURPOSE_PRE_LOAN,),
                    categories=tuple(sorted(categories)),
                    valid_from=now - timedelta(days=1),
                    valid_to=now + timedelta(days=1),
                    created_at=now,
                    changed_at=now,
                    channel="PAPER_SCAN",
                    document_digest=bytes(32),
                )
            )
    finally:
        await door.aclose()
