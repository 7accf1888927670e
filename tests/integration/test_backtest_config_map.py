"""The example of a strategy in a ConfigMap: its YAML, its planned pod and its results, run as the deck runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from by_hand.backtrader import run_stock
from pods.backtest import read_records
from pods.runs import random_walk, secret
from pods.signatures import RESULTS_KEY
from pods.store import insert_bars
from tapedeck_common.market import Bar
from tapedeck_common.settings import Connections
from tapedeck_crds.parse import parse_resource
from tapedeck_deck.cli import changes
from tapedeck_deck.embedded import documents, processes
from tapedeck_deck.embedded.objects import Objects
from tapedeck_deck.embedded.pods import start_pod
from tapedeck_deck.embedded.processes import wait_exit
from tapedeck_operator.plan import Observed, Settings, plan

EXAMPLE = Path(__file__).parents[2] / "examples" / "more" / "own-strategy.yaml"


def test_strategy_in_a_config_map(connections: Connections, tmp_path: Path) -> None:
    walk = random_walk("BTC/USD", 3, 2_000)
    bars = [Bar("coinbase", b.symbol, b.interval, b.ts, b.open, b.high, b.low, b.close, b.volume) for b in walk]
    insert_bars(connections.store_dsn.get_secret_value(), bars)
    objects = Objects(tmp_path / "objects.db")
    changes.apply(objects, documents.read([str(EXAMPLE)]), "default")
    objects.apply(secret(connections))
    backtest = parse_resource(objects.get("Backtest", "default", "pullback"))
    settings = Settings(
        images={"backtest": "tapedeck_backtest"},
        operator_key=b"k",
        results_key=RESULTS_KEY,
        http_host="127.0.0.1",
        http_port=0,
        files_beside_resource=True,
    )
    *_, key, job = plan(backtest, Observed(), 0, settings).apply
    objects.apply(key)
    pod = {"metadata": {"name": "p", "namespace": "default"}, "spec": job["spec"]["template"]["spec"]}
    log = tmp_path / "log"
    running = start_pod(
        pod,
        start=processes.start_module,
        folder=tmp_path / "pod",
        log=log,
        lookup=lambda kind, name: objects.get(kind, "default", name),
    )
    assert wait_exit(running.process, 60) == 0, log.read_text()

    namespace: dict[str, Any] = {"__name__": __name__}
    exec(objects.get("ConfigMap", "default", "pullback")["data"]["pullback.py"], namespace)
    stock = run_stock(
        namespace["Pullback"], {"BTC/USD": bars}, cash=10_000.0, commission_percent=0.1, percent=95.0, period=120,
        drop=0.5,
    )  # fmt: skip
    checked = read_records(connections, backtest.metadata.uid)
    assert [value for _, value, _ in checked.equity.values()] == [value for _, value in stock.equity]
    assert len(checked.trades) == len(stock.trades) > 3
