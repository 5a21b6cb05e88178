"""A gateway with certificates, two banks and an operator before it, and how calls are refused there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from gateway.adapters.identity.authority import Authority
from gateway.adapters.identity.kinds import Kind
from gateway.adapters.telemetry.logs import configure_logs
from gateway.evidence_settings import EvidenceSettings
from gateway.gateway_file import ArchiveSettings, ConsentSettings
from gateway.identity_settings import BankFiles, Banks, IdentitySettings, read_banks
from tests.adapters.issuer import AUDIENCE, Issuer, issuer
from tests.faults.callers_fixtures import Rig, callers_rig, channel_to
from tests.shipped import shipped_settings

Stub = Any
BANKS = ("bank-a", "bank-b")


@dataclass
class House:
    """A gateway with certificates, the authority that issued them, and the issuer of bank-a's tokens."""

    rig: Rig
    authority: Authority
    issuer: Issuer

    def channel(self, name: str) -> grpc.aio.Channel:
        """Opens a connection that shows a certificate of the authority; "none" shows none."""
        if name == "none":
            trusting = grpc.ssl_channel_credentials((self.authority.folder / "ca.pem").read_bytes())
            return channel_to(self.rig.port, trusting)
        return channel_to(self.rig.port, shown(self.authority, name))

    def token(self, name: str = "bank-a", **changed: Any) -> str:
        fingerprint = self.authority.read(name).fingerprint
        return self.issuer.token(fingerprint, datetime.now(UTC).timestamp(), **changed)

    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.rig.trail.read_text(encoding="utf-8").splitlines()]


def shown(authority: Authority, name: str) -> grpc.ChannelCredentials:
    """Gives credentials that show a certificate of the authority."""
    pem, key, ca = (authority.folder / file for file in (f"{name}.pem", f"{name}.key", "ca.pem"))
    return grpc.ssl_channel_credentials(ca.read_bytes(), key.read_bytes(), pem.read_bytes())


def banks(one: Issuer) -> Banks:
    """Gives two banks and an operator, as banks.toml would; bank-a has tokens."""
    document: dict[str, Any] = {
        "banks": {
            bank: {
                "name_zh": "银行",
                "name_en": "Bank",
                "certificates": [
                    {"san": f"URI:urn:xinyidai:bank:{bank}", "roles": ["bank-query"]},
                    {"san": f"URI:urn:xinyidai:auditor:{bank}", "roles": ["bank-auditor"]},
                ],
            }
            for bank in BANKS
        },
        "operators": {
            "ops": {
                "name_zh": "运维",
                "name_en": "Operations",
                "certificates": [{"san": "URI:urn:xinyidai:operator:ops", "roles": ["platform-operator"]}],
            }
        },
    }
    document["banks"]["bank-a"]["tokens"] = {"issuer": one.name, "audience": AUDIENCE, "jwks_url": one.url}
    faults: list[str] = []
    read = read_banks(document, faults)
    assert faults == []
    return read


@asynccontextmanager
async def open_house(
    folder: Path, *, is_enforcing: bool = False, is_archiving: bool = False, bank_files: BankFiles | None = None
) -> AsyncIterator[House]:
    """Opens a house; an enforcing one wants consents, an archiving one signs and keeps what it answers.

    `bank_files` are what it reads banks anew from.
    """
    authority = Authority(folder / "certs")
    authority.init()
    for bank in (*BANKS, "stranger"):
        authority.issue(Kind.BANK, bank)
    authority.issue(Kind.OPERATOR, "ops")
    settings = shipped_settings()
    changed: dict[str, Any] = {
        "identity": IdentitySettings(seen_tokens=f"sqlite+aiosqlite:///{folder}/seen.db"),
    }
    if is_enforcing:
        key = folder / "masking.key"
        key.write_text("a key of this deployment", encoding="ascii")
        changed["consent"] = ConsentSettings(enforced=True, masking_key=f"file:{key}")
    if is_archiving:
        changed |= {"archive": ArchiveSettings(enabled=True), "evidence": EvidenceSettings(suite="mixed")}
    async with issuer() as one:
        settings = replace(
            settings,
            bank_files=bank_files or BankFiles(),
            banks=banks(one),
            gateway=settings.gateway.model_copy(update=changed),
        )
        async with callers_rig(folder, settings, tls=authority.server_files(), shown=shown(authority, "bank-a")) as rig:
            configure_logs("info")
            yield House(rig, authority, one)


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """Gives the metadata that presents a token."""
    return (("authorization", f"Bearer {token}"),)


def reason_of(error: grpc.aio.AioRpcError) -> tuple[grpc.StatusCode, str, str]:
    """Gives an error's status, reason and words."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # an AioRpcError has what a call has
    assert status is not None, error
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return error.code(), info.reason, error.details() or ""


async def refusal(call: Any) -> tuple[grpc.StatusCode, str, str]:
    """Gives how a call of any kind was refused."""
    heard = call.read() if hasattr(call, "read") else call
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await heard
    return reason_of(caught.value)
