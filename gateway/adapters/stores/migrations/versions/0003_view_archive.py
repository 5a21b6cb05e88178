"""Keep answered views.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels: str | None = None
depends_on: str | None = None
LOST = ("every archived answer of every bank", "所有银行的全部归档应答", "archived_views")


def upgrade() -> None:
    """Makes the archive."""
    op.create_table(
        "archived_views",
        sa.Column("bank", sa.String(128), nullable=False),
        sa.Column("answer_id", sa.String(64), nullable=False),
        sa.Column("uscc", sa.String(18), nullable=False),
        sa.Column("root_sequence", sa.BigInteger, nullable=False),
        sa.Column("retention_class", sa.String(32), nullable=False),
        sa.Column("kept_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sealed_because", sa.String(32), nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("bank", "answer_id", name="pk_archived_views"),
    )
    op.create_index("ix_archived_views_uscc", "archived_views", ["uscc"])
    op.create_index("ix_archived_views_kept_until", "archived_views", ["kept_until"])


def downgrade() -> None:
    """Drops the archive with every copy in it."""
    op.drop_table("archived_views")
