"""Answers to requests with an Idempotency-Key."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "answers",
        sa.Column("account_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("fingerprint", sa.LargeBinary(32), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("expires", sa.Double(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
    )
    op.create_index(op.f("ix_answers_account_id"), "answers", ["account_id", "created", "size"])
    op.create_index(op.f("ix_answers_created"), "answers", ["created", "size"])
    op.create_index(op.f("ix_answers_expires"), "answers", ["expires"])


def downgrade() -> None:
    op.drop_table("answers")
