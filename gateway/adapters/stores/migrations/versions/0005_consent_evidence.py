"""Keep where a consent's document is stored, which institution it names and when it was signed.

Revision ID: 0005
Revises: 0004

A consent that was kept before says none of them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels: str | None = None
depends_on: str | None = None
LOST = (
    "where consents' documents are stored, their institutions and times of signing (the consents stay)",
    "授权文件存放处、金融机构编码与签署时间（授权本身保留）",
    "consents",
)


def upgrade() -> None:
    """Adds the columns."""
    op.add_column("consents", sa.Column("document_ref", sa.String(256), nullable=False, server_default=""))
    op.add_column("consents", sa.Column("institution_code", sa.String(14), nullable=False, server_default=""))
    op.add_column("consents", sa.Column("signed_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Drops the columns, and what they say."""
    for name in ("signed_at", "institution_code", "document_ref"):
        op.drop_column("consents", name)
