"""What the pages need: browsers that are signed in, their tokens for scripts, passwords, administrators, links."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _account(*, primary_key: bool = False, nullable: bool = False) -> sa.Column[int]:
    owner = sa.ForeignKey("accounts.id", ondelete="CASCADE")
    return sa.Column("account_id", _ID, owner, primary_key=primary_key, nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "sign_ins",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        _account(),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("seen", sa.Double(), nullable=False),
        sa.Column("expires", sa.Double(), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("agent", sa.String(200), nullable=False),
        sa.Column("provider", sa.String(40), nullable=False),
        sa.UniqueConstraint("digest", name=op.f("uq_sign_ins_digest")),
    )
    op.create_index(op.f("ix_sign_ins_account_id"), "sign_ins", ["account_id"])
    op.create_index(op.f("ix_sign_ins_expires"), "sign_ins", ["expires"])
    op.create_table(
        "page_tokens",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
        sa.Column("sign_in_id", _ID, sa.ForeignKey("sign_ins.id", ondelete="CASCADE"), nullable=False),
        sa.Column("expires", sa.Double(), nullable=False),
    )
    op.create_index(op.f("ix_page_tokens_sign_in_id"), "page_tokens", ["sign_in_id", "expires"])
    op.create_table(
        "passwords",
        _account(primary_key=True),
        sa.Column("hash", sa.String(200), nullable=False),
        sa.Column("changed", sa.Double(), nullable=False),
    )
    op.create_table("administrators", _account(primary_key=True), sa.Column("since", sa.Double(), nullable=False))
    _make_links()
    _make_billing()


def _make_links() -> None:
    op.create_table(
        "links",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("expires", sa.Double(), nullable=False),
        sa.Column("made_by", sa.String(96), nullable=False),
        _account(nullable=True),
        sa.Column("org_id", _ID, sa.ForeignKey("accounts.id", ondelete="CASCADE")),
        sa.Column("email", sa.String(320)),
        sa.Column("plan", sa.String(40)),
        sa.Column("role", sa.String(20)),
        sa.Column("used", sa.Double()),
    )
    op.create_index(op.f("ix_links_account_id"), "links", ["account_id"])
    op.create_index(op.f("ix_links_expires"), "links", ["expires"])


def _make_billing() -> None:
    op.create_table(
        "plan_requests",
        sa.Column("id", _ID, primary_key=True),
        _account(),
        sa.Column("plan", sa.String(40), nullable=False),
        sa.Column("note", sa.String(1000), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("decided", sa.Double()),
        sa.Column("decided_by", sa.String(96)),
        sa.Column("is_granted", sa.Boolean()),
    )
    op.create_index(op.f("ix_plan_requests_account_id"), "plan_requests", ["account_id"])
    op.create_table(
        "subscriptions",
        _account(primary_key=True),
        sa.Column("customer", sa.String(255), nullable=False),
        sa.Column("subscription", sa.String(255), nullable=False),
        sa.Column("plan", sa.String(40), nullable=False),
        sa.Column("status", sa.String(40), nullable=False),
        sa.Column("ends", sa.Double()),
        sa.Column("changed", sa.Double(), nullable=False),
        sa.UniqueConstraint("customer", name=op.f("uq_subscriptions_customer")),
    )
    op.create_table(
        "payment_events",
        sa.Column("id", sa.String(255), primary_key=True),
        sa.Column("at", sa.Double(), nullable=False),
    )
    op.create_index(op.f("ix_payment_events_at"), "payment_events", ["at"])
    op.create_table(
        "identities",
        sa.Column("issuer", sa.String(400), primary_key=True),
        sa.Column("subject", sa.String(255), primary_key=True),
        _account(),
        sa.Column("created", sa.Double(), nullable=False),
    )
    op.create_index(op.f("ix_identities_account_id"), "identities", ["account_id"])


_TABLES = ("links", "administrators", "passwords", "page_tokens", "sign_ins")
_OF_PLANS = ("identities", "payment_events", "subscriptions", "plan_requests")


def downgrade() -> None:
    for table in (*_OF_PLANS, *_TABLES):
        op.drop_table(table)
