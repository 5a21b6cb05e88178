"""Seal consents.

Revision ID: 0004
Revises: 0003

A consent that was kept before is sealed as it stands: what was altered until now cannot be told.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

from gateway.adapters.stores.consent_seal import Seal

revision = "0004"
down_revision = "0003"
branch_labels: str | None = None
depends_on: str | None = None
LOST = (
    "the seals that tell whether a consent was altered (the consents stay)",
    "授权防篡改校验值（授权本身保留）",
    "consents",
)
_AT_ONCE = 250


def upgrade() -> None:
    """Makes the column and seals every row, some at a time."""
    op.add_column("consents", sa.Column("seal", sa.LargeBinary, nullable=True))
    seal: Seal = context.config.attributes.get("seal") or Seal()
    connection = op.get_bind()
    rows = sa.Table("consents", sa.MetaData(), autoload_with=connection)
    key = sa.tuple_(rows.c.bank, rows.c.consent_id)
    page = sa.select(rows).order_by(rows.c.bank, rows.c.consent_id).limit(_AT_ONCE)
    found = connection.execute(page).mappings().all()
    while found:
        sealed = [{"of_bank": row["bank"], "of_id": row["consent_id"], "new_seal": seal.of(dict(row))} for row in found]
        connection.execute(
            rows.update()
            .where(rows.c.bank == sa.bindparam("of_bank"), rows.c.consent_id == sa.bindparam("of_id"))
            .values(seal=sa.bindparam("new_seal")),
            sealed,
        )
        last = found[-1]
        found = connection.execute(page.where(key > (last["bank"], last["consent_id"]))).mappings().all()


def downgrade() -> None:
    """Drops the column."""
    op.drop_column("consents", "seal")
