"""Replays, backtests and sweeps by the client: the resources that it makes are valid, and their results are read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

import tapedeck
from notebook.answers import Answer, AnsweringServer, Asked, answering_server, problem
from notebook.cells import NotebookCells
from tapedeck import errors, replays, runs
from tapedeck_crds.parse import parse_resource

MINUTE = 60_000
FIRST = 1_522_800_000_000  # 2018-04-04
STAMP = pa.timestamp("ms", tz="UTC")


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[AnsweringServer]:
    for name in ("POLL_SECONDS", "SYMBOL_SECONDS", "STATE_SECONDS"):
        monkeypatch.setattr(replays, name, 0.005)
    monkeypatch.setattr(runs, "POLL_SECONDS", 0.005)
    with answering_server() as server:
        yield server


@pytest.fixture
def td(gateway: AnsweringServer) -> Iterator[tapedeck.TapedeckClient]:
    with tapedeck.connect(gateway.url) as client:
        yield client


def spec_of(asked: Asked) -> Any:
    """The spec of the resource in a request, which must be valid."""
    return parse_resource(asked.body).spec


class PlayedReplay:
    """A replay of two symbols that is one minute further with each request for bars, and jumps back once."""

    def __init__(self, gateway: AnsweringServer, *, jump_at: int | None = None) -> None:
        self.minute, self.epoch, self.phase = 0, "0.0", "Running"
        self.epoch_start: int | None = None
        self.unread = 0  # looks at the resource until its status has the range
        self.unshown = 0  # requests for bars until the gateway knows the replay
        self._jump_at = jump_at
        gateway.on("POST /namespaces/default/replays", self.made)
        gateway.on("GET /namespaces/default/replays/*", self.resource)
        gateway.on("GET /bars", self.bars)
        self.spec: Any = {}

    def made(self, asked: Asked) -> Any:
        return {**asked.body, "metadata": {**asked.body["metadata"], "uid": "u-1"}}

    def resource(self, asked: Asked) -> Any:
        name = asked.path.rpartition("/")[2]
        self.unread -= 1
        status: dict[str, Any] = {"phase": self.phase, "message": "no bar of it is stored"}
        status |= {"rangeFrom": FIRST} if self.unread < 0 else {}
        source = {"store": {"exchange": "coinbase", "symbols": ["BTC/USD", "ETH/USD"], "interval": "1m"}}
        return {"metadata": {"name": name, "uid": "u-1"}, "spec": {"source": source}, "status": status}

    def bars(self, asked: Asked) -> Any:
        if asked.query["limit"] != "1":
            self.minute = min(self.minute + 1, 5)
        if self.minute == self._jump_at:
            self._jump_at, self.epoch, self.epoch_start, self.minute = None, "1.0", FIRST + MINUTE, 1
        first = int(asked.query.get("from", 0))
        opens = [FIRST + n * MINUTE for n in range(self.minute) if FIRST + n * MINUTE >= first]
        row = {"open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1.0}
        position = FIRST + self.minute * MINUTE
        replay = {"position": position, "epoch": self.epoch, "epoch_start": self.epoch_start, "ended": self.minute == 5}
        return {"bars": [{"ts": ts, **row} for ts in opens], "next": None, "replay": replay}


MINE = "import backtrader as bt\nclass Mine(bt.Strategy):\n    def next(self):\n        pass\n"
BOTH = ["coinbase:BTC/USD", "coinbase:ETH/USD"]


def test_a_replay_is_a_valid_resource_and_gives_its_bars_in_order(
    gateway: AnsweringServer, td: tapedeck.TapedeckClient
) -> None:
    PlayedReplay(gateway)
    replay = td.replay(BOTH, "2018-04-04", "2018-04-05", speed=600, loop=2, name="played")
    (made,) = gateway.asked_for("POST", "/namespaces/default/replays")
    parsed: Any = parse_resource(made.body)
    assert (parsed.kind, parsed.spec.speed, parsed.spec.loop) == ("Replay", 600.0, 2)
    assert parsed.spec.source.store.from_ == "2018-04-04T00:00:00Z"
    found = [(bar.symbol, (bar.ts - FIRST) // MINUTE) for bar in replay]
    assert found == [(name, n) for n in range(5) for name in BOTH]
    assert {asked.query["symbol"] for asked in gateway.asked_for("GET", "/bars")} == {f"replay/u-1/{s}" for s in BOTH}


def test_iteration_follows_a_seek(gateway: AnsweringServer, td: tapedeck.TapedeckClient) -> None:
    PlayedReplay(gateway, jump_at=5)
    found = [(bar.ts - FIRST) // MINUTE for bar in td.replay(BOTH) if bar.symbol.endswith("BTC/USD")]
    assert found == [0, 1, 2, 1, 2, 3, 4]


def test_asyncio_iterates_too(gateway: AnsweringServer, td: tapedeck.TapedeckClient) -> None:
    PlayedReplay(gateway)

    async def main() -> list[datetime]:
        replay = await td.replay.aio(BOTH)
        return [bar.time async for bar in replay]

    assert asyncio.run(main())[::2] == [datetime(2018, 4, 4, 0, n, tzinfo=UTC) for n in range(5)]


def test_a_replay_that_fails_ends_the_iteration_with_its_message(
    gateway: AnsweringServer, td: tapedeck.TapedeckClient
) -> None:
    played = PlayedReplay(gateway)
    played.bars = lambda asked: problem(404, "no such replay")  # type: ignore[method-assign]
    gateway.on("GET /bars", played.bars)
    played.phase = "Failed"
    with pytest.raises(errors.WorkFailed, match="no bar of it is stored"):
        next(iter(td.replay(BOTH)))


def test_a_table_of_a_replay_begins_with_its_range(gateway: AnsweringServer, td: tapedeck.TapedeckClient) -> None:
    played = PlayedReplay(gateway)
    played.unread = 3

    def answered(asked: Asked) -> Any:
        played.unshown -= 1
        if played.unshown >= 0:
            return problem(404, "no such replay", "NotFound")
        if "format" not in asked.query:
            return played.bars(asked)
        stored = [FIRST - MINUTE, FIRST]  # the first is of the time before the replay
        opens = [ts for ts in stored if ts >= int(asked.query["from"])]
        return pa.table({"ts": pa.array(opens, STAMP), "close": [1.0] * len(opens)})

    played.unshown = 2
    gateway.on("GET /bars", answered)
    replay = td.replay(BOTH)
    for _ in range(2):
        assert [row["ts"] for row in replay.bars().to_rows()] == [datetime(2018, 4, 4, tzinfo=UTC)] * 2
    assert len(gateway.asked_for("GET", "/bars")) == 3 + 2 * 2  # it waits once


def test_a_replay_that_does_not_start_has_no_table(
    gateway: AnsweringServer, td: tapedeck.TapedeckClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replays, "SHOWN_SECONDS", 0.02)
    played = PlayedReplay(gateway)
    played.unread = 1_000_000
    with pytest.raises(errors.WaitTimeout, match="the start of replay"):
        td.replay(BOTH).bars()
    played.phase = "Failed"
    with pytest.raises(errors.WorkFailed, match="no bar of it is stored"):
        td.replay(BOTH).bars()


def test_controls_are_sent_as_the_agreement_says(gateway: AnsweringServer, td: tapedeck.TapedeckClient) -> None:
    PlayedReplay(gateway)
    gateway.on("POST /namespaces/default/replays/r/controls", {"generation": 2, "status": {}})
    replay = td.replay(BOTH, name="r")
    replay.pause()
    replay.speed = 600
    replay.speed = "max"
    replay.seek(datetime(2018, 4, 4, 12))
    replay.step(3)
    replay.control(loop="forever", until="2018-04-05", paused=False)
    assert [asked.body for asked in gateway.asked_for("POST", "/namespaces/default/replays/r/controls")] == [
        {"paused": True},
        {"unpaced": False, "speed": 600.0},
        {"unpaced": True},
        {"seek": "2018-04-04T12:00:00Z"},
        {"paused": True, "step": 3},
        {"paused": False, "loop": "forever", "until": "2018-04-05T00:00:00Z"},
    ]
    with pytest.raises(errors.BadRequest, match="speed: got 'fast'"):
        replay.speed = "fast"


@pytest.mark.parametrize(
    ("symbols", "expected"),
    [("BTC/USD", "expected exchange:SYMBOL"), (["a:X", "b:Y"], "got exchanges a, b"), ([], "got none")],
)
def test_symbols_that_are_none_of_one_exchange(
    td: tapedeck.TapedeckClient, symbols: str | list[str], expected: str
) -> None:
    with pytest.raises(errors.BadRequest, match=expected):
        td.replay(symbols)


class EndedRun:
    """A Backtest that works for two requests, and whose results the store has a request later."""

    def __init__(self, gateway: AnsweringServer, run_id: str, *, value: float, state: str = "complete") -> None:
        self._left, self._unstored = 2, 1
        self._run_id, self._state, self._value = run_id, state, value
        gateway.on("POST /namespaces/default/backtests", lambda asked: asked.body)
        gateway.on("GET /namespaces/default/backtests/*", self.resource)
        gateway.on(f"GET /runs/{run_id}", self.run)
        seqs = {"seq": [0, 1], "ts": pa.array([FIRST, FIRST + MINUTE], STAMP), "cash": [0.0, 0.0]}
        gateway.on(f"GET /runs/{run_id}/equity", pa.table({**seqs, "value": [100.0, value]}))
        gateway.on(f"GET /runs/{run_id}/trades", pa.table({"seq": [0], "entry_ts": pa.array([FIRST], STAMP)}))
        gateway.on(f"GET /runs/{run_id}/fills", pa.table({"seq": [0], "ts": pa.array([FIRST], STAMP)}))

    def resource(self, asked: Asked) -> Any:
        self._left -= 1
        phase = "Running" if self._left >= 0 else "Failed" if self._state == "failed" else "Complete"
        status = {"phase": phase, "runId": self._run_id, "progress": "1/2", "message": "the strategy failed"}
        return {"metadata": {"name": asked.path.rpartition("/")[2]}, "status": status}

    def run(self, asked: Asked) -> Any:
        if self._left < 0:
            self._unstored -= 1
        if self._left >= 0 or self._unstored >= 0:
            return problem(404, "run: no such run", "NotFound")
        drawdown = {"percent": 2.5, "amount": 3.0, "peak": FIRST, "trough": FIRST, "end": None, "days": 0.5}
        return {
            "run_id": self._run_id, "name": self._run_id, "namespace": "default", "state": self._state,
            "message": "NaN in line 3" if self._state == "failed" else "", "undefined": {"sharpe": "got 1 return"},
            "metrics": {"final_value": self._value, "trades": 1, "sharpe": None}, "drawdowns": [drawdown],
            "periods": [], "positions": [], "orders": [],
        }  # fmt: skip


def test_a_class_of_a_notebook_is_run(gateway: AnsweringServer, td: tapedeck.TapedeckClient) -> None:
    EndedRun(gateway, "run-1", value=110.0)
    gateway.on(
        "POST /namespaces/default/strategies",
        lambda asked: Answer({"namespace": "default", "name": asked.body["name"], "key": "strategy.py"}, 201),
    )
    cells = NotebookCells()
    strategy = cells.run(MINE)["Mine"]
    run = td.backtest(
        strategy, "coinbase:BTC/USD", {"period": 3}, start="2018-04-04", broker={"cash": 100.0}, sizer={"percent": 95}
    )
    (sent,) = gateway.asked_for("POST", "/namespaces/default/strategies")
    (made,) = gateway.asked_for("POST", "/namespaces/default/backtests")
    spec: Any = parse_resource(made.body).spec
    assert "class Mine(bt.Strategy)" in sent.body["source"]
    assert (spec.strategy.module, spec.strategy.config_map) == ("strategy:Mine", sent.body["name"])
    assert (spec.strategy.params, spec.data.store.symbols, spec.broker.cash) == ({"period": 3}, ["BTC/USD"], 100.0)
    assert run.metrics == {"final_value": 110.0, "trades": 1, "sharpe": None}
    assert run.equity["value"].to_pylist() == [100.0, 110.0]
    assert (len(run.trades), len(run.fills)) == (1, 1)
    assert "sharpe: got 1 return" in str(run.report()) and "2018-04-04T00:00:00Z" in str(run.report())
    assert "<svg" in run._repr_html_() and "110" in run._repr_html_()


def test_two_runs_are_compared(gateway: AnsweringServer, td: tapedeck.TapedeckClient) -> None:
    EndedRun(gateway, "run-1", value=110.0)
    first = td.backtest("sma-cross", "coinbase:BTC/USD")
    first.wait()
    EndedRun(gateway, "run-2", value=80.0)
    second = td.backtest("sma-cross", "coinbase:BTC/USD")
    compared = first.compare(second)
    rows = {row["metric"]: row["difference"] for row in compared.table.to_rows()}
    assert rows == {"final_value": -30.0, "trades": 0.0, "sharpe": None}
    changes = [line[2] for line in compared.plot().lines]
    assert changes == [[0.0, pytest.approx(10.0)], [0.0, pytest.approx(-20.0)]]  # percent, by hand


def test_a_failed_run_says_why(gateway: AnsweringServer, td: tapedeck.TapedeckClient) -> None:
    EndedRun(gateway, "run-1", value=0.0, state="failed")
    run = td.backtest("sma-cross", "coinbase:BTC/USD")
    with pytest.raises(errors.WorkFailed, match="the strategy failed"):
        _ = run.metrics
    assert "NaN in line 3" in run._repr_html_()


def test_a_run_trades_a_replay(gateway: AnsweringServer, td: tapedeck.TapedeckClient) -> None:
    PlayedReplay(gateway)
    replay = td.replay(BOTH, name="played")
    gateway.on("POST /namespaces/default/backtests", lambda asked: asked.body)
    td.backtest("sma-cross", replay, {"fast": 5})
    td.backtest("other.module:Class", {"store": {"exchange": "x", "symbols": ["Y"]}})
    bound, module = (spec_of(a) for a in gateway.asked_for("POST", "/namespaces/default/backtests"))
    assert bound.data.replay.name == "played"
    assert module.strategy.module == "other.module:Class"


def test_a_sweep_has_its_trials_the_best_and_a_matrix(
    gateway: AnsweringServer, td: tapedeck.TapedeckClient, capsys: pytest.CaptureFixture[str]
) -> None:
    EndedRun(gateway, "run-1", value=110.0)
    common = {"window": 0, "start": FIRST, "end": FIRST + MINUTE, "message": "", "metrics": {"trades": 2.0}}
    trials: list[dict[str, Any]] = [
        {**common, "trial": 0, "params": {"fast": 5, "slow": 20}, "objective": 1.0, "feasible": True},
        {**common, "trial": 1, "params": {"fast": 10, "slow": 20}, "objective": 3.0, "feasible": True},
        {**common, "trial": 2, "params": {"fast": 10, "slow": 40}, "objective": 9.0, "feasible": False},
    ]
    gateway.on("GET /sweeps/run-1/trials", {"run_id": "run-1", "trials": trials, "next": None})
    matrix = {"xs": [5, 10], "ys": [20, 40], "values": [[1.0, 3.0], [None, 9.0]], "counts": [[1, 1], [0, 1]]}
    gateway.on("GET /sweeps/run-1/matrix", matrix)
    space: dict[str, Any] = {"fast": range(5, 11, 5), "slow": {"from": 20, "to": 40, "step": 20}}
    sweep = td.sweep("sma-cross", "coinbase:BTC/USD", space)
    sweep.wait(progress=True)
    (made,) = gateway.asked_for("POST", "/namespaces/default/backtests")
    spec: Any = parse_resource(made.body).spec
    assert spec.sweep.params[0].values == [5, 10] and spec.sweep.params[1].step == 20
    assert spec.sweep.objective.metric == "returnPercent"
    assert [row["fast"] for row in sweep.best] == [10, 5]
    assert sweep.trials.columns[:4] == ["window", "trial", "fast", "slow"]
    assert sweep.matrix("fast", "slow").to_rows() == [
        {"slow": 20, "fast=5": 1.0, "fast=10": 3.0}, {"slow": 40, "fast=5": None, "fast=10": 9.0},
    ]  # fmt: skip
    assert "1/2" in capsys.readouterr().err
    assert sweep.matrix("fast", "slow", window=2).title.endswith("objective, window 2")
    windows = [asked.query["window"] for asked in gateway.asked_for("GET", "/sweeps/run-1/matrix")]
    assert windows == ["0", "2"]


@pytest.mark.parametrize(
    ("space", "expected"), [({}, "got no param"), ({"a": []}, "numbers alone"), ({"a": [1, "x"]}, "numbers alone")]
)
def test_a_space_that_is_none(td: tapedeck.TapedeckClient, space: dict[str, Any], expected: str) -> None:
    with pytest.raises(errors.BadRequest, match=expected):
        td.sweep("sma-cross", "coinbase:BTC/USD", space)


def test_a_stored_run_is_found_by_its_id(gateway: AnsweringServer, td: tapedeck.TapedeckClient) -> None:
    ended = EndedRun(gateway, "run/1", value=120.0)
    ended._left = ended._unstored = -1
    run = td.run("run/1")
    assert (run.run_id, run.state, run.metrics["final_value"]) == ("run/1", "complete", 120.0)
    assert type(run) is tapedeck.RunHandle


@pytest.mark.parametrize(
    ("sweep", "best"), [({"objective": {"direction": "minimize"}}, 5), ({"objective": {}}, 10), ({}, 10)]
)
def test_a_stored_sweep_is_found_by_its_id(
    gateway: AnsweringServer, td: tapedeck.TapedeckClient, sweep: dict[str, Any], best: int
) -> None:
    summary = {"run_id": "s-1", "name": "s", "namespace": "default", "state": "complete", "trials": 2}
    gateway.on("GET /runs/s-1", summary)
    gateway.on("GET /runs/s-1/inputs", {"run_id": "s-1", "spec": {"sweep": sweep}})
    trials = [
        {"window": 0, "trial": n, "params": {"fast": fast}, "objective": float(fast), "feasible": True, "metrics": {}}
        for n, fast in enumerate((5, 10))
    ]
    gateway.on("GET /sweeps/s-1/trials", {"run_id": "s-1", "trials": trials, "next": None})
    found = td.run("s-1")
    assert isinstance(found, tapedeck.SweepHandle)
    assert (found.best[0]["fast"], len(found.trials)) == (best, 2)
    gateway.on("GET /sweeps/s-1/trials", problem(404, "gone"))
    assert "gone" in td.run("s-1")._repr_html_()
