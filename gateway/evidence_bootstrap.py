"""Builds what proves and keeps answers: the suite's signer, digest and cipher, the archive, and what purges it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import structlog

from gateway.adapters.crypto.verify import note_public_key, read_public_keys, verifier
from gateway.adapters.stores.audit_file import FileAuditLog
from gateway.adapters.stores.door import StoreDoor
from gateway.adapters.stores.purge import ArchivePurge
from gateway.adapters.stores.trail_batch import Evidence
from gateway.adapters.stores.trail_files import anchored_in
from gateway.adapters.stores.trail_roots import FileTrailRoots
from gateway.application.archive import Archive
from gateway.domain.anchor import is_anchored_beyond
from gateway.domain.errors import ConfigError, SigningUnavailableError, StoreError
from gateway.domain.evidence import kept_until
from gateway.ports import Clock, Rights
from gateway.settings import Settings
from gateway.store_ports import ViewArchive


async def evidence_of(settings: Settings, trail: Path, store: StoreDoor) -> Evidence | None:
    """Gives what answers are proven with; None where they are neither signed nor archived.

    Keys of development are made beside the trail where none are stated; what may leave the machine needs stated ones (see
    `key_faults`). Raises ConfigError for keys that cannot be used, StoreUnavailableError where the archive cannot be opened.
    """
    gateway = settings.gateway
    if not (gateway.archive.enabled or gateway.evidence.is_stated):
        return None
    try:
        suite = gateway.evidence.built(trail)
        note_public_key(gateway.evidence.public_keys_file(trail), suite.signer.public_key)
    except (SigningUnavailableError, ValueError, OSError) as error:
        raise ConfigError([f"gateway.toml: evidence: {error}"]) from error
    views = await store.views(suite.cipher) if gateway.archive.enabled else None
    return Evidence(suite.signer, suite.digest, suite.digest_of, views, partial(kept_until, gateway.archive.months))


def key_faults(settings: Settings) -> list[str]:
    """Gives why answers may not leave this machine: keys of development prove nothing to anybody else."""
    gateway = settings.gateway
    if gateway.archive.enabled and not gateway.evidence.is_stated:
        return [
            "gateway.toml: evidence.signing_key, evidence.archive_keys: are needed with archive.enabled off loopback; "
            "`xinyidai keys generate` makes both 在本机之外启用归档须配置签名与归档密钥，可由 xinyidai keys generate 生成"
        ]
    return []


async def archive_of(
    settings: Settings,
    views: ViewArchive | None,
    audit: FileAuditLog,
    trail: Path,
    clock: Clock,
    rights: Rights,
    stack: AsyncExitStack,
    corrupt: Callable[[str], None],
) -> Archive:
    """Gives the archive of the trails at a path, without what a crash left; deletes from now on what is past its time.

    Raises StoreError.
    """
    roots = FileTrailRoots(trail, lambda: (audit.name, audit.head.sequence), corrupt)
    archive = Archive(views, audit, clock, rights, roots)
    if views is not None:
        head = audit.head.sequence
        anchored = partial(_is_anchored_beyond, settings, trail, audit.name, head)
        withdrawn = await archive.settle(audit.id, head, anchored)
        if withdrawn:
            structlog.get_logger("gateway.store").warning("archive.orphans_withdrawn", copies=withdrawn)
        purge = ArchivePurge(archive.delete_expired, every_s=settings.gateway.archive.purge_every_s)
        purge.start()
        stack.push_async_callback(purge.aclose)
    return archive


def _is_anchored_beyond(settings: Settings, trail: Path, name: str, head: int) -> bool:
    """Whether the file of anchors has a signed head of a later entry; raises StoreError where it cannot be read."""
    gateway = settings.gateway
    if not gateway.audit.anchor.file:
        return False
    try:
        keys = read_public_keys(gateway.evidence.public_keys_file(trail)).values()
        return is_anchored_beyond(anchored_in(Path(gateway.audit.anchor.file)), name, head, verifier(keys))
    except FileNotFoundError:
        return False
    except (ValueError, OSError) as error:
        raise StoreError(
            f"whether the trail was cut cannot be told, since its anchors cannot be read: {error}"
        ) from error
