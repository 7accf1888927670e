"""Why a figure of a run is null."""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.execute("ALTER TABLE runs ADD COLUMN undefined jsonb")
    op.execute("COMMENT ON COLUMN runs.undefined IS 'The reason for each figure of metrics that is null.'")
    op.execute(
        "COMMENT ON COLUMN run_equity.sharpe IS 'Sharpe ratio of the 126 complete trading days before, annualised.'"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE runs DROP COLUMN undefined")
