"""Tokens seen (已用令牌), in a database: one row per issuer and jti, for all processes that share it, across restarts.

A row is written before its token is believed, and the database's primary key decides a race: of two processes that meet the
same jti at once, one inserts. Rows go when their token could not be believed any more anyway.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from sqlalchemy import Column, Float, LargeBinary, MetaData, String, Table, delete, event, insert, make_url, select
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.schema import CreateIndex, CreateTable

from gateway.adapters.stores.engine import SQLITE
from gateway.adapters.stores.server_connections import BUSY_S, dispose, server_engine
from gateway.domain.errors import ConfigError, IdentityUnavailableError
from gateway.ports import Clock

_SWEEP_S: Final = 600.0
_ATTEMPTS: Final = 8
_PAUSE_S: Final = 0.02
_METADATA: Final = MetaData()
_SEEN: Final = Table(
    "seen_tokens",
    _METADATA,
    Column("issuer", String(512), primary_key=True),
    Column("jti", String(128), primary_key=True),
    Column("digest", LargeBinary(32), nullable=False),
    Column("until", Float, nullable=False, index=True),
)


class SqlSeenTokens:
    """Fulfils `SeenTokens` on SQLite or PostgreSQL; opened by `open`, closed by who opened it."""

    def __init__(self, engine: AsyncEngine, clock: Clock, longest_s: float = BUSY_S) -> None:
        """Takes how long a call may wait for a server that does not answer."""
        self._engine = engine
        self._longest_s = None if engine.dialect.name == "sqlite" else longest_s
        self._clock = clock
        self._swept_at = clock.monotonic()

    @classmethod
    async def open(
        cls, url: str, clock: Clock, *, password: str | None = None, longest_s: float = BUSY_S
    ) -> SqlSeenTokens:
        """Opens the database and makes its table; raises ConfigError where it cannot be had.

        `password` takes the place of the one in the address, if any is given.
        """
        engine: AsyncEngine | None = None
        try:
            parsed = make_url(url)
            parsed = parsed if password is None else parsed.set(password=password)
            is_file = parsed.get_backend_name() == SQLITE
            engine = create_async_engine(parsed) if is_file else server_engine(parsed)
            if engine.dialect.name == "sqlite":
                if engine.url.database and engine.url.database != ":memory:":
                    Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True)
                event.listen(engine.sync_engine, "connect", _durable)
            await _make_table(engine)
        except (SQLAlchemyError, OSError, ImportError, ValueError) as error:
            if engine is not None:
                await engine.dispose()
            why = type(error).__name__  # not its text, which may show the address with its password
            raise ConfigError([f"gateway.toml: identity.seen_tokens: the database cannot be had ({why})"]) from error
        return cls(engine, clock, longest_s)

    async def note(self, issuer: str, jti: str, digest: bytes, until: float) -> bool | None:
        """Remembers the use; None where the jti was not seen, else whether it was this very token."""
        try:
            async with asyncio.timeout(self._longest_s), self._engine.begin() as connection:
                now = self._clock.monotonic()
                if now - self._swept_at >= _SWEEP_S:
                    self._swept_at = now
                    await connection.execute(delete(_SEEN).where(_SEEN.c.until < self._clock.now().timestamp()))
                await connection.execute(insert(_SEEN).values(issuer=issuer, jti=jti, digest=digest, until=until))
            return None
        except IntegrityError:
            return await self._is_same(issuer, jti, digest)
        except (SQLAlchemyError, OSError) as error:
            raise IdentityUnavailableError("whether the token was used before cannot be told now; ask again") from error

    async def _is_same(self, issuer: str, jti: str, digest: bytes) -> bool:
        try:
            async with asyncio.timeout(self._longest_s), self._engine.connect() as connection:
                wanted = select(_SEEN.c.digest).where(_SEEN.c.issuer == issuer, _SEEN.c.jti == jti)
                held: bytes | None = (await connection.execute(wanted)).scalar_one_or_none()
        except (SQLAlchemyError, OSError) as error:
            raise IdentityUnavailableError("whether the token was used before cannot be told now; ask again") from error
        return held == digest

    async def aclose(self) -> None:
        """Closes the connections."""
        await dispose(self._engine)


async def _make_table(engine: AsyncEngine) -> None:
    """Makes the table unless it is there; workers begin together, and both databases fail some who make it at once."""
    for attempt in range(_ATTEMPTS):
        try:
            async with engine.begin() as connection:
                await connection.execute(CreateTable(_SEEN, if_not_exists=True))
                for index in _SEEN.indexes:
                    await connection.execute(CreateIndex(index, if_not_exists=True))
            return
        except (OperationalError, IntegrityError, ProgrammingError):  # the last: PostgreSQL's "already exists"
            if attempt == _ATTEMPTS - 1:
                raise
            await asyncio.sleep(_PAUSE_S * (attempt + 1))


def _durable(connection: object, record: object) -> None:
    """Lets processes share the file, and has each use on disk before its token is believed."""
    cursor = connection.cursor()  # type: ignore[attr-defined]  # a DBAPI connection
    for pragma in ("busy_timeout=5000", "journal_mode=WAL", "synchronous=FULL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
