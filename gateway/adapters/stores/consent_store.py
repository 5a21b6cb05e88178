"""Consents in a database: one row each, and a log of changes written in the same transaction.

Every statement names the bank, so that no method reaches another bank's row; the one exception is the log as processes read
it to learn what to forget, which tells ids and versions and nothing of what a consent says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Executable, Table, and_, bindparam, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.adapters.stores.engine import Database
from gateway.adapters.stores.models import ConsentChangeRow, ConsentRow
from gateway.domain.consent import Consent, ConsentState
from gateway.domain.consent_life import ConsentChange, ConsentEvent, event_of
from gateway.domain.errors import ConsentChangedError, ConsentNotFoundError, RequestIdReusedError

_CONSENTS: Final[Table] = ConsentRow.metadata.tables["consents"]
_CHANGES: Final[Table] = ConsentChangeRow.metadata.tables["consent_changes"]
_FIELDS: Final = tuple(field.name for field in fields(Consent))
_COLUMNS: Final = tuple(_CONSENTS.c[name] for name in _FIELDS)
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
_OF_REQUEST: Final = select(*_COLUMNS, _CONSENTS.c.request_digest).where(
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
    )
    .returning(*_COLUMNS)
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
    .values(uses=_CONSENTS.c.uses + 1, version=_CONSENTS.c.version + 1, changed_at=bindparam("moment"))
    .returning(*_COLUMNS)
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

    def __init__(self, database: Database) -> None:
        self._database = database
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
        async with self._database.writing() as connection:
            # A second request under the same id waits here for the first one's end.
            made = await connection.execute(
                self._register, {**values, "request_id": request_id or None, "request_digest": request_digest}
            )
            if made.one_or_none() is None:
                return await self._registered_before(connection, consent.bank, request_id, request_digest)
            await self._log(connection, consent, ConsentEvent.REGISTERED, consent.created_at)
        return consent

    async def get(self, bank: str, consent_id: str) -> Consent | None:
        """Gives a consent of the bank."""
        async with self._database.reading() as connection:
            return await self._get(connection, bank, consent_id)

    async def list(self, bank: str, uscc: str, *, after: str, limit: int) -> Sequence[Consent]:
        """Gives the bank's consents about an enterprise or any, by id."""
        asked = {"of_bank": bank, "after": after, "most": limit, **({"about": uscc} if uscc else {})}
        async with self._database.reading() as connection:
            return [_whole(row) for row in await connection.execute(_LIST_ABOUT if uscc else _LIST, asked)]

    async def change(
        self, bank: str, consent_id: str, expected_version: int, state: ConsentState, at: datetime, reason: str = ""
    ) -> Consent:
        """Puts a consent of that version into a state that was decided."""
        event = event_of(state)
        async with self._database.writing() as connection:
            made = await connection.execute(
                _CHANGE,
                {
                    "of_bank": bank,
                    "of_id": consent_id,
                    "of_version": expected_version,
                    "new_state": state.value,
                    "moment": at,
                    "why": reason if state is ConsentState.REVOKED else "",
                },
            )
            consent = _consent(made.one_or_none())
            if consent is None:
                known = await self._get(connection, bank, consent_id)
                raise ConsentNotFoundError if known is None else ConsentChangedError
            await self._log(connection, consent, event, at)
        return consent

    async def use(self, bank: str, consent_id: str, version: int, at: datetime) -> Consent | None:
        """Takes one use, atomically: the row is tested and changed by one statement."""
        async with self._database.writing() as connection:
            made = await connection.execute(
                _USE, {"of_bank": bank, "of_id": consent_id, "of_version": version, "moment": at}
            )
            consent = _consent(made.one_or_none())
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
        """Gives the changes of all banks after a mark, in order."""
        async with self._database.reading() as connection:
            return [_change(row) for row in await connection.execute(_SINCE, {"after": mark, "most": limit})]

    async def _get(self, connection: AsyncConnection, bank: str, consent_id: str) -> Consent | None:
        found = await connection.execute(_GET, {"of_bank": bank, "of_id": consent_id})
        return _consent(found.one_or_none())

    async def _registered_before(
        self, connection: AsyncConnection, bank: str, request_id: str, request_digest: bytes
    ) -> Consent:
        row = (await connection.execute(_OF_REQUEST, {"of_bank": bank, "of_request": request_id})).one()
        if row.request_digest != request_digest:
            raise RequestIdReusedError("this request id was used to register another consent; use a new one")
        return _whole(row)

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


def _consent(row: Sequence[Any] | None) -> Consent | None:
    return None if row is None else _whole(row)


def _whole(row: Sequence[Any]) -> Consent:
    values = dict(zip(_FIELDS, row, strict=False))  # what else was selected stands behind
    return Consent(**{**values, "state": ConsentState(values["state"])})


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
