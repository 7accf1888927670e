"""The equity curve of a run, thinned for drawing."""

from alembic import op

revision = "0008"
down_revision = "0007"

EQUITY_CURVE = """
CREATE FUNCTION equity_curve(
    run text, figures text[], points int4 DEFAULT 2000, after int8 DEFAULT -1, until timestamptz DEFAULT 'infinity'
) RETURNS SETOF run_equity LANGUAGE sql STABLE PARALLEL SAFE AS $$
WITH numbered AS MATERIALIZED (
    SELECT e, e.seq, row_number() OVER (ORDER BY e.seq) - 1 AS n, count(*) OVER () AS total
    FROM run_equity AS e WHERE e.run_id = run AND e.seq > after AND e.ts <= until
), bucketed AS (
    SELECT e, seq, (n - 1) * greatest((points - 2) / (2 * cardinality(figures)), 1) / (total - 2) AS bucket
    FROM numbered WHERE total > points AND n BETWEEN 1 AND total - 2
), extremes AS (
    SELECT unnest(ARRAY[(array_agg(seq ORDER BY figure, seq))[1], (array_agg(seq ORDER BY figure DESC, seq))[1]]) AS seq
    FROM bucketed, LATERAL (
        VALUES ('value', (e).value), ('cash', (e).cash), ('drawdown_percent', (e).drawdown_percent),
               ('change_percent', (e).change_percent), ('sharpe', (e).sharpe)
    ) AS of_point(name, figure)
    WHERE name = ANY(figures) AND figure IS NOT NULL GROUP BY name, bucket
)
SELECT (e).* FROM numbered
WHERE total <= points OR n IN (0, total - 1) OR seq IN (SELECT seq FROM extremes)
ORDER BY seq
$$;
COMMENT ON FUNCTION equity_curve IS
    'At most "points" points of a run with a seq above "after" and an event time up to "until": the first, the last, '
    'and of each bucket between them those with the least and the greatest of each of the figures.';
"""


def upgrade() -> None:
    op.execute(EQUITY_CURVE)


def downgrade() -> None:
    op.execute("DROP FUNCTION equity_curve")
