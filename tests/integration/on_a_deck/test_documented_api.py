"""Every answer of the API is one that its OpenAPI document describes, by requests that schemathesis makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from attack.documented_api import DocumentedApi, Known
from attack.outcome import Outcome
from decks.process import Deck, apply, reaches
from decks.uploads import Uploader
from layouts.small_files import HEADER, ROWS
from pods.expected_bars import T0
from pods.gateway import MINUTE, insert_bars, insert_equity, insert_fills, insert_run, insert_trades, walk
from tapedeck_crds.base import format_ms
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import API_VERSION
from tapedeck_deck.cli.deck import page_address

pytestmark = pytest.mark.slow
SEED, EACH = 18, 8
MARKET, SYMBOL, RUNS, NAME = "market", "BTC/USD", ["run-1", "run-2"], "tape"
STORE = {"store": {"exchange": MARKET, "symbols": [SYMBOL]}}
SPECS: dict[str, Json] = {
    "Feed": {"source": {"files": {"exchange": MARKET, "sets": [{"symbol": SYMBOL, "path": "none.csv"}]}}},
    "Replay": {"source": STORE, "paused": True},
    "Backtest": {"strategy": {"builtin": "sma-cross"}, "data": STORE},
}
FILE = (HEADER + ROWS).encode()
UNASKED = {"repeat_run"}  # a success needs a run that a Backtest has made: test_deck_resources.py


def body(kind: str) -> Json:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": f"other-{NAME}"}, "spec": SPECS[kind]}


KNOWN = Known(
    values={
        "upload": [NAME],
        "symbol": [f"{MARKET}:{SYMBOL}", f"replay/default/{NAME}:{SYMBOL}"],
        "exchange": [MARKET],
        "interval": ["1m"],
        "period": ["day"],
        "run_id": RUNS,
        "run": [RUNS],
        "namespace": ["default"],
        "name": [NAME],
        "x": ["a"],
        "y": ["b"],
        "metric": ["objective", "sharpe"],
        "window": [0],
        "future": [True, False],
        "dryRun": [True],
    },
    of_operation={
        "transform_points": {"symbol": [f"{MARKET}:{SYMBOL}@sma"]},
        "upload_file": {"name": [f"{NAME}.csv"], "size": [len(FILE)], "offset": [0]},
    },
    bodies={
        **{f"create_{kind.lower()}s": body(kind) for kind in SPECS},
        **{f"patch_{kind.lower()}s": {"metadata": {"labels": {"a": "b"}}} for kind in SPECS},
        "control_replay": {"seek": format_ms(T0 + 60 * MINUTE), "speed": 60},
        "store_strategy_source": {"name": NAME, "source": "import backtrader"},
        "upload_file": FILE,
        "import_upload": {"exchange": MARKET, "symbol": SYMBOL},
        "sql": {"query": "SELECT symbol, close FROM bars"},
    },
)


def insert_rest(dsn: str) -> None:
    """Trades, tickers, points, and the trials of a sweep."""
    with psycopg.connect(dsn) as connection:
        for statement in (
            "INSERT INTO trades (exchange, symbol, ts, id, price, amount, side, source)"
            " VALUES ('market', 'BTC/USD', now(), '1', 5, 1, 'buy', 'live')",
            "INSERT INTO tickers (exchange, symbol, ts, price, source) VALUES ('market', 'BTC/USD', now(), 5, 'live')",
            "INSERT INTO points (exchange, symbol, interval, series, ts, id, value, rev, source)"
            " VALUES ('market', 'BTC/USD', '1m', 'sma', now(), '', 5, 0, 'live')",
            "INSERT INTO run_trials SELECT 'run-1', 0, n, '{\"a\": 1, \"b\": 2}', to_timestamp(0), to_timestamp(1),"
            " '{\"sharpe\": 1.5}', 1.5, true, '', '' FROM generate_series(-1, 0) AS n",
        ):
            connection.execute(statement)


@pytest.fixture(scope="module")
def api(shared_deck: Deck, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DocumentedApi]:
    """The API of a deck that has everything which can be asked for."""
    home, _, objects = shared_deck
    dsn = (home.migrate / "store_dsn").read_text().strip()
    insert_bars(dsn, walk(18, 600, T0, exchange=MARKET))
    for run in RUNS:
        insert_run(dsn, run)
        insert_equity(dsn, run, [(n, T0 + n * MINUTE, 10_000 + n, 5_000.0) for n in range(30)])
        insert_fills(dsn, run, [(0, T0, "buy", 1.0, 7_000.0), (1, T0 + MINUTE, "sell", 1.0, 7_001.0)])
        insert_trades(dsn, run, [(0, 1.0, T0, 7_000.0, T0 + MINUTE, 7_001.0)])
    insert_rest(dsn)
    folder: Path = tmp_path_factory.mktemp("files")
    for kind, spec in SPECS.items():
        apply(objects, kind, NAME, spec, folder)
    reaches(objects, "Replay", NAME, "Paused", "Running")
    reaches(objects, "Backtest", NAME, "Complete", "Failed")
    reaches(objects, "Feed", NAME, "Complete", "Failed")
    url, _, token = page_address(home).partition("#token=")
    assert Uploader.of(home).send(NAME, f"{NAME}.csv", FILE).status_code == 201
    yield DocumentedApi(url, token, KNOWN)


def test_every_answer_is_documented(api: DocumentedApi) -> None:
    outcome = Outcome("api")
    for operation in api.operations:
        api.ask(operation, SEED, EACH, outcome)
    for operation_id, statuses in api.answered.items():
        print(operation_id, dict(statuses))
    assert outcome.through == []
    without_success = {name for name, statuses in api.answered.items() if not statuses.keys() & {200, 201, 204}}
    assert without_success == UNASKED  # a new operation needs values above
