"""Accounts, tokens, the ledger and its roll-ups by day."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_COUNTS = ("prompt_tokens", "generated_tokens", "queue_ms", "inference_ms")
_SUMS = ("requests", "cached", "prompt_tokens", "generated_tokens")


def _counts(table: str, names: tuple[str, ...]) -> list[Any]:
    columns = [sa.Column(name, sa.BigInteger(), nullable=False, server_default="0") for name in names]
    checks = [sa.CheckConstraint(sa.column(name) >= 0, name=op.f(f"ck_{table}_{name}")) for name in names]
    return [*columns, *checks]


def upgrade() -> None:
    _make_accounts()
    _make_ledger()
    changes = op.create_table(
        "changes",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
    )
    op.bulk_insert(changes, [{"id": 1, "generation": 0}])


def _make_accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("name", sa.String(96), nullable=False),
        sa.Column("plan", sa.String(40), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("email", sa.String(320)),
        sa.UniqueConstraint("name", name=op.f("uq_accounts_name")),
    )
    op.create_table(
        "tokens",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("name", sa.String(96), nullable=False),
        sa.Column("role", sa.String(40), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("last4", sa.String(4), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("expires", sa.Double()),
        sa.Column("last_used", sa.Double()),
        sa.Column("revoked", sa.Double()),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], ondelete="CASCADE", name=op.f("fk_tokens_account_id")),
        sa.UniqueConstraint("digest", name=op.f("uq_tokens_digest")),
    )
    op.create_index(op.f("ix_tokens_account_id"), "tokens", ["account_id"])


def _make_ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("id", _ID, primary_key=True, autoincrement=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("org_id", sa.BigInteger()),
        sa.Column("token_id", sa.BigInteger()),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("boot", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("cached", sa.SmallInteger(), nullable=False, server_default="0"),
        sa.Column("finish", sa.Text()),
        *_counts("ledger", _COUNTS),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger()),
    )
    op.create_index(op.f("ix_ledger_account_id"), "ledger", ["account_id", "id"])
    reserved = sa.column("state") == 0
    op.create_index(op.f("ix_ledger_reserved"), "ledger", ["boot"], sqlite_where=reserved, postgresql_where=reserved)
    op.create_table(
        "usage_days",
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("account_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("model", sa.Text(), primary_key=True),
        *_counts("usage_days", _SUMS),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    for table in ("usage_days", "ledger", "changes", "tokens", "accounts"):
        op.drop_table(table)
