"""Organisations and their members, limits of single accounts, images and audio in the ledger, the audit trail."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_NEW = ("images", "audio_ms")
_SUMS = ("requests", "cached", "prompt_tokens", "generated_tokens")


def upgrade() -> None:
    with op.batch_alter_table("accounts") as accounts:
        accounts.add_column(sa.Column("kind", sa.String(10), nullable=False, server_default="user"))
        accounts.add_column(sa.Column("limits", sa.Text()))
        accounts.add_column(sa.Column("suspended", sa.Double()))
    # Spelt out: with its check, SQLite can add a column without copying the table.
    op.execute(
        "ALTER TABLE ledger ADD COLUMN images BIGINT DEFAULT '0' NOT NULL "
        "CONSTRAINT ck_ledger_images CHECK (images >= 0)"
    )
    op.execute(
        "ALTER TABLE ledger ADD COLUMN audio_ms BIGINT DEFAULT '0' NOT NULL "
        "CONSTRAINT ck_ledger_audio_ms CHECK (audio_ms >= 0)"
    )
    _make_usage_days()
    op.create_table(
        "members",
        sa.Column("org_id", _ID, sa.ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("account_id", _ID, sa.ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
    )
    op.create_index(op.f("ix_members_account_id"), "members", ["account_id"])
    op.create_table(
        "audit",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("actor", sa.String(96), nullable=False),
        sa.Column("action", sa.String(40), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
    )


def _make_usage_days() -> None:
    """Anew: SQLite cannot give a table another primary key."""
    op.rename_table("usage_days", "usage_days_old")
    names = (*_SUMS, *_NEW)
    op.create_table(
        "usage_days",
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("account_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("org_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("model", sa.Text(), primary_key=True),
        *[sa.Column(name, sa.BigInteger(), nullable=False, server_default="0") for name in names],
        *[sa.CheckConstraint(sa.column(name) >= 0, name=op.f(f"ck_usage_days_{name}")) for name in names],
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO usage_days (org_id, day, account_id, model, requests, cached, prompt_tokens, generated_tokens) "
        "SELECT 0, day, account_id, model, requests, cached, prompt_tokens, generated_tokens FROM usage_days_old"
    )
    op.drop_table("usage_days_old")


def downgrade() -> None:
    raise NotImplementedError("Go back by restoring the backup that was made before.")
