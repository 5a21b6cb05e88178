"""Builds what keeps the trail: its writer, its anchors, and the digest that stands in it for what platforms said."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp

from gateway.adapters.anchors.file import FileAnchor
from gateway.adapters.anchors.http import HttpAnchor
from gateway.adapters.anchors.schedule import Anchoring, AnchorObserver, AnchorPolicy
from gateway.adapters.stores.audit_file import FileAuditLog, TrailPolicy
from gateway.adapters.stores.trail_batch import Evidence
from gateway.domain.errors import ConfigError
from gateway.domain.response_digest import DigestOf, keyed_digest
from gateway.gateway_file import GatewayFile
from gateway.ports import Clock
from gateway.secret_references import resolve_secret
from gateway.store_ports import Anchor, Signer
from gateway.trail_settings import AuditSettings


def open_trail(
    stated: AuditSettings, path: Path, changed: Callable[[], None], evidence: Evidence | None = None
) -> FileAuditLog:
    """Gives the trail's writer; raises StoreError where no trail can be kept."""
    policy = TrailPolicy(stated.segment_bytes, stated.least_free_bytes, stated.least_free_percent)
    return FileAuditLog(path, evidence=evidence, policy=policy, changed=changed)


def anchor(
    stated: AuditSettings,
    trail: FileAuditLog,
    session: aiohttp.ClientSession,
    signer: Signer | None,
    clock: Clock,
    observer: AnchorObserver,
    stack: AsyncExitStack,
) -> None:
    """Begins to anchor the trail where that is configured, until the stack closes."""
    anchors: dict[str, Anchor] = {}
    if stated.anchor.file:
        anchors["file"] = FileAnchor(Path(stated.anchor.file))
    if stated.anchor.url:
        anchors["url"] = HttpAnchor(stated.anchor.url, session)
    if anchors:
        policy = AnchorPolicy(stated.anchor.every_s, stated.anchor.grace_s, stated.anchor.stops_after_grace)
        anchoring = Anchoring(trail, anchors, signer, clock, observer, policy)
        stack.push_async_callback(anchoring.aclose)
        anchoring.start()


def response_digests(gateway: GatewayFile) -> DigestOf:
    """Gives what stands in the trail for a platform's answer: keyed where a key is configured. Raises ConfigError."""
    named = "audit.digest_key" if gateway.audit.digest_key else "consent.masking_key"
    reference = gateway.audit.digest_key or gateway.consent.masking_key
    if not reference:
        return bytes.hex
    try:
        return keyed_digest(resolve_secret(reference, {}).encode())
    except ValueError as error:
        raise ConfigError([f"gateway.toml: {named}: {error}"]) from error
