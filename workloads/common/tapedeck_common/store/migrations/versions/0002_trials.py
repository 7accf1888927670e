"""The trials of sweeps."""

from alembic import op

revision = "0002"
down_revision = "0001"

TRIALS = """
ALTER TABLE runs ADD COLUMN trials int8 NOT NULL DEFAULT 0;
COMMENT ON COLUMN runs.trials IS 'How many trials a sweep has; 0 for a run that is none.';
CREATE TABLE run_trials (
    run_id      text NOT NULL, win int4 NOT NULL, trial int8 NOT NULL, params jsonb NOT NULL,
    start_ts    timestamptz NOT NULL, end_ts timestamptz NOT NULL,
    metrics     jsonb NOT NULL, objective float8, feasible boolean NOT NULL,
    trades_hash text NOT NULL, message text NOT NULL,
    PRIMARY KEY (run_id, win, trial)
);
COMMENT ON TABLE run_trials IS 'A row a trial; trial -1 traded the best of its window (win) in the time after it.';
"""


def upgrade() -> None:
    op.execute(TRIALS)


def downgrade() -> None:
    op.execute("DROP TABLE run_trials; ALTER TABLE runs DROP COLUMN trials")
