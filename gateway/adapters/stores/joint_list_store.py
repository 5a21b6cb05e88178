"""Joint lists in a database: every version of every entry is one row, and the newest one is marked as current.

Marks are numbered by us within the transaction, one writer at a time (see `consent_store`): a reader that saw a mark has seen
all before it, and none is missing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import Table, and_, bindparam, delete, func, insert, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.adapters.stores.engine import Database
from gateway.adapters.stores.glance import Glance
from gateway.adapters.stores.last_seen import LastSeen
from gateway.adapters.stores.models import JointEntryRow, JointProvisionRow
from gateway.domain.errors import EntryChangedError
from gateway.domain.joint_lists import VISIBLE, JointEntry, Provision

_ENTRIES: Final[Table] = JointEntryRow.metadata.tables["joint_list_entries"]
_PROVISIONS: Final[Table] = JointProvisionRow.metadata.tables["joint_list_provisions"]
_ORDER_OF_COMMITS: Final = 0x78696E7B
_AT_ONCE: Final = 500
_ROWS_AT_ONCE: Final = 5_000
_T = TypeVar("_T")

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(JointEntry).decode

# Built once: to build a statement costs more than to run it.
_CURRENT: Final = _ENTRIES.c.is_current == true()
_ROW: Final = select(_ENTRIES.c.mark, _ENTRIES.c.seen_mark, _ENTRIES.c.body)
_GET: Final = _ROW.where(_ENTRIES.c.entry_id == bindparam("of_id"), _CURRENT)
_ABOUT: Final = _ROW.where(_ENTRIES.c.uscc == bindparam("about"), _CURRENT).order_by(_ENTRIES.c.mark)
_SINCE: Final = _ROW.where(_ENTRIES.c.mark > bindparam("after")).order_by(_ENTRIES.c.mark).limit(bindparam("most"))
_NEWEST: Final = select(func.coalesce(func.max(_ENTRIES.c.mark), 0))
_VERSIONS: Final = select(_ENTRIES.c.entry_id, _ENTRIES.c.version).where(
    _ENTRIES.c.entry_id.in_(bindparam("ids", expanding=True)), _CURRENT
)
_PASSED: Final = (
    update(_ENTRIES).where(_ENTRIES.c.entry_id.in_(bindparam("ids", expanding=True)), _CURRENT).values(is_current=False)
)
_INSERT: Final = insert(_ENTRIES)
_LOCK: Final = select(func.pg_advisory_xact_lock(_ORDER_OF_COMMITS))


class SqlJointListStore:
    """Keeps joint lists in SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._glance = Glance(database, _ENTRIES)
        self._seen = LastSeen[JointEntry](_ENTRIES.name)

    async def put(self, entries: Sequence[JointEntry], *, provisions: Sequence[Provision] = ()) -> int:
        """Keeps all of them or none, each with the next mark."""
        ids = [entry.entry_id for entry in entries]
        if len(set(ids)) < len(ids):
            raise EntryChangedError  # two next versions of one entry cannot both be the next
        async with self._database.writing() as connection:
            if not self._database.is_sqlite:
                await connection.execute(_LOCK)
            mark = int((await connection.execute(_NEWEST)).scalar_one())
            await self._pass_on(connection, entries)
            for part in _parts(entries, _ROWS_AT_ONCE):
                rows = [_row(entry, mark + number) for number, entry in enumerate(part, 1)]
                await connection.execute(_INSERT, rows)
                mark += len(rows)
            for provision in provisions:
                await self._provide(connection, provision)
        return mark

    async def get(self, entry_id: str) -> JointEntry | None:
        """Gives an entry as it stands."""
        async with self._database.reading() as connection:
            row = (await connection.execute(_GET, {"of_id": entry_id})).one_or_none()
            return None if row is None else _entry(row)

    async def of_enterprise(self, uscc: str) -> Sequence[JointEntry]:
        """Gives every entry about an enterprise, by mark."""
        async with self._database.reading() as connection:
            return [_entry(row) for row in await connection.execute(_ABOUT, {"about": uscc})]

    async def search(
        self, *, list_codes: Collection[str], province: str, list_year: int | None, after: int, limit: int
    ) -> Sequence[JointEntry]:
        """Gives current entries after a mark, by mark; no list codes, "" and None take any."""
        asked = [_CURRENT, _ENTRIES.c.mark > after]
        if list_codes:
            asked.append(_ENTRIES.c.list_code.in_(sorted(list_codes)))
        if province:
            asked.append(_ENTRIES.c.province == province)
        if list_year is not None:
            asked.append(_ENTRIES.c.list_year == list_year)
        statement = _ROW.where(and_(*asked)).order_by(_ENTRIES.c.mark).limit(limit)
        async with self._database.reading() as connection:
            return [_entry(row) for row in await connection.execute(statement)]

    async def changes_since(self, mark: int, *, limit: int) -> Sequence[JointEntry]:
        """Gives entries as each change after a mark left them, by mark; raises StoreRewoundError where that was another's."""
        if not await self._glance.has_newer(mark):
            return []
        async with self._database.reading() as connection:
            rows = await connection.execute(_SINCE, {"after": mark - 1, "most": limit + 1})
            return self._seen.after(mark, [_entry(row) for row in rows], limit)

    async def seen_since(self, mark: int, *, list_codes: Collection[str], limit: int) -> Sequence[JointEntry]:
        """Gives entries as they stand whose last change that banks can see is after a mark, by that change."""
        asked = [_CURRENT, _ENTRIES.c.seen_mark > mark]
        if list_codes:
            asked.append(_ENTRIES.c.list_code.in_(sorted(list_codes)))
        statement = _ROW.where(and_(*asked)).order_by(_ENTRIES.c.seen_mark).limit(limit)
        async with self._database.reading() as connection:
            return [_entry(row) for row in await connection.execute(statement)]

    async def newest_mark(self) -> int:
        """Gives the mark of the newest change."""
        async with self._database.reading() as connection:
            return int((await connection.execute(_NEWEST)).scalar_one())

    async def provisions(self) -> Sequence[Provision]:
        """Gives which province provided which list's year, in order."""
        order = (_PROVISIONS.c.list_code, _PROVISIONS.c.province, _PROVISIONS.c.list_year)
        async with self._database.reading() as connection:
            found = await connection.execute(select(_PROVISIONS).order_by(*order))
            return [Provision(row.list_code, row.province, row.list_year, row.provided_at, row.digest) for row in found]

    async def _pass_on(self, connection: AsyncConnection, entries: Sequence[JointEntry]) -> None:
        """Makes room for the next versions; raises EntryChangedError where one is not the next."""
        for part in _parts(entries, _AT_ONCE):
            ids = [entry.entry_id for entry in part]
            kept = {row.entry_id: row.version for row in await connection.execute(_VERSIONS, {"ids": ids})}
            if any(entry.version != kept.get(entry.entry_id, 0) + 1 for entry in part):
                raise EntryChangedError
            if kept:
                await connection.execute(_PASSED, {"ids": sorted(kept)})

    async def _provide(self, connection: AsyncConnection, provision: Provision) -> None:
        await connection.execute(
            delete(_PROVISIONS).where(
                _PROVISIONS.c.list_code == provision.list_code,
                _PROVISIONS.c.province == provision.province,
                _PROVISIONS.c.list_year == provision.list_year,
            )
        )
        await connection.execute(insert(_PROVISIONS), provision._asdict())


def _row(entry: JointEntry, mark: int) -> dict[str, Any]:
    return {
        "mark": mark,
        "seen_mark": mark if entry.event in VISIBLE else entry.seen_mark,
        "entry_id": entry.entry_id,
        "version": entry.version,
        "is_current": True,
        "list_code": entry.list_code,
        "uscc": entry.uscc,
        "province": entry.province,
        "list_year": entry.list_year,
        "body": _encode(entry),
    }


def _entry(row: Any) -> JointEntry:
    return replace(_decode(row.body), mark=row.mark, seen_mark=row.seen_mark)


def _parts(items: Iterable[_T], size: int) -> Iterator[Sequence[_T]]:
    part: list[_T] = []
    for item in items:
        part.append(item)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part
