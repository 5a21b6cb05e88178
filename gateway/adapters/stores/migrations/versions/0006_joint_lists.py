"""Keep entries of joint lists.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels: str | None = None
depends_on: str | None = None
LOST = ("every entry of every joint list, with its history", "全部联合奖惩名单条目及其历史", "joint_list_entries")


def upgrade() -> None:
    """Makes the log of entries, and what provinces provided."""
    op.create_table(
        "joint_list_entries",
        sa.Column("mark", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=False, nullable=False),
        sa.Column("seen_mark", sa.BigInteger, nullable=False),
        sa.Column("entry_id", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("is_current", sa.Boolean, nullable=False),
        sa.Column("list_code", sa.String(32), nullable=False),
        sa.Column("uscc", sa.String(18), nullable=False),
        sa.Column("province", sa.String(2), nullable=False),
        sa.Column("list_year", sa.Integer, nullable=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("mark", name="pk_joint_list_entries"),
        sa.UniqueConstraint("entry_id", "version", name="uq_joint_list_entries_entry_id_version"),
    )
    op.create_index("ix_joint_list_entries_uscc", "joint_list_entries", ["uscc"])
    op.create_index("ix_joint_list_entries_seen_mark", "joint_list_entries", ["seen_mark"])
    op.create_index(
        "ix_joint_list_entries_list_code_province_list_year_mark",
        "joint_list_entries",
        ["list_code", "province", "list_year", "mark"],
    )
    op.create_table(
        "joint_list_provisions",
        sa.Column("list_code", sa.String(32), nullable=False),
        sa.Column("province", sa.String(2), nullable=False),
        sa.Column("list_year", sa.Integer, nullable=False),
        sa.Column("provided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("list_code", "province", "list_year", name="pk_joint_list_provisions"),
    )


def downgrade() -> None:
    """Drops both."""
    op.drop_table("joint_list_provisions")
    op.drop_table("joint_list_entries")
