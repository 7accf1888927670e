"""Every SQL query of the dashboards runs on the migrated schema with the gateway's role and returns rows."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg
import pytest
from psycopg import sql

from charts import dashboards
from pods.services import EachStore
from tapedeck_common.store.roles import ROLES
from tapedeck_common.store.schema_upgrade import upgrade_schema

NOW = datetime.now(UTC)
T0 = datetime(2018, 4, 4, tzinfo=UTC)
VALUES = np.concatenate([np.linspace(100, 120, 40), np.linspace(120, 90, 40), np.linspace(90, 110, 40)])
DRAWDOWN = (1 - VALUES / np.maximum.accumulate(VALUES)) * 100
# As the recorder writes them: metrics are floats, undefined ones null.
METRICS = {
    "return_percent": 10.0,
    "max_drawdown_percent": 25.0,
    "sharpe": None,
    "win_rate_percent": 50.0,
    "trades": 2.0,
}
PERIODS = [{"period": "2018-04", "return_percent": 10.0, "trades": 2}, {"period": "2018", "return_percent": 10.0}]


@pytest.fixture
def filled(each_store: EachStore) -> str:
    """The gateway's DSN of a store with a run, the trials of a sweep, a gap and a rejected row."""
    upgrade_schema(each_store.dsn("postgres"))
    with psycopg.connect(each_store.dsn("postgres"), autocommit=True) as connection:
        for run, state, metrics in (("r1", "complete", METRICS), ("r2", "running", None)):
            connection.execute(
                "INSERT INTO runs (run_id, name, namespace, strategy, params, spec, exchange, symbols, interval, "
                "replay_uid, cash, started_at, state, metrics) VALUES "
                "(%s, 'n', 'd', 'sma', '{\"fast\": 5}', '{}', 'x', '{A/B,C/D}', '1m', '', 100, %s, %s, %s)",
                (run, NOW - timedelta(hours=1), state, None if metrics is None else json.dumps(metrics)),
            )
        for seq, value in enumerate(VALUES):
            at = T0 + timedelta(minutes=seq)
            # like a long run, whose equity curve is thinned out
            connection.execute(
                "INSERT INTO run_equity VALUES ('r1', %s, %s, %s, 50, 0, %s, 1)",
                (seq * 997, at, float(value), float(DRAWDOWN[seq])),
            )
        connection.execute("UPDATE runs SET periods = %s WHERE run_id = 'r1'", (json.dumps(PERIODS),))
        for seq, net in enumerate((4.0, -1.0)):
            times = T0 + timedelta(minutes=seq), T0 + timedelta(minutes=seq + 10)
            connection.execute(
                "INSERT INTO run_trades VALUES ('r1', %s, 'A/B', 'buy', 1, %s, 10, %s, 14, %s, %s, 0.5)",
                (seq, times[0], times[1], net + 0.5, net),
            )
        connection.execute(
            "INSERT INTO run_trials VALUES ('r1', 0, 0, '{}', %s, %s, '{}', 1.5, true, 'h', ''), "
            "('r1', 0, -1, '{}', %s, %s, '{}', NULL, true, 'h', '')",
            (T0, NOW, T0, NOW),
        )
        connection.execute("INSERT INTO gaps VALUES ('x', 'A/B', '1m', %s, %s, 'open')", (T0, NOW))
        connection.execute(
            'INSERT INTO ingest_errors (topic, partition, "offset", at, reason, payload) '
            "VALUES ('t', 0, 0, %s, 'w', 'p')",
            (NOW - timedelta(minutes=5),),
        )
    return each_store.dsn(ROLES["gateway"])


def test_every_query_returns_rows(filled: str) -> None:
    queries = {
        f"{path.stem}: {panel}": query
        for path in dashboards.FILES
        for panel, query in dashboards.queries(dashboards.read(path), "rawSql")
    } | {
        f"{path.stem}: ${name}": query
        for path in dashboards.FILES
        for name, query in dashboards.variables(dashboards.read(path), "store")
    }
    assert len(queries) > 8
    with psycopg.connect(filled, autocommit=True) as connection:
        rows = {where: connection.execute(sql.SQL(expand(query))).fetchall() for where, query in queries.items()}
    assert all(rows.values()), [where for where, found in rows.items() if not found]
    assert len(rows["backtests: Runs"]) == 2
    assert {row[0] for row in rows["backtests: $run"]} == {"r1", "r2"}
    equity = rows["backtests: Equity of the run"]
    assert [row[1] for row in equity] == pytest.approx(VALUES.tolist())
    assert equity[0][0] == T0.timestamp() * 1000
    assert [row[1] for row in rows["backtests: Drawdown of the run"]] == pytest.approx(DRAWDOWN)
    assert [row[1] for row in rows["backtests: Profit of closed trades"]] == [4.0, 3.0]
    returns = rows["backtests: Monthly and yearly returns of the run"]
    assert [row[:2] for row in returns] == [
        ("2018-04", 10.0),
        ("2018", 10.0),
    ]
    assert len(rows["backtests: Rolling Sharpe ratio of the run"]) == len(VALUES)
    assert [row[1] for row in rows["backtests: Trials of the sweep"]] == [-1, 0]
    assert rows["backtests: Strategies"][0][2:5] == (1, 10.0, 10.0)


def test_curves_of_a_long_run_keep_their_extremes_and_ends(filled: str, each_store: EachStore) -> None:
    """A run that loses from its start: the first value is below the cash, and the last is the lowest but one."""
    rng = np.random.default_rng(7)
    value, cash = (100 * np.exp(rng.normal(-0.00005, 0.004, 20_011).cumsum()) for _ in range(2))
    drawdown = (1 - value / np.maximum(np.maximum.accumulate(value), 100.5)) * 100
    sharpe = rng.normal(0, 1, len(value))
    curves = {"value": value, "cash": cash, "drawdown_percent": drawdown, "sharpe": sharpe}
    with psycopg.connect(each_store.dsn("postgres")) as connection:
        columns = ", ".join(["run_id, seq, ts", *curves])
        with connection.cursor().copy(f"COPY run_equity ({columns}) FROM STDIN") as copy:
            for seq, row in enumerate(zip(*curves.values(), strict=True)):
                copy.write_row(("long", seq, T0 + timedelta(minutes=seq), *map(float, row)))
    board = dict(dashboards.queries(dashboards.read(dashboards.FOLDER / "backtests.json"), "rawSql"))
    panels = {
        "Equity of the run": (value, cash),
        "Drawdown of the run": (drawdown,),
        "Rolling Sharpe ratio of the run": (sharpe,),
    }
    with psycopg.connect(filled) as connection:
        for title, drawn in panels.items():
            rows = connection.execute(sql.SQL(expand(board[title], "long"))).fetchall()
            seqs = [round((row[0] / 1000 - T0.timestamp()) / 60) for row in rows]
            assert (seqs[0], seqs[-1]) == (0, len(value) - 1)
            for position, curve in enumerate(drawn, start=1):
                assert [row[position] for row in rows] == pytest.approx(curve[seqs].tolist())
                assert {int(np.argmin(curve)), int(np.argmax(curve))} <= set(seqs), title
            assert len(rows) <= 2_000


def expand(query: str, run: str = "r1") -> str:
    """The query with Grafana's macros and variables replaced."""
    query = re.sub(r"\$__timeFilter\((\w+)\)", r"\1 BETWEEN now() - interval '7 days' AND now()", query)
    query = query.replace("${run:sqlstring}", f"'{run}'")
    assert "$" not in query
    return query
