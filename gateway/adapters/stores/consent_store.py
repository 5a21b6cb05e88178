"""Consents in a database: one row each, and a log of changes written in the same transaction.

Every statement names the bank, so that no method reaches another bank's row; the one exception is the log as processes read
it to learn what to forget, which tells ids and versions and nothing of what a consent says.

Every row bears a seal over what it says, checked whenever it is read and renewed with every change. A row whose seal does
not hold, or that cannot be read, is left as it is, told in the log, and not served: to the bank there is no such consent to
rely on, and to get or change it is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from datetime import datetime
from typing import Any, Final

import structlog
from sqlalchemy import ColumnElement, Executable, RowMapping, Table, and_, bindparam, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.adapters.stores.consent_seal import Seal
from gateway.adapters.stores.engine import Database
from gateway.adapters.stores.glance import Glance
from gateway.adapters.stores.last_seen import LastSeen
from gateway.adapters.stores.models import ConsentChangeRow, ConsentRow
from gateway.domain.consent import Consent, ConsentState
from gateway.domain.consent_life import ConsentChange, ConsentEvent, event_of
from gateway.domain.errors import ConsentChangedError, ConsentNotFoundError, CorruptRecordError, RequestIdReusedError

_CONSENTS: Final[Table] = ConsentRow.metadata.tables["consents"]
_CHANGES: Final[Table] = ConsentChangeRow.metadata.tables["consent_changes"]
_FIELDS: Final = tuple(field.name for field in fields(Consent))
_COLUMNS: Final = tuple(_CONSENTS.c)
_NAMES: Final = tuple(_CONSENTS.c.keys())
_UNREADABLE: Final = (ValueError, TypeError, KeyError)
"""What comes of a row whose values are none of their kind, from SQLAlchemy and from here."""
_MOST_TOLD: Final = 1_000
"""Of how many corrupt rows the log tells, once each."""
_ORDER_OF_COMMITS: Final = 0x78696E79
"""The advisory lock under which PostgreSQL gives marks. A sequence alone gives them in the order of asking: a reader could
pass a mark whose transaction commits a moment later, and would never hear of that change. So one change commits at a time."""


def _of(table: Table) -> ColumnElement[bool]:
    return and_(table.c.bank == bindparam("of_bank"), table.c.consent_id == bindparam("of_id"))


# Built once: to build a statement costs more than to run it.
_GET: Final = select(*_COLUMNS).where(_of(_CONSENTS))
_LIST: Final = (
    select(*_COLUMNS)
    .where(_CONSENTS.c.bank == bindparam("of_bank"), _CONSENTS.c.consent_id > bindparam("after"))
    .order_by(_CONSENTS.c.consent_id)
    .limit(bindparam("most"))
)
_LIST_ABOUT: Final = _LIST.where(_CONSENTS.c.uscc == bindparam("about"))
_LIST_IDS: Final = _LIST.with_only_columns(_CONSENTS.c.consent_id)
_LIST_IDS_ABOUT: Final = _LIST_ABOUT.with_only_columns(_CONSENTS.c.consent_id)
_OF_REQUEST: Final = select(*_COLUMNS).where(
    _CONSENTS.c.bank == bindparam("of_bank"), _CONSENTS.c.request_id == bindparam("of_request")
)
_CHANGE: Final = (
    update(_CONSENTS)
    .where(_of(_CONSENTS), _CONSENTS.c.version == bindparam("of_version"))
    .values(
        state=bindparam("new_state"),
        version=_CONSENTS.c.version + 1,
        changed_at=bindparam("moment"),
        revocation_reason=bindparam("why"),
        seal=bindparam("new_seal"),
    )
)
_USE: Final = (
    update(_CONSENTS)
    .where(
        _of(_CONSENTS),
        _CONSENTS.c.version == bindparam("of_version"),
        _CONSENTS.c.state == ConsentState.ACTIVE.value,
        or_(_CONSENTS.c.max_uses == 0, _CONSENTS.c.uses < _CONSENTS.c.max_uses),
        _CONSENTS.c.valid_from <= bindparam("moment"),
        _CONSENTS.c.valid_to > bindparam("moment"),
    )
    .values(
        uses=_CONSENTS.c.uses + 1,
        version=_CONSENTS.c.version + 1,
        changed_at=bindparam("moment"),
        seal=bindparam("new_seal"),
    )
)
_LOG: Final = insert(_CHANGES)
_HISTORY: Final = select(_CHANGES).where(_of(_CHANGES)).order_by(_CHANGES.c.mark.desc()).limit(bindparam("most"))
_NEWEST: Final = select(func.coalesce(func.max(_CHANGES.c.mark), 0))
_SINCE: Final = (
    select(_CHANGES).where(_CHANGES.c.mark > bindparam("after")).order_by(_CHANGES.c.mark).limit(bindparam("most"))
)
_LOCK: Final = select(func.pg_advisory_xact_lock(_ORDER_OF_COMMITS))


class SqlConsentStore:
    """Keeps consents in SQLite or PostgreSQL."""

    def __init__(
        self, database: Database, seal: Seal | None = None, told_corrupt: Callable[[], None] = lambda: None
    ) -> None:
        self._told_corrupt = told_corrupt
        self._database = database
        self._seal = seal or Seal()
        self._told: set[tuple[str, str]] = set()
        self._glance = Glance(database, _CHANGES)
        self._seen = LastSeen[ConsentChange](_CHANGES.name)
        # Both databases have ON CONFLICT, and standard SQL has not.
        insert_into = sqlite.insert if database.is_sqlite else postgresql.insert
        self._register: Executable = (
            insert_into(_CONSENTS)
            .on_conflict_do_nothing(index_elements=["bank", "request_id"])
            .returning(_CONSENTS.c.consent_id)
        )

    async def register(self, consent: Consent, *, request_id: str = "", request_digest: bytes = b"") -> Consent:
        """Keeps a new consent; gives the one of the same request where there is one already."""
        values = {name: getattr(consent, name) for name in _FIELDS}
        values |= {"request_id": request_id or None, "request_digest": request_digest}
        async with self._database.writing() as connection:
            # A second request under the same id waits here for the first one's end.
            made = await connection.execute(self._register, {**values, "seal": self._seal.of(values)})
            if made.one_or_none() is None:
                return await self._registered_before(connection, consent.bank, request_id, request_digest)
            await self._log(connection, consent, ConsentEvent.REGISTERED, consent.created_at)
        return consent

    async def get(self, bank: str, consent_id: str) -> Consent | None:
        """Gives a consent of the bank."""
        async with self._database.reading() as connection:
            row = await self._get(connection, bank, consent_id)
            return None if row is None else _consent(row)

    async def list(self, bank: str, uscc: str, *, after: str, limit: int) -> Sequence[Consent]:
        """Gives the bank's consents about an enterprise or any, by id."""
        asked = {"of_bank": bank, "after": after, "most": limit, **({"about": uscc} if uscc else {})}
        async with self._database.reading() as connection:
            try:
                found = await connection.execute(_LIST_ABOUT if uscc else _LIST, asked)
                return [_consent(self._whole(row)) for row in found.mappings()]
            except (CorruptRecordError, *_UNREADABLE):
                return await self._list_whole_ones(connection, asked)

    async def change(
        self, bank: str, consent_id: str, expected_version: int, state: ConsentState, at: datetime, reason: str = ""
    ) -> Consent:
        """Puts a consent of that version into a state that was decided."""
        event = event_of(state)
        why = reason if state is ConsentState.REVOKED else ""
        async with self._database.writing() as connection:
            row = await self._get(connection, bank, consent_id)
            if row is None:
                raise ConsentNotFoundError
            if row["version"] != expected_version:
                raise ConsentChangedError
            new = {"state": state, "version": expected_version + 1, "changed_at": at, "revocation_reason": why}
            given = {"new_state": state.value, "why": why}
            consent = await self._renew(connection, _CHANGE, row, new, given)
            if consent is None:  # another was quicker since the row was read
                raise ConsentChangedError
            await self._log(connection, consent, event, at)
        return consent

    async def use(self, bank: str, consent_id: str, version: int, at: datetime) -> Consent | None:
        """Takes one use, atomically: whatever was read before, the row is tested and changed by one statement."""
        async with self._database.writing() as connection:
            row = await self._get(connection, bank, consent_id)
            if row is None or row["version"] != version:
                return None
            new = {"uses": row["uses"] + 1, "version": version + 1, "changed_at": at}
            consent = await self._renew(connection, _USE, row, new, {})
            if consent is not None:
                await self._log(connection, consent, ConsentEvent.USED, at)
        return consent

    async def history(self, bank: str, consent_id: str, *, limit: int) -> Sequence[ConsentChange]:
        """Gives the latest changes of a consent of the bank, the newest last."""
        async with self._database.reading() as connection:
            newest = await connection.execute(_HISTORY, {"of_bank": bank, "of_id": consent_id, "most": limit})
            return [_change(row) for row in newest][::-1]

    async def newest_mark(self) -> int:
        """Gives the mark of the newest change."""
        async with self._database.reading() as connection:
            return int((await connection.execute(_NEWEST)).scalar_one())

    async def versions_since(self, mark: int, *, limit: int = 1_000) -> Sequence[ConsentChange]:
        """Gives the changes of all banks after a mark, in order; raises StoreRewoundError where that was another's."""
        if not await self._glance.has_newer(mark):
            return []
        async with self._database.reading() as connection:
            rows = await connection.execute(_SINCE, {"after": mark - 1, "most": limit + 1})
            return self._seen.after(mark, [_change(row) for row in rows], limit)

    async def _get(self, connection: AsyncConnection, bank: str, consent_id: str) -> Mapping[str, Any] | None:
        try:
            row = (await connection.execute(_GET, {"of_bank": bank, "of_id": consent_id})).mappings().one_or_none()
        except _UNREADABLE as error:
            raise self._corrupt(bank, consent_id) from error
        return None if row is None else self._whole(row)

    async def _list_whole_ones(self, connection: AsyncConnection, asked: Mapping[str, Any]) -> Sequence[Consent]:
        """Gives the same as `list` where some row is corrupt: so many whole ones, row by row."""
        whole: list[Consent] = []
        after = asked["after"]
        while True:
            statement = _LIST_IDS_ABOUT if "about" in asked else _LIST_IDS
            ids = (await connection.execute(statement, {**asked, "after": after})).scalars().all()
            for after in ids:
                with suppress(CorruptRecordError):
                    row = await self._get(connection, asked["of_bank"], after)
                    whole += [_consent(row)] if row is not None else []
            if len(whole) >= asked["most"] or len(ids) < asked["most"]:
                return whole[: asked["most"]]

    async def _renew(
        self,
        connection: AsyncConnection,
        statement: Executable,
        row: Mapping[str, Any],
        new: Mapping[str, Any],
        given: Mapping[str, Any],
    ) -> Consent | None:
        """Changes a row that was read and is whole, and seals it anew; gives nothing where its version is another by now."""
        changed = {**row, **new}
        about = {"of_bank": row["bank"], "of_id": row["consent_id"], "of_version": row["version"]}
        told = {**about, **given, "moment": new["changed_at"], "new_seal": self._seal.of(changed)}
        made = await connection.execute(statement, told)
        return _consent(changed) if made.rowcount == 1 else None

    async def _registered_before(
        self, connection: AsyncConnection, bank: str, request_id: str, request_digest: bytes
    ) -> Consent:
        asked = {"of_bank": bank, "of_request": request_id}
        try:
            row = self._whole((await connection.execute(_OF_REQUEST, asked)).mappings().one())
        except _UNREADABLE as error:
            raise self._corrupt(bank, "of a request id") from error
        if row["request_digest"] != request_digest:
            raise RequestIdReusedError("this request id was used to register another consent; use a new one")
        return _consent(row)

    def _whole(self, found: RowMapping) -> Mapping[str, Any]:
        """Gives the row if it is what was put there; raises CorruptRecordError."""
        row = {name: found[name] for name in _NAMES}
        if not self._seal.holds(row):
            raise self._corrupt(row["bank"], row["consent_id"])
        return row

    def _corrupt(self, bank: str, consent_id: str) -> CorruptRecordError:
        if (bank, consent_id) not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add((bank, consent_id))
            structlog.get_logger("gateway.store").error("store.corrupt_record", bank=bank, consent_id=consent_id)
        self._told_corrupt()
        return CorruptRecordError(
            f"the consent {consent_id} is not what was registered: it was altered in the database and is not honoured; "
            "ask the gateway's operator"
        )

    async def _log(self, connection: AsyncConnection, consent: Consent, event: ConsentEvent, at: datetime) -> None:
        if not self._database.is_sqlite:
            await connection.execute(_LOCK)
        await connection.execute(
            _LOG,
            {
                "bank": consent.bank,
                "consent_id": consent.consent_id,
                "version": consent.version,
                "event": event.value,
                "state": consent.state.value,
                "at": at,
            },
        )


def _consent(row: Mapping[str, Any]) -> Consent:
    return Consent(**{**{name: row[name] for name in _FIELDS}, "state": ConsentState(row["state"])})


def _change(row: Any) -> ConsentChange:
    return ConsentChange(
        mark=row.mark,
        bank=row.bank,
        consent_id=row.consent_id,
        version=row.version,
        event=ConsentEvent(row.event),
        state=ConsentState(row.state),
        at=row.at,
    )
