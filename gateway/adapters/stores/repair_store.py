"""Repairs of records in a database, and the stale copies that were seen of them: a row each, as it stands.

Marks are numbered by us within the transaction, one writer at a time (see `consent_store`): a reader that saw a mark has seen
all before it. The row with the greatest mark is never deleted, so that no mark is given twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec
from sqlalchemy import Table, bindparam, func, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.adapters.stores.engine import Database
from gateway.adapters.stores.glance import Glance
from gateway.adapters.stores.last_seen import LastSeen
from gateway.adapters.stores.models import RecordRepairRow, StaleCopyRow
from gateway.domain.errors import RepairChangedError
from gateway.domain.record_repair import RecordRepair, SeenStale

_REPAIRS: Final[Table] = RecordRepairRow.metadata.tables["record_repairs"]
_COPIES: Final[Table] = StaleCopyRow.metadata.tables["stale_copies"]
_ORDER_OF_COMMITS: Final = 0x78696E7C
_AT_ONCE: Final = 500

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(RecordRepair).decode

# Built once: to build a statement costs more than to run it.
_LOCK: Final = select(func.pg_advisory_xact_lock(_ORDER_OF_COMMITS))
_NEWEST: Final = select(func.coalesce(func.max(_REPAIRS.c.mark), 0))
_NEWEST_COPY: Final = select(func.coalesce(func.max(_COPIES.c.mark), 0))
_GET: Final = select(_REPAIRS.c.mark, _REPAIRS.c.body).where(_REPAIRS.c.repair_id == bindparam("of_id"))
_IN: Final = _REPAIRS.c.repair_id.in_(bindparam("ids", expanding=True))
_OF_IDS: Final = select(_REPAIRS.c.mark, _REPAIRS.c.body).where(_IN)
_VERSIONS: Final = select(_REPAIRS.c.repair_id, _REPAIRS.c.version).where(_IN)
_SINCE: Final = (
    select(_REPAIRS.c.mark, _REPAIRS.c.body)
    .where(_REPAIRS.c.mark > bindparam("after"))
    .order_by(_REPAIRS.c.mark)
    .limit(bindparam("most"))
)
_KNOWN: Final = select(_REPAIRS.c.repair_id).where(_IN)
_SEEN: Final = select(_COPIES.c.platform, _COPIES.c.record_key).where(
    tuple_(_COPIES.c.platform, _COPIES.c.record_key).in_(bindparam("keys", expanding=True))
)
_INSERT: Final = insert(_REPAIRS)
_INSERT_COPY: Final = insert(_COPIES)
_MOVE: Final = (
    update(_REPAIRS)
    .where(_REPAIRS.c.repair_id == bindparam("of_id"))
    .values(mark=bindparam("to_mark"), version=bindparam("to_version"), body=bindparam("to_body"))
)
_MOVE_COPY: Final = (
    update(_COPIES)
    .where(_COPIES.c.platform == bindparam("of_platform"), _COPIES.c.record_key == bindparam("of_key"))
    .values(mark=bindparam("to_mark"), last_seen=bindparam("to_last"))
)


class SqlRepairStore:
    """Keeps repairs in SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._glance = Glance(database, _REPAIRS)
        self._seen = LastSeen[RecordRepair](_REPAIRS.name)

    async def put(self, repair: RecordRepair) -> RecordRepair:
        """Keeps a new repair or the next version of an old one."""
        return (await self.put_all([repair]))[0]

    async def put_all(self, repairs: Sequence[RecordRepair]) -> Sequence[RecordRepair]:
        """Keeps them all or none, each with the next mark."""
        put: list[RecordRepair] = []
        if not repairs:
            return put
        async with self._database.writing() as connection:
            mark = await self._alone(connection, _NEWEST)
            for begin in range(0, len(repairs), _AT_ONCE):
                part = [replace(one, mark=mark + number) for number, one in enumerate(repairs[begin:][:_AT_ONCE], 1)]
                ids = [one.repair_id for one in part]
                kept = {row.repair_id: row.version for row in await connection.execute(_VERSIONS, {"ids": ids})}
                if any(one.version != kept.get(one.repair_id, 0) + 1 for one in part) or len(set(ids)) < len(ids):
                    raise RepairChangedError
                new = [_row(one, one.mark) for one in part if one.repair_id not in kept]
                if new:
                    await connection.execute(_INSERT, new)
                moved = [_moved(_row(one, one.mark)) for one in part if one.repair_id in kept]
                if moved:
                    await connection.execute(_MOVE, moved)
                put += part
                mark += len(part)
        return put

    async def remember(self, repairs: Sequence[RecordRepair]) -> None:
        """Keeps those whose ids are not known yet."""
        by_id = {repair.repair_id: repair for repair in repairs}
        ids = list(by_id)
        for begin in range(0, len(ids), _AT_ONCE):
            part = ids[begin : begin + _AT_ONCE]
            async with self._database.writing() as connection:
                mark = await self._alone(connection, _NEWEST)
                known = set((await connection.execute(_KNOWN, {"ids": part})).scalars())
                new = [by_id[one] for one in part if one not in known]
                if new:
                    await connection.execute(
                        _INSERT, [_row(repair, mark + number) for number, repair in enumerate(new, 1)]
                    )

    async def get(self, repair_id: str) -> RecordRepair | None:
        """Gives a repair."""
        async with self._database.reading() as connection:
            row = (await connection.execute(_GET, {"of_id": repair_id})).one_or_none()
            return None if row is None else _repair(row)

    async def of_ids(self, repair_ids: Sequence[str]) -> Sequence[RecordRepair]:
        """Gives those that are there."""
        found: list[RecordRepair] = []
        async with self._database.reading() as connection:
            for begin in range(0, len(repair_ids), _AT_ONCE):
                part = repair_ids[begin : begin + _AT_ONCE]
                found += [_repair(row) for row in await connection.execute(_OF_IDS, {"ids": part})]
        return found

    async def search(self, uscc: str, *, after: int, limit: int) -> Sequence[RecordRepair]:
        """Gives repairs after a mark, by mark; raises StoreRewoundError where what was last seen of anybody's is no more."""
        if not uscc and not await self._glance.has_newer(after):
            return []
        statement = _SINCE.where(_REPAIRS.c.uscc == uscc) if uscc else _SINCE
        async with self._database.reading() as connection:
            known = self._seen.of(after) if not uscc else None
            if known is not None:
                row = (await connection.execute(_GET, {"of_id": known.repair_id})).one_or_none()
                now = _repair(row) if row is not None else None
                # One of a later version moved on, to a greater mark.
                if now is None or (now != known and now.version <= known.version):
                    self._seen.rewound()
            found = [_repair(row) for row in await connection.execute(statement, {"after": after, "most": limit})]
        if found and not uscc:
            self._seen.note(found[-1])
        return found

    async def newest_mark(self) -> int:
        """Gives the mark of the newest change."""
        async with self._database.reading() as connection:
            return int((await connection.execute(_NEWEST)).scalar_one())

    async def saw(self, copies: Sequence[SeenStale]) -> None:
        """Keeps where stale copies were seen."""
        by_key = {(copy.platform, copy.record_key): copy for copy in copies}
        keys = list(by_key)
        for begin in range(0, len(keys), _AT_ONCE):
            part = keys[begin : begin + _AT_ONCE]
            async with self._database.writing() as connection:
                mark = await self._alone(connection, _NEWEST_COPY)
                known = {(row.platform, row.record_key) for row in await connection.execute(_SEEN, {"keys": part})}
                for number, key in enumerate(part, 1):
                    copy = by_key[key]._replace(mark=mark + number)
                    if key not in known:
                        await connection.execute(_INSERT_COPY, copy._asdict())
                        continue
                    moved = {"of_platform": copy.platform, "of_key": copy.record_key, "to_mark": copy.mark}
                    await connection.execute(_MOVE_COPY, {**moved, "to_last": copy.last_seen})

    async def stale_copies(self, platform: str, uscc: str, *, after: int, limit: int) -> Sequence[SeenStale]:
        """Gives stale copies after a mark, by mark."""
        statement = select(_COPIES).where(_COPIES.c.mark > after).order_by(_COPIES.c.mark).limit(limit)
        if platform:
            statement = statement.where(_COPIES.c.platform == platform)
        if uscc:
            statement = statement.where(_COPIES.c.uscc == uscc)
        async with self._database.reading() as connection:
            found = await connection.execute(statement)
            return [SeenStale(*[getattr(row, name) for name in SeenStale._fields]) for row in found]

    async def _alone(self, connection: AsyncConnection, newest: Any) -> int:
        """Gives the newest mark, with no other writer beside until the transaction ends."""
        if not self._database.is_sqlite:
            await connection.execute(_LOCK)
        return int((await connection.execute(newest)).scalar_one())


def _row(repair: RecordRepair, mark: int) -> dict[str, Any]:
    return {
        "repair_id": repair.repair_id,
        "mark": mark,
        "version": repair.version,
        "uscc": repair.uscc,
        "body": _encode(repair),
    }


def _moved(row: dict[str, Any]) -> dict[str, Any]:
    return {"of_id": row["repair_id"], **{f"to_{name}": row[name] for name in ("mark", "version", "body")}}


def _repair(row: Any) -> RecordRepair:
    return replace(_decode(row.body), mark=row.mark)
