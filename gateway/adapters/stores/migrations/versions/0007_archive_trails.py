"""Let an archived view name its trail, so that copies nobody was answered with are found.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels: str | None = None
depends_on: str | None = None
LOST = (
    "which trail each archived answer is of (the copies stay)",
    "归档应答所属的留痕标识（应答副本保留）",
    "archived_views",
)


def upgrade() -> None:
    """Adds the trail's id, unknown of what is kept already."""
    op.add_column("archived_views", sa.Column("trail", sa.String(32), nullable=False, server_default=""))
    op.create_index("ix_archived_views_trail_root_sequence", "archived_views", ["trail", "root_sequence"])


def downgrade() -> None:
    """Drops it; copies stay."""
    op.drop_index("ix_archived_views_trail_root_sequence", "archived_views")
    op.drop_column("archived_views", "trail")
