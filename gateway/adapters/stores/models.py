"""The tables of the store, for every database alike: one metadata, which migrations are held against.

Rows are keyed by bank first. Moments are kept in UTC; a database without time zones (SQLite) gives them back as UTC too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

_NAMES: Final = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Moment(TypeDecorator[datetime]):
    """An aware moment; a naive one is refused rather than guessed at."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Gives the moment in UTC; raises ValueError for a naive one."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment must know its zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Gives the moment back with its zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Items(TypeDecorator[tuple[Any, ...]]):
    """A short tuple of numbers or texts, kept as a JSON array."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Sequence[Any] | None, dialect: Dialect) -> Any:
        """Gives the items as a list."""
        return None if value is None else list(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> tuple[Any, ...] | None:
        """Gives the items as a tuple."""
        return None if value is None else tuple(value)


class Base(DeclarativeBase):
    """The metadata that all stores share."""

    metadata = MetaData(naming_convention=_NAMES)


class ConsentRow(Base):
    """One consent of one bank, as it stands; `request_id` is null where it was registered without one."""

    __tablename__ = "consents"
    __table_args__ = (
        CheckConstraint("state IN ('ACTIVE', 'PAUSED', 'REVOKED')", name="state"),
        CheckConstraint("valid_from < valid_to", name="validity"),
        # The last word on one-time consents: whatever a program does, no row can be used too often.
        CheckConstraint("uses >= 0 AND max_uses >= 0 AND (max_uses = 0 OR uses <= max_uses)", name="uses"),
        UniqueConstraint("bank", "request_id"),
        Index(None, "bank", "uscc", "consent_id"),
    )

    bank: Mapped[str] = mapped_column(String(128), primary_key=True)
    consent_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    uscc: Mapped[str] = mapped_column(String(18))
    person_ref: Mapped[str] = mapped_column(String(128))
    purposes: Mapped[tuple[int, ...]] = mapped_column(Items)
    categories: Mapped[tuple[int, ...]] = mapped_column(Items)
    platforms: Mapped[tuple[str, ...]] = mapped_column(Items)
    valid_from: Mapped[datetime] = mapped_column(Moment)
    valid_to: Mapped[datetime] = mapped_column(Moment)
    max_uses: Mapped[int] = mapped_column(Integer)
    uses: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(String(16))
    channel: Mapped[str] = mapped_column(String(32))
    document_digest: Mapped[bytes] = mapped_column(LargeBinary)
    signature: Mapped[bytes] = mapped_column(LargeBinary)
    certificate_serial: Mapped[str] = mapped_column(String(128))
    signatory_ref: Mapped[str] = mapped_column(String(128))
    version: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(Moment)
    changed_at: Mapped[datetime] = mapped_column(Moment)
    revocation_reason: Mapped[str] = mapped_column(String(512))
    document_ref: Mapped[str] = mapped_column(String(256), server_default="")
    institution_code: Mapped[str] = mapped_column(String(14), server_default="")
    signed_at: Mapped[datetime | None] = mapped_column(Moment)
    request_id: Mapped[str | None] = mapped_column(String(128))
    request_digest: Mapped[bytes] = mapped_column(LargeBinary)
    seal: Mapped[bytes | None] = mapped_column(LargeBinary)


class ConsentChangeRow(Base):
    """One entry of the log of changes; marks are given in the order of commits and never twice."""

    __tablename__ = "consent_changes"
    __table_args__ = (
        UniqueConstraint("bank", "consent_id", "version"),
        ForeignKeyConstraint(["bank", "consent_id"], ["consents.bank", "consents.consent_id"]),
        {"sqlite_autoincrement": True},
    )

    mark: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    )
    bank: Mapped[str] = mapped_column(String(128))
    consent_id: Mapped[str] = mapped_column(String(64))
    version: Mapped[int] = mapped_column(Integer)
    event: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16))
    at: Mapped[datetime] = mapped_column(Moment)


class ArchivedViewRow(Base):
    """One answered view of one bank; `content` is encrypted, view and receipt together, and opens in this row only.

    `trail` is empty for what was kept before trails had ids.
    """

    __tablename__ = "archived_views"
    __table_args__ = (Index(None, "uscc"), Index(None, "kept_until"), Index(None, "trail", "root_sequence"))

    bank: Mapped[str] = mapped_column(String(128), primary_key=True)
    answer_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    uscc: Mapped[str] = mapped_column(String(18))
    root_sequence: Mapped[int] = mapped_column(BigInteger)
    retention_class: Mapped[str] = mapped_column(String(32))
    kept_until: Mapped[datetime] = mapped_column(Moment)
    sealed_because: Mapped[str] = mapped_column(String(32))
    sealed_at: Mapped[datetime | None] = mapped_column(Moment)
    content: Mapped[bytes] = mapped_column(LargeBinary)
    trail: Mapped[str] = mapped_column(String(32), server_default="")


class JointEntryRow(Base):
    """One version of one list entry; marks are given without gaps in the order of commits. `body` is the entry, as JSON."""

    __tablename__ = "joint_list_entries"
    __table_args__ = (
        UniqueConstraint("entry_id", "version"),
        Index(None, "uscc"),
        Index(None, "seen_mark"),
        Index(None, "list_code", "province", "list_year", "mark"),
    )

    mark: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False
    )
    seen_mark: Mapped[int] = mapped_column(BigInteger)
    entry_id: Mapped[str] = mapped_column(String(64))
    version: Mapped[int] = mapped_column(Integer)
    is_current: Mapped[bool] = mapped_column(Boolean)
    list_code: Mapped[str] = mapped_column(String(32))
    uscc: Mapped[str] = mapped_column(String(18))
    province: Mapped[str] = mapped_column(String(2))
    list_year: Mapped[int | None] = mapped_column(Integer)
    body: Mapped[bytes] = mapped_column(LargeBinary)


class JointProvisionRow(Base):
    """That a province provided a list's year, by the newest file."""

    __tablename__ = "joint_list_provisions"

    list_code: Mapped[str] = mapped_column(String(32), primary_key=True)
    province: Mapped[str] = mapped_column(String(2), primary_key=True)
    list_year: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    provided_at: Mapped[datetime] = mapped_column(Moment)
    digest: Mapped[bytes] = mapped_column(LargeBinary)


class RecordRepairRow(Base):
    """One repair of one record, as it stands; marks are given in the order of commits. `body` is the repair, as JSON."""

    __tablename__ = "record_repairs"
    __table_args__ = (UniqueConstraint("mark"), Index(None, "uscc", "mark"))

    repair_id: Mapped[str] = mapped_column(String(160), primary_key=True)
    mark: Mapped[int] = mapped_column(BigInteger)
    version: Mapped[int] = mapped_column(Integer)
    uscc: Mapped[str] = mapped_column(String(18))
    body: Mapped[bytes] = mapped_column(LargeBinary)


class StaleCopyRow(Base):
    """Where a platform was seen to show what its recogniser had withdrawn; marks as of repairs."""

    __tablename__ = "stale_copies"
    __table_args__ = (UniqueConstraint("mark"), Index(None, "uscc", "mark"))

    platform: Mapped[str] = mapped_column(String(64), primary_key=True)
    record_key: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)
    mark: Mapped[int] = mapped_column(BigInteger)
    uscc: Mapped[str] = mapped_column(String(18))
    category: Mapped[int] = mapped_column(Integer)
    first_seen: Mapped[datetime] = mapped_column(Moment)
    last_seen: Mapped[datetime] = mapped_column(Moment)
