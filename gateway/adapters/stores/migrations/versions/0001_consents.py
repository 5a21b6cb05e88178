"""Keep consents.

Revision ID: 0001
Revises: none
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None
LOST = ("every consent of every bank", "所有银行的全部授权", "consents")


def upgrade() -> None:
    """Makes the table of consents."""
    op.create_table(
        "consents",
        sa.Column("bank", sa.String(128), nullable=False),
        sa.Column("consent_id", sa.String(64), nullable=False),
        sa.Column("uscc", sa.String(18), nullable=False),
        sa.Column("person_ref", sa.String(128), nullable=False),
        sa.Column("purposes", sa.JSON, nullable=False),
        sa.Column("categories", sa.JSON, nullable=False),
        sa.Column("platforms", sa.JSON, nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_to", sa.DateTime(timezone=True), nullable=False),
        sa.Column("max_uses", sa.Integer, nullable=False),
        sa.Column("uses", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("channel", sa.String(32), nullable=False),
        sa.Column("document_digest", sa.LargeBinary, nullable=False),
        sa.Column("signature", sa.LargeBinary, nullable=False),
        sa.Column("certificate_serial", sa.String(128), nullable=False),
        sa.Column("signatory_ref", sa.String(128), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revocation_reason", sa.String(512), nullable=False),
        sa.Column("request_id", sa.String(128), nullable=True),
        sa.Column("request_digest", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("state IN ('ACTIVE', 'PAUSED', 'REVOKED')", name="ck_consents_state"),
        sa.CheckConstraint("valid_from < valid_to", name="ck_consents_validity"),
        sa.CheckConstraint(
            "uses >= 0 AND max_uses >= 0 AND (max_uses = 0 OR uses <= max_uses)", name="ck_consents_uses"
        ),
        sa.PrimaryKeyConstraint("bank", "consent_id", name="pk_consents"),
        sa.UniqueConstraint("bank", "request_id", name="uq_consents_bank_request_id"),
    )
    op.create_index("ix_consents_bank_uscc_consent_id", "consents", ["bank", "uscc", "consent_id"])


def downgrade() -> None:
    """Drops it, with every consent in it."""
    op.drop_table("consents")
