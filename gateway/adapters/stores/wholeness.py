"""Whether what a database keeps is whole: the pages of its file, and the seal of every consent.

The file is looked at when a gateway starts, up to a size that does not delay it; the seals are checked row by row as they are
read, and all of them by `xinyidai store check`. What is not whole is left where it is, for whoever has to find out why.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy import Table, bindparam, select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.adapters.stores.consent_seal import Seal
from gateway.adapters.stores.engine import Database
from gateway.adapters.stores.models import ConsentRow
from gateway.domain.errors import ConfigError

LOOKED_AT_BYTES: Final = 64 * 1024 * 1024
"""Up to this size a file is looked at when it is opened: that takes a fraction of a second."""
_AT_ONCE: Final = 500
_CONSENTS: Final[Table] = ConsentRow.metadata.tables["consents"]
_UNREADABLE: Final = (ValueError, TypeError, KeyError)
_KEYS: Final = (
    select(_CONSENTS.c.bank, _CONSENTS.c.consent_id)
    .where(tuple_(_CONSENTS.c.bank, _CONSENTS.c.consent_id) > tuple_(bindparam("bank"), bindparam("consent_id")))
    .order_by(_CONSENTS.c.bank, _CONSENTS.c.consent_id)
    .limit(_AT_ONCE)
)
_ONE: Final = _CONSENTS.c.bank == bindparam("of_bank"), _CONSENTS.c.consent_id == bindparam("of_id")
_ROW: Final = select(_CONSENTS).where(*_ONE)
_SEAL: Final = (
    update(_CONSENTS).where(*_ONE, _CONSENTS.c.version == bindparam("of_version")).values(seal=bindparam("new_seal"))
)


class Checked(NamedTuple):
    """How many consents there are, those that are not what was registered, by bank and id, and what the file suffers from."""

    consents: int
    corrupt: tuple[tuple[str, str], ...]
    file: tuple[str, ...] = ()


async def settle(database: Database) -> None:
    """Copies what an SQLite file's log holds into the file, without waiting for anybody.

    Where a sync failed before the last restart, the kernel may hold pages of the log as written that no disk has: read again
    they would be believed, and what is committed behind them would go with them when the power does. Here they are written
    once more.
    """
    if database.is_sqlite:
        async with database.reading() as connection:
            await connection.execute(text("PRAGMA wal_checkpoint(PASSIVE)"))


async def require_whole(database: Database, *, up_to_bytes: int = LOOKED_AT_BYTES) -> None:
    """Raises ConfigError where an SQLite file of no more than a size is damaged; a server looks after its own."""
    faults = await _faults_of_file(database, up_to_bytes)
    if faults:
        raise ConfigError(
            [
                f"the store: the file is damaged ({faults[0]}); restore the last backup, or recover what can be read with "
                "SQLite's own .recover 数据库文件已损坏，请恢复备份"
            ]
        )


async def check(database: Database, seal: Seal) -> Checked:
    """Looks at every page and every consent; raises StoreUnavailableError."""
    faults = await _faults_of_file(database, None)
    count, corrupt = 0, []
    async with database.reading() as connection:
        async for bank, consent_id, row in _rows(connection):
            count += 1
            if row is None or not seal.holds(row):
                corrupt.append((bank, consent_id))
    return Checked(count, tuple(corrupt), tuple(faults))


async def reseal(database: Database, before: Seal, now: Seal) -> Checked:
    """Seals every consent anew that the seal before holds of, and gives which are of neither seal: those stay as they are."""
    count, corrupt = 0, []
    async with database.writing() as connection:
        async for bank, consent_id, row in _rows(connection):
            count += 1
            if row is not None and before.holds(row):
                of = {"of_bank": bank, "of_id": consent_id, "of_version": row["version"], "new_seal": now.of(row)}
                await connection.execute(_SEAL, of)
            elif row is None or not now.holds(row):
                corrupt.append((bank, consent_id))
    return Checked(count, tuple(corrupt))


async def _rows(connection: AsyncConnection) -> AsyncIterator[tuple[str, str, Mapping[str, Any] | None]]:
    """Gives every consent's row, so many keys at a time; none for one that cannot be read."""
    last = {"bank": "", "consent_id": ""}
    while keys := (await connection.execute(_KEYS, last)).all():
        for bank, consent_id in keys:
            try:
                found = await connection.execute(_ROW, {"of_bank": bank, "of_id": consent_id})
                values = found.one()
                row: Mapping[str, Any] | None = dict(zip(_CONSENTS.c.keys(), values, strict=True))
            except _UNREADABLE:
                row = None
            yield bank, consent_id, row
        last = {"bank": keys[-1][0], "consent_id": keys[-1][1]}


async def _faults_of_file(database: Database, up_to_bytes: int | None) -> list[str]:
    if not database.is_sqlite:
        return []
    async with database.reading() as connection:
        pages = (await connection.execute(text("PRAGMA page_count"))).scalar_one()
        size = (await connection.execute(text("PRAGMA page_size"))).scalar_one()
        if up_to_bytes is not None and pages * size > up_to_bytes:
            return []
        said = (await connection.execute(text("PRAGMA quick_check(1)"))).scalars().all()
        return [line for line in said if line != "ok"]
