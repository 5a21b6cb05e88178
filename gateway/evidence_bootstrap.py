"""Builds what proves and keeps answers: the suite's signer, digest and cipher, the archive, and what purges it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from typing import NamedTuple

from gateway.adapters.stores.door import StoreDoor
from gateway.adapters.stores.purge import ArchivePurge
from gateway.adapters.stores.trail_batch import Evidence
from gateway.application.archive import Archive
from gateway.domain.errors import ConfigError
from gateway.domain.evidence import kept_until
from gateway.domain.merkle import Digest
from gateway.ports import AuditLog, Cipher, Clock, Rights, Signer, ViewArchive
from gateway.settings import Settings


class Suite(NamedTuple):
    """What a deployment signs, digests and encrypts with."""

    digest_name: str
    digest: Digest
    signer: Signer
    cipher: Cipher


async def evidence_of(settings: Settings, suite: Suite | None, store: StoreDoor) -> Evidence | None:
    """Gives what answers are proven with; None without a suite, and answers then carry no evidence.

    Raises ConfigError where the archive is enabled without one, StoreUnavailableError where it cannot be opened.
    """
    stated = settings.gateway.archive
    if suite is None:
        if stated.enabled:
            raise ConfigError(
                [
                    "gateway.toml: archive.enabled: keys to sign and to encrypt with are needed; state them in [evidence] "
                    "归档须配置签名与加密密钥，请在 [evidence] 中声明"
                ]
            )
        return None
    views = await store.views(suite.cipher) if stated.enabled else None
    return Evidence(suite.signer, suite.digest_name, suite.digest, views, partial(kept_until, stated.months))


def archive_of(
    settings: Settings,
    views: ViewArchive | None,
    audit: AuditLog,
    clock: Clock,
    rights: Rights,
    stack: AsyncExitStack,
) -> Archive:
    """Gives the archive, deleting from now on what is past its time."""
    archive = Archive(views, audit, clock, rights)
    if views is not None:
        purge = ArchivePurge(archive.delete_expired, every_s=settings.gateway.archive.purge_every_s)
        purge.start()
        stack.push_async_callback(purge.aclose)
    return archive
