"""An index for what a tenant has used since a day."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_usage_days_tenant", "usage_days", ["org_id", "account_id", "day"])


def downgrade() -> None:
    raise NotImplementedError("Go back by restoring the backup that was made before.")
