"""What `xinyidai archive check` does: opens store, keys and trails as the gateway would, and changes nothing."""

from __future__ import annotations

from gateway.adapters.crypto.suite import key_paths
from gateway.adapters.stores.archive_check import CheckedArchive, check_archive
from gateway.adapters.stores.door import open_database
from gateway.adapters.stores.schema import schema_state
from gateway.adapters.stores.standing import complaint_of
from gateway.adapters.stores.trail_roots import FileTrailRoots
from gateway.adapters.stores.view_archive import SqlViewArchive
from gateway.domain.errors import ConfigError, SigningUnavailableError
from gateway.settings import Settings


async def checked(settings: Settings) -> CheckedArchive:
    """Gives what is found; raises ConfigError where store or keys are not right, StoreUnavailableError."""
    gateway = settings.gateway
    trail = gateway.audit.path
    _, made = key_paths(trail.parent, gateway.evidence.suite)
    if not (gateway.evidence.is_stated or made.exists()):
        raise ConfigError([f"gateway.toml: evidence.archive_keys: none is stated, and there is no {made}"])
    try:
        cipher = gateway.evidence.built(trail).cipher
    except (SigningUnavailableError, ValueError, OSError) as error:
        raise ConfigError([f"gateway.toml: evidence: {error}"]) from error
    database = open_database(*gateway.store.resolved(trail), is_patient=True)
    try:
        complaint = complaint_of(await schema_state(database))
        if complaint:
            raise ConfigError([f"the store: {complaint}"])
        return await check_archive(SqlViewArchive(database, cipher), FileTrailRoots(trail))
    finally:
        await database.aclose()
