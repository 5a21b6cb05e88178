"""Log what happens to consents.

Revision ID: 0002
Revises: 0001

A consent that was kept before has one entry, as it stands: what it lived through was not written down.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels: str | None = None
depends_on: str | None = None
LOST = (
    "the log of what happened to consents (the consents stay)",
    "授权变更记录（授权本身保留）",
    "consent_changes",
)


def upgrade() -> None:
    """Makes the log."""
    op.create_table(
        "consent_changes",
        sa.Column("mark", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True, nullable=False),
        sa.Column("bank", sa.String(128), nullable=False),
        sa.Column("consent_id", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("event", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("mark", name="pk_consent_changes"),
        sa.UniqueConstraint("bank", "consent_id", "version", name="uq_consent_changes_bank_consent_id_version"),
        sa.ForeignKeyConstraint(
            ["bank", "consent_id"], ["consents.bank", "consents.consent_id"], name="fk_consent_changes_consents"
        ),
        sqlite_autoincrement=True,
    )
    op.execute(
        "INSERT INTO consent_changes (bank, consent_id, version, event, state, at)"
        " SELECT bank, consent_id, version,"
        " CASE state WHEN 'REVOKED' THEN 'REVOKED' WHEN 'PAUSED' THEN 'PAUSED' ELSE 'REGISTERED' END,"
        " state, changed_at FROM consents ORDER BY changed_at, bank, consent_id"
    )


def downgrade() -> None:
    """Drops the log; the consents stay."""
    op.drop_table("consent_changes")
