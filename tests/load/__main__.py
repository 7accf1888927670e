"""``make load``: the whole pipeline at a stated peak, on one deck, beside its own Prometheus.

20 live symbols of a local exchange at 2,000 trades a second, two Replays, a sweep, and 200 WebSockets. Nothing may be
lost or doubled, the recorder's lag and the growth of each process stay below a limit, no alert fires, and no socket
misses a message. Figures and plots are left in build/load.

TAPEDECK_LOAD_SECONDS (600) and TAPEDECK_LOAD_RATE (2000) make it shorter or lighter.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import yaml
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from decks.process import Deck, apply, reaches, running_deck
from exchange import Exchange
from exchange.binance import Binance
from load import market, sockets
from load.observed import Observed
from load.outcome import Outcome
from stores import debian
from tapedeck_crds.json import Json
from tapedeck_deck.embedded.objects import Objects
from waits import eventually

SECONDS = int(os.environ.get("TAPEDECK_LOAD_SECONDS", "600"))
RATE = int(os.environ.get("TAPEDECK_LOAD_RATE", "2000"))
SOCKETS = 200
DRAIN_SECONDS = 120
RESULTS = Path("build/load")
EXAMPLES = Path(__file__).parents[2] / "examples"
REPLAYS: dict[str, Json] = {
    "stored": {
        "source": {"store": {"exchange": "coinbase", "symbols": ["BTC/USD", "ETH/USD"]}},
        "speed": 600,
        "loop": "forever",
    },
    "synthetic": {
        "source": {"synthetic": {"symbols": [{"symbol": "A/B", "price": 100, "volatility": 0.5, "volume": 5}],
                                 "interval": "1s", "bars": 1_000_000, "seed": 1}},
        "speed": 60,
    },
}  # fmt: skip
SWEEP: Json = {
    "strategy": {"builtin": "sma-cross"},
    "data": {"store": {"exchange": "coinbase", "symbols": ["BTC/USD"]}},
    "sweep": {
        "params": [{"name": "fast", "from": 2, "to": 60}, {"name": "slow", "from": 61, "to": 200}],
        "search": "random",
        "trials": 4 * SECONDS,
        "objective": {"metric": "finalValue"},
    },
}


def main() -> int:
    """Run the load; exits 1 if something did not hold."""
    os.environ["PATH"] = f"{debian.unpacked('prometheus') / 'usr' / 'bin'}:{os.environ['PATH']}"
    RESULTS.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="tapedeck-load-") as folder,
        running_deck(Path(folder) / "deck", metrics=True) as deck,
        Exchange(Binance(), market.markets(sockets.SYMBOLS), live=True) as exchange,
    ):
        problems = _run(deck, exchange)
    for problem in problems:
        print(f"NOT HELD: {problem}")
    print(f"{'failed' if problems else 'held'}; figures and plots are in {RESULTS}")
    return 1 if problems else 0


def _run(deck: Deck, exchange: Exchange) -> list[str]:
    home, facts, objects = deck
    _start(objects, exchange)
    live = market.LiveMarket(exchange, RATE)
    live.start()
    dsn = home.migrate / "store_dsn"
    try:
        eventually(lambda: len(_stored_bars(dsn)) == sockets.SYMBOLS, 120, what="a bar of each live symbol")
        with _followers(facts["gateway"]) as followers:
            begin = time.time()
            _wait(SECONDS)
            heard: Json = json.loads(followers.communicate("\n", timeout=60)[0])
    finally:
        live.stop()
    observed = Observed(facts["prometheus"], begin, time.time())
    stored = _stored(dsn, live.sent)
    return Outcome(RATE, SECONDS, live.sent, stored, heard, observed).report(RESULTS)


def _start(objects: Objects, exchange: Exchange) -> None:
    """Import the samples, and start the Feed, the Replays and the sweep."""
    feed = yaml.safe_load((EXAMPLES / "feed.yaml").read_text())
    apply(objects, "Feed", feed["metadata"]["name"], feed["spec"], EXAMPLES)
    reaches(objects, "Feed", feed["metadata"]["name"], "Complete", timeout=120)
    endpoints = {"rest": exchange.rest, "websocket": exchange.websocket}
    symbols = [each.symbol for each in exchange.markets]
    live = {"exchange": "binance", "symbols": symbols, "endpoints": endpoints, "intervals": [sockets.INTERVAL, "1m"]}
    apply(objects, "Feed", "live", live)
    exchange.subscribed(channels=len(symbols), timeout=120)
    for name, spec in REPLAYS.items():
        apply(objects, "Replay", name, spec)
        reaches(objects, "Replay", name, "Running", timeout=120)
    apply(objects, "Backtest", "sweep", SWEEP)


@contextmanager
def _followers(gateway: str) -> Iterator[subprocess.Popen[str]]:
    """The process of the WebSockets, all of which have subscribed."""
    command = [sys.executable, "-m", "load.sockets", gateway, str(SOCKETS)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=Path(__file__).parents[1]) as process:
        try:
            if process.stdout is None or process.stdout.readline() != "ready\n":
                raise RuntimeError("the WebSockets did not subscribe")
            yield process
        finally:
            process.kill()


def _wait(seconds: int) -> None:
    columns = (TextColumn("load"), BarColumn(), TextColumn("{task.completed}/{task.total} s"), TimeRemainingColumn())
    with Progress(*columns, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("load", total=seconds)
        for _ in range(seconds):
            time.sleep(1)
            bar.advance(task)


def _stored_bars(dsn: Path) -> list[str]:
    """The live symbols that have a bar for the WebSockets to follow."""
    with psycopg.connect(dsn.read_text().strip()) as connection:
        found = connection.execute(
            "SELECT DISTINCT symbol FROM bars WHERE exchange = 'binance' AND interval = %s", (sockets.INTERVAL,)
        ).fetchall()
    return [symbol for (symbol,) in found]


def _stored(dsn: Path, sent: dict[str, market.Sent]) -> dict[str, market.Sent]:
    """What the database has of each symbol, as soon as it has all, or once it gets no more."""
    total = sum(each.trades for each in sent.values())

    def rows() -> dict[str, market.Sent]:
        with psycopg.connect(dsn.read_text().strip()) as connection:
            found = connection.execute(
                "SELECT symbol, count(*), sum(amount::numeric) FROM trades WHERE exchange = 'binance' GROUP BY symbol"
            ).fetchall()
        return {symbol: market.Sent(count, amount) for symbol, count, amount in found}

    def count() -> int:
        return sum(each.trades for each in rows().values())

    try:
        eventually(lambda: count() >= total, DRAIN_SECONDS, progress=count, what="the rows of all trades")
    except AssertionError as late:
        print(late)
    return rows()


if __name__ == "__main__":
    sys.exit(main())
