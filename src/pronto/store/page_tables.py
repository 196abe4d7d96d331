"""The tables of the pages: browsers that are signed in, passwords, administrators, links. Part of tables.metadata."""

import sqlalchemy as sa

from pronto.store.tables import ID, metadata


def _account(*, primary_key: bool = False, nullable: bool = False) -> sa.Column[int]:
    owner = sa.ForeignKey("accounts.id", ondelete="CASCADE")
    return sa.Column("account_id", ID, owner, primary_key=primary_key, nullable=nullable)


# A browser that is signed in. Of its cookie only the digest.
sign_ins = sa.Table(
    "sign_ins",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),
    _account(),
    sa.Column("created", sa.Double(), nullable=False),
    sa.Column("seen", sa.Double(), nullable=False),
    sa.Column("expires", sa.Double(), nullable=False),
    sa.Column("address", sa.String(64), nullable=False),
    sa.Column("agent", sa.String(200), nullable=False),
    sa.Column("provider", sa.String(40), nullable=False),  # who vouched for the person; empty: our password
    sa.UniqueConstraint("digest"),
    sa.Index(None, "account_id"),
    sa.Index(None, "expires"),
)

# What the scripts of a page use at the API; they go with the browser's sign-in.
page_tokens = sa.Table(
    "page_tokens",
    metadata,
    sa.Column("digest", sa.LargeBinary(32), primary_key=True),
    sa.Column("sign_in_id", ID, sa.ForeignKey("sign_ins.id", ondelete="CASCADE"), nullable=False),
    sa.Column("expires", sa.Double(), nullable=False),
    sa.Index("ix_page_tokens_sign_in_id", "sign_in_id", "expires"),
)

passwords = sa.Table(
    "passwords",
    metadata,
    _account(primary_key=True),
    sa.Column("hash", sa.String(200), nullable=False),  # argon2id, in its own spelling
    sa.Column("changed", sa.Double(), nullable=False),
)

# Accounts that may open /admin.
administrators = sa.Table(
    "administrators", metadata, _account(primary_key=True), sa.Column("since", sa.Double(), nullable=False)
)

# Links that work once: to set a password, to join, to join an organisation. Of the link only the digest.
links = sa.Table(
    "links",
    metadata,
    sa.Column("digest", sa.LargeBinary(32), primary_key=True),
    sa.Column("kind", sa.String(20), nullable=False),  # join | member | password
    sa.Column("created", sa.Double(), nullable=False),
    sa.Column("expires", sa.Double(), nullable=False),
    sa.Column("made_by", sa.String(96), nullable=False),
    _account(nullable=True),
    sa.Column("org_id", ID, sa.ForeignKey("accounts.id", ondelete="CASCADE")),
    sa.Column("email", sa.String(320)),
    sa.Column("plan", sa.String(40)),
    sa.Column("role", sa.String(20)),
    sa.Column("used", sa.Double()),
    sa.Index(None, "account_id"),
    sa.Index(None, "expires"),
)

# Who would like another plan; an administrator decides. Without Stripe.
plan_requests = sa.Table(
    "plan_requests",
    metadata,
    sa.Column("id", ID, primary_key=True),
    _account(),
    sa.Column("plan", sa.String(40), nullable=False),
    sa.Column("note", sa.String(1000), nullable=False),
    sa.Column("created", sa.Double(), nullable=False),
    sa.Column("decided", sa.Double()),
    sa.Column("decided_by", sa.String(96)),
    sa.Column("is_granted", sa.Boolean()),
    sa.Index(None, "account_id"),
)

# What Stripe said last of an account's subscription.
subscriptions = sa.Table(
    "subscriptions",
    metadata,
    _account(primary_key=True),
    sa.Column("customer", sa.String(255), nullable=False),
    sa.Column("subscription", sa.String(255), nullable=False),
    sa.Column("plan", sa.String(40), nullable=False),
    sa.Column("status", sa.String(40), nullable=False),
    sa.Column("ends", sa.Double()),  # when it was cancelled for the end of what is paid
    sa.Column("changed", sa.Double(), nullable=False),
    sa.UniqueConstraint("customer"),
)

# Events of Stripe that were worked on: it sends them again until it hears that they were.
payment_events = sa.Table(
    "payment_events",
    metadata,
    sa.Column("id", sa.String(255), primary_key=True),
    sa.Column("at", sa.Double(), nullable=False),
    sa.Index(None, "at"),
)

# Who somebody is at a provider of OpenID Connect: never an e-mail address, which may belong to another tomorrow.
identities = sa.Table(
    "identities",
    metadata,
    sa.Column("issuer", sa.String(400), primary_key=True),
    sa.Column("subject", sa.String(255), primary_key=True),
    _account(),
    sa.Column("created", sa.Double(), nullable=False),
    sa.Index(None, "account_id"),
)
