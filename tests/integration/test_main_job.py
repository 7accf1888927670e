"""The demo as users start it: twice, with its audit, and with the same trades from stream, batch and Backtrader."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

import by_hand.samples as by_hand
from by_hand import example
from decks.process import eventually, leftovers, phase, running_deck
from tapedeck_deck.cli import changes
from tapedeck_deck.demo import audit
from tapedeck_deck.embedded import documents
from tapedeck_deck.embedded.processes import wait_exit
from tapedeck_deck.embedded.state_dir import StateDir

ROOT = Path(__file__).parents[2]
LINE = re.compile(
    r"demo: bars_in=(\d+) bars_stored=(\d+) replayed=(\d+) trades=(\d+) final_value=([\d.]+) lost=(\d+) doubled=(\d+)$"
)
BATCH = """
apiVersion: tapedeck.dev/v1alpha1
kind: Backtest
metadata: {name: batch}
spec:
  strategy: {builtin: sma-cross, params: {fast: 10, slow: 30}}
  data: {store: {exchange: coinbase, symbols: [BTC/USD]}}
  broker: {cash: 10000, commissionPercent: 0.1}
  sizer: {percent: 95}
"""


def demo(home: Path, *more: str) -> tuple[str, ...]:
    """Run `tapedeck demo` and return the fields of its last line."""
    done = subprocess.run(
        [Path(sys.executable).parent / "tapedeck", "--home", home, "demo", *more],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = LINE.match(done.stdout.strip().splitlines()[-1])
    assert found is not None, done.stdout
    return found.groups()


def rows(dsn: str, run_id: str) -> list[tuple[Any, ...]]:
    """The closed trades of a run."""
    with psycopg.connect(dsn) as connection:
        return connection.execute(
            "SELECT seq, symbol, side, size, entry_ts, entry_price, exit_ts, exit_price, pnl, pnl_net, commission "
            "FROM run_trades WHERE run_id = %s ORDER BY seq",
            (run_id,),
        ).fetchall()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_demo_runs_twice_and_all_engines_give_the_same_trades(tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = demo(home)
    second = demo(home)
    assert first == second
    assert first[:3] == ("13886", "13886", "13886")
    assert first[5:] == ("0", "0")
    eventually(lambda: leftovers(StateDir.at(home)) == [])  # what was killed may take a moment to be gone
    with running_deck(home) as (_, facts, objects):
        list(changes.apply(objects, [documents.Document("here", tmp_path, documents.parse(BATCH, "here"))], "default"))
        eventually(lambda: phase(objects, "Backtest", "batch") == "Complete")
        streamed = objects.get("Backtest", "default", "sma-cross")
        batch = objects.get("Backtest", "default", "batch")
        eventually(lambda: finished(facts["dsn"], batch["metadata"]["uid"]))
        from_stream = rows(facts["dsn"], streamed["metadata"]["uid"])
        from_store = rows(facts["dsn"], batch["metadata"]["uid"])
    assert len(from_stream) == int(first[3])
    assert from_stream == from_store
    assert streamed["status"]["value"] == batch["status"]["value"]
    stock = example.outcome()
    assert stock.final == batch["status"]["value"]
    assert f"{stock.final:.2f}" == first[4]
    ours = [(r[4].timestamp(), r[6].timestamp(), r[5], r[8], r[9]) for r in from_stream]
    assert ours == example.trades(stock)


def finished(dsn: str, run_id: str) -> bool:
    with psycopg.connect(dsn) as connection:
        query = "SELECT 1 FROM runs WHERE run_id = %s AND state = 'complete'"
        return connection.execute(query, (run_id,)).fetchone() is not None


@pytest.mark.slow
@pytest.mark.parametrize(
    "reached",
    [lambda home: home.root.exists(), lambda home: home.running() is not None],
    ids=["the deck starts", "the deck runs"],
)
def test_ctrl_c_ends_the_demo_and_all_its_processes(tmp_path: Path, reached: Callable[[StateDir], bool]) -> None:
    home = StateDir.at(tmp_path / "home")
    with (tmp_path / "log").open("wb") as log:
        running = subprocess.Popen(
            [Path(sys.executable).parent / "tapedeck", "--home", home.root, "demo"],
            cwd=ROOT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    eventually(lambda: reached(home), timeout=60)
    os.killpg(running.pid, signal.SIGINT)  # like a terminal: to the whole foreground process group
    assert wait_exit(running, 60) == 130
    eventually(lambda: leftovers(home) == [])
    assert not home.locked()


SOURCE = {("BTC/USD", 60_000 * i): (1.0 + i, 2.0 + i, 0.5 + i, 1.5 + i, 3.0) for i in range(5)}


def test_the_audit_finds_a_planted_loss_and_a_planted_duplicate() -> None:
    whole = list(SOURCE.items())
    assert audit.compare("x", whole, SOURCE) == audit.AuditResult("x", 5, 0, 0)
    assert audit.compare("x", whole[:2] + whole[3:], SOURCE) == audit.AuditResult("x", 4, 1, 0)
    assert audit.compare("x", [*whole, whole[2]], SOURCE) == audit.AuditResult("x", 6, 0, 1)
    changed = [*whole[:4], (whole[4][0], (9.0, 9.0, 9.0, 9.0, 9.0))]
    assert audit.compare("x", changed, SOURCE) == audit.AuditResult("x", 5, 1, 0)
    foreign = [*whole, (("ETH/USD", 0), (1.0, 1.0, 1.0, 1.0, 1.0))]
    assert audit.compare("x", foreign, SOURCE) == audit.AuditResult("x", 6, 0, 1)


def test_the_audit_parses_the_files_independently(samples: Path) -> None:
    sets = {
        s: f"coinbase-minute/{s.lower().replace('/', '')}_*.zip" for s in ("BTC/USD", "ETH/USD", "LTC/USD", "BTC/EUR")
    }
    found = audit.source_bars(samples, sets)
    assert found == by_hand.coinbase(samples / "coinbase-minute")
    assert len(found) == 13_886
