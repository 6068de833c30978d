"""Sign-in by a provider: what was begun, whom it vouches for, when it is asked again.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():  # one table at a time: see docs/production.md
        op.create_table(
            "provider_sign_ins",
            sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
            sa.Column("state_hash", sa.LargeBinary(), nullable=False),
            sa.Column("challenge", sa.Text(), nullable=False),
            sa.Column("redirect_uri", sa.Text(), nullable=False),
            sa.Column("nonce", sa.Text(), nullable=False),
            sa.Column("code_verifier", sa.Text(), nullable=False),
            sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
            sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
            sa.PrimaryKeyConstraint("id", name=op.f("pk_provider_sign_ins")),
            sa.UniqueConstraint("state_hash", name=op.f("uq_provider_sign_ins_state_hash")),
            if_not_exists=True,
        )
        op.create_index(
            "ix_provider_sign_ins_expires_at",
            "provider_sign_ins",
            ["expires_at"],
            unique=False,
            if_not_exists=True,
        )
        op.add_column(
            "refresh_tokens",
            sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
            if_not_exists=True,
        )
    op.add_column("users", sa.Column("oidc_issuer", sa.Text(), nullable=True))
    op.add_column("users", sa.Column("oidc_subject", sa.Text(), nullable=True))
    op.create_unique_constraint(
        op.f("uq_users_oidc_issuer_oidc_subject"), "users", ["oidc_issuer", "oidc_subject"]
    )


def downgrade() -> None:
    op.drop_constraint(op.f("uq_users_oidc_issuer_oidc_subject"), "users", type_="unique")
    op.drop_column("users", "oidc_subject")
    op.drop_column("users", "oidc_issuer")
    op.drop_column("refresh_tokens", "ends_at")
    op.drop_index("ix_provider_sign_ins_expires_at", table_name="provider_sign_ins")
    op.drop_table("provider_sign_ins")
