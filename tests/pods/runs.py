"""Bars and specs for backtests as processes."""

from __future__ import annotations

import random
from base64 import b64encode
from typing import Any

from pods.backtest import MINUTE
from tapedeck_common.market import Bar
from tapedeck_common.settings import Connections

T0 = 1_522_800_000_000
BROKER = {"cash": 10_000.0, "commissionPercent": 0.1}


def random_walk(symbol: str, seed: int, count: int, missing: float = 0.0) -> list[Bar]:
    rng, price, bars = random.Random(seed), 100.0, []
    for i in range(count):
        opened, price = price, price * (1 + rng.gauss(0, 0.003))
        if rng.random() >= missing:
            top, bottom = max(opened, price) + 0.1, min(opened, price) - 0.1
            bars.append(Bar("x", symbol, "1m", T0 + i * MINUTE, opened, top, bottom, price, 1.0))
    return bars


def spec(data: dict[str, Any], **strategy: Any) -> dict[str, Any]:
    return {
        "strategy": strategy or {"builtin": "sma-cross", "params": {"fast": 5, "slow": 20}},
        "data": data,
        "broker": BROKER,
        "sizer": {"percent": 95.0},
    }


def store_data(symbols: list[str], **more: Any) -> dict[str, Any]:
    return {"store": {"exchange": "x", "symbols": symbols, **more}}


def secret(connections: Connections) -> dict[str, Any]:
    values = {
        "backtest.kafka_bootstrap": connections.kafka_bootstrap,
        "backtest.store_dsn": connections.store_dsn.get_secret_value(),
    }
    data = {key: b64encode(value.encode()).decode() for key, value in values.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tapedeck-connections"}, "data": data}
