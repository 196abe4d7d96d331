"""The schema, for SQLite and Postgres alike. The migrations make it; a test holds both against each other.

The ledger's own statements are in writer.py: they are on the path of every answer.
"""

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows by itself only where the type is spelt INTEGER, which has 64 bits there.
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_COUNTS = ("prompt_tokens", "generated_tokens", "queue_ms", "inference_ms", "images", "audio_ms")
_SUMS = ("requests", "cached", "prompt_tokens", "generated_tokens", "images", "audio_ms")


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")


def _never_negative(name: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(sa.column(name) >= 0, name=name)


accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("name", sa.String(96), nullable=False),
    sa.Column("plan", sa.String(40), nullable=False),
    sa.Column("created", sa.Double(), nullable=False),
    sa.Column("email", sa.String(320)),
    sa.Column("kind", sa.String(10), nullable=False, server_default="user"),  # user | org
    sa.Column("limits", sa.Text()),  # JSON of what replaces its plan's fields
    sa.Column("suspended", sa.Double()),
    sa.UniqueConstraint("name"),
)

# Who belongs to an organisation, which is an account of the kind `org`.
members = sa.Table(
    "members",
    metadata,
    sa.Column("org_id", ID, sa.ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("account_id", ID, sa.ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("role", sa.String(20), nullable=False),  # admin | write | read
    sa.Column("created", sa.Double(), nullable=False),
    sa.Index(None, "account_id"),
)

# Who changed what; never a token, an answer or a prompt.
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("at", sa.Double(), nullable=False),
    sa.Column("actor", sa.String(96), nullable=False),  # an account's name, or `operator` at the command line
    sa.Column("action", sa.String(40), nullable=False),
    sa.Column("subject", sa.String(200), nullable=False),
    sa.Column("details", sa.JSON(), nullable=False),
)

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("account_id", ID, sa.ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    sa.Column("name", sa.String(96), nullable=False),
    sa.Column("role", sa.String(40), nullable=False),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),
    sa.Column("last4", sa.String(4), nullable=False),
    sa.Column("created", sa.Double(), nullable=False),
    sa.Column("scopes", sa.JSON(), nullable=False),
    sa.Column("expires", sa.Double()),
    sa.Column("last_used", sa.Double()),
    sa.Column("revoked", sa.Double()),
    sa.UniqueConstraint("digest"),
    sa.Index(None, "account_id"),
)

# One row. It counts changes that a running server must notice; neither ledger rows nor times of last use are.
changes = sa.Table(
    "changes",
    metadata,
    sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column("generation", sa.BigInteger(), nullable=False),
)

ledger = sa.Table(
    "ledger",
    metadata,
    sa.Column("id", ID, primary_key=True, autoincrement=False),
    sa.Column("request_id", sa.Text(), nullable=False),
    # No foreign keys: rows outlive what they speak of, and account 0 is the anonymous one.
    sa.Column("account_id", sa.BigInteger(), nullable=False),
    sa.Column("org_id", sa.BigInteger()),
    sa.Column("token_id", sa.BigInteger()),
    sa.Column("model", sa.Text(), nullable=False),
    sa.Column("task", sa.Text(), nullable=False),
    sa.Column("boot", sa.BigInteger(), nullable=False),  # which run of the server reserved it
    sa.Column("state", sa.SmallInteger(), nullable=False),
    sa.Column("cached", sa.SmallInteger(), nullable=False, server_default="0"),
    sa.Column("finish", sa.Text()),
    *(_count(name) for name in _COUNTS),
    sa.Column("created", sa.BigInteger(), nullable=False),
    sa.Column("ended", sa.BigInteger()),
    *(_never_negative(name) for name in _COUNTS),
    sa.Index("ix_ledger_account_id", "account_id", "id"),
)
_RESERVED = ledger.c.state == 0
sa.Index("ix_ledger_reserved", ledger.c.boot, sqlite_where=_RESERVED, postgresql_where=_RESERVED)

conversations = sa.Table(
    "conversations",
    metadata,
    # No foreign key: account 0 is the anonymous one.
    sa.Column("account_id", sa.BigInteger(), primary_key=True, autoincrement=False),
    sa.Column("id", sa.String(96), primary_key=True),
    sa.Column("created", sa.Double(), nullable=False),
    sa.Column("expires", sa.Double(), nullable=False),
    sa.Column("size", sa.BigInteger(), nullable=False),  # bytes of the body
    sa.Column("body", sa.LargeBinary(), nullable=False),
    # With the size, so that what an account has is summed without reading any body.
    sa.Index("ix_conversations_account_id", "account_id", "created", "size"),
    sa.Index("ix_conversations_created", "created", "size"),
    sa.Index("ix_conversations_expires", "expires"),
)

# Answers to requests with an Idempotency-Key.
answers = sa.Table(
    "answers",
    metadata,
    # No foreign key: account 0 is the anonymous one.
    sa.Column("account_id", sa.BigInteger(), primary_key=True, autoincrement=False),
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("fingerprint", sa.LargeBinary(32), nullable=False),
    sa.Column("status", sa.SmallInteger(), nullable=False),
    sa.Column("headers", sa.JSON(), nullable=False),
    sa.Column("body", sa.LargeBinary(), nullable=False),
    sa.Column("created", sa.Double(), nullable=False),
    sa.Column("expires", sa.Double(), nullable=False),
    sa.Column("size", sa.BigInteger(), nullable=False),  # bytes of the row, about
    sa.Index("ix_answers_account_id", "account_id", "created", "size"),
    sa.Index("ix_answers_created", "created", "size"),
    sa.Index("ix_answers_expires", "expires"),
)

usage_days = sa.Table(
    "usage_days",
    metadata,
    sa.Column("day", sa.String(10), primary_key=True),  # UTC, ISO
    sa.Column("account_id", sa.BigInteger(), primary_key=True, autoincrement=False),
    # 0: the account itself pays. A key cannot be null.
    sa.Column("org_id", sa.BigInteger(), primary_key=True, autoincrement=False),
    sa.Column("model", sa.Text(), primary_key=True),
    *(_count(name) for name in _SUMS),
    *(_never_negative(name) for name in _SUMS),
    # What a tenant has used since a day. Its columns never change, so a batch of rows leaves it alone.
    sa.Index("ix_usage_days_tenant", "org_id", "account_id", "day"),
    sqlite_with_rowid=False,
)
