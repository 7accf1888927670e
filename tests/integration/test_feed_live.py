"""A live Feed as a real process, against the local exchange and a real broker, through ccxt's own clients."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import samples_by_hand as by_hand
from conftest import Services
from exchange import Exchange, recorded
from exchange.binance import Binance
from feed_pod import Pod, read_topic
from tapedeck_operator.local import processes

VALUES = ("open", "high", "low", "close", "volume")
FILES = {"BTC/USDT": "btcusdt_20240808.jsonl.gz", "ETH/USDT": "ethusdt_20240808.jsonl.gz"}


@pytest.fixture
def binance() -> Iterator[Exchange]:
    with Exchange(Binance(), recorded()) as exchange:
        yield exchange


def spec(exchange: Exchange, **more: Any) -> dict[str, Any]:
    endpoints = {"rest": exchange.rest, "websocket": exchange.websocket}
    return {"exchange": "binance", "symbols": list(FILES), "endpoints": endpoints, **more}


def wait(pod: Pod, ready: Any, timeout: float = 60.0) -> None:
    def look() -> bool:
        assert pod.process is not None and pod.process.poll() is None, pod.said()
        with contextlib.suppress(OSError):  # it ends; the next look says so
            return bool(ready())
        return False

    assert processes.wait_until(look, timeout=timeout, poll=0.1), f"{pod.status()}\n{pod.said()}"


def test_every_trade_once_through_fifty_disconnects(
    services: Services, samples: Path, tmp_path: Path, binance: Exchange
) -> None:
    pod = Pod(services.broker.bootstrap, tmp_path, tmp_path, spec(binance), {"apiKey": binance.key})
    pod.start()
    try:
        binance.subscribed(channels=2)
        binance.play_with_drops(50, seed=20240808)
        wait(pod, lambda: pod.status()["trades"] == 15_863)
        binance.clock_offset = 70_000
        binance.drop()  # its clock is looked at anew after a disconnect: the last minute is over
        wait(pod, lambda: pod.status()["bars"] >= 14)
    finally:
        code = pod.stop()
    assert code == 0
    assert binance.drops >= 51
    report = pod.last()
    assert (report["missing"], report["errors"]) == (0, 0)
    assert report["reconnects"] >= 45
    trades = read_topic(services.broker.bootstrap, "market.trades", "binance")
    assert {header for _, _, header in trades} == {"td=1;live"}
    bars = read_topic(services.broker.bootstrap, "market.bars", "binance")
    for symbol, name in FILES.items():
        path = samples / "binance-trades" / name
        assert [
            (v["ts"], v["id"], v["price"], v["amount"], v["side"]) for _, v, _ in trades if v["symbol"] == symbol
        ] == [
            (m["T"], str(m["t"]), float(m["p"]), float(m["q"]), ["buy", "sell"][m["m"]])
            for m in by_hand.binance_messages(path)
        ]
        newest: dict[int, dict[str, Any]] = {}
        for _, v, _ in bars:
            if v["symbol"] == symbol and v["closed"]:
                assert v["rev"] == (newest[v["ts"]]["rev"] + 1 if v["ts"] in newest else 0)
                newest[v["ts"]] = v
        wanted = by_hand.binance_bars(path, last=True)
        assert newest.keys() == wanted.keys()
        for ts, row in wanted.items():
            assert tuple(newest[ts][n] for n in VALUES) == pytest.approx(row, rel=1e-12)
        assert any(v["symbol"] == symbol and not v["closed"] for _, v, _ in bars)
