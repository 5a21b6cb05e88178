"""Keep repairs of records, and where stale copies of them were seen.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels: str | None = None
depends_on: str | None = None
LOST = ("every remembered repair of a record", "全部已记录的信用修复", "record_repairs")


def upgrade() -> None:
    """Makes the repairs and the stale copies."""
    op.create_table(
        "record_repairs",
        sa.Column("repair_id", sa.String(160), nullable=False),
        sa.Column("mark", sa.BigInteger, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("uscc", sa.String(18), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("repair_id", name="pk_record_repairs"),
        sa.UniqueConstraint("mark", name="uq_record_repairs_mark"),
    )
    op.create_index("ix_record_repairs_uscc_mark", "record_repairs", ["uscc", "mark"])
    op.create_table(
        "stale_copies",
        sa.Column("platform", sa.String(64), nullable=False),
        sa.Column("record_key", sa.LargeBinary(16), nullable=False),
        sa.Column("mark", sa.BigInteger, nullable=False),
        sa.Column("uscc", sa.String(18), nullable=False),
        sa.Column("category", sa.Integer, nullable=False),
        sa.Column("first_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("platform", "record_key", name="pk_stale_copies"),
        sa.UniqueConstraint("mark", name="uq_stale_copies_mark"),
    )
    op.create_index("ix_stale_copies_uscc_mark", "stale_copies", ["uscc", "mark"])


def downgrade() -> None:
    """Drops both."""
    op.drop_table("stale_copies")
    op.drop_table("record_repairs")
