"""What a report shows of a run: reasons of trades, the curve beside the account, drawdowns and periods."""

from alembic import op

revision = "0004"
down_revision = "0003"

REPORTS = """
ALTER TABLE run_trades ADD COLUMN entry_reason text NOT NULL DEFAULT '',
                       ADD COLUMN exit_reason text NOT NULL DEFAULT '';
ALTER TABLE run_equity ADD COLUMN change_percent float8,
                       ADD COLUMN drawdown_percent float8,
                       ADD COLUMN sharpe float8;
ALTER TABLE runs ADD COLUMN drawdowns jsonb, ADD COLUMN periods jsonb;
COMMENT ON COLUMN run_equity.sharpe IS 'Sharpe ratio of the 720 whole hours (or longer bars) before, annualised.';
"""


def upgrade() -> None:
    op.execute(REPORTS)


def downgrade() -> None:
    op.execute("ALTER TABLE run_trades DROP COLUMN entry_reason, DROP COLUMN exit_reason")
    op.execute("ALTER TABLE run_equity DROP COLUMN change_percent, DROP COLUMN drawdown_percent, DROP COLUMN sharpe")
    op.execute("ALTER TABLE runs DROP COLUMN drawdowns, DROP COLUMN periods")
