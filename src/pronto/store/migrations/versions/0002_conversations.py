"""Kept turns of conversations."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "conversations",
        sa.Column("account_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("id", sa.String(96), primary_key=True),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("expires", sa.Double(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
    )
    op.create_index(op.f("ix_conversations_account_id"), "conversations", ["account_id", "created", "size"])
    op.create_index(op.f("ix_conversations_created"), "conversations", ["created", "size"])
    op.create_index(op.f("ix_conversations_expires"), "conversations", ["expires"])


def downgrade() -> None:
    op.drop_table("conversations")
