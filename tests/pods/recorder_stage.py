"""A running recorder with its broker and its database, and the bars that tests give it."""

from __future__ import annotations

from typing import Any

from pods.recorder import BACKFILL, MINUTE, T0, Record, RecorderProcess, caught_up, publish, select
from pods.services import Services
from tapedeck_common import topics
from tapedeck_common.market import Bar, series_key
from tapedeck_common.wire import encode


def bar(exchange: str, symbol: str, minute: int, close: float = 2.0, **other: Any) -> Bar:
    return Bar(exchange, symbol, "1m", T0 + minute * MINUTE, 2.0, 9.0, 1.0, close, 5.0, **other)


def on_bars(one: Bar, headers: Any = BACKFILL) -> Record:
    return (topics.MARKET_BARS, encode(one), series_key(one.exchange, one.symbol), headers)


class RecorderStage:
    """A running recorder, its broker and its database."""

    def __init__(self, services: Services, dsn: str, recorder: RecorderProcess) -> None:
        self.bootstrap = services.broker.bootstrap
        self.dsn = dsn
        self.recorder = recorder

    def record(self, *published: Record) -> None:
        publish(self.bootstrap, published)
        caught_up(self.bootstrap, self.dsn)

    def rejected(self) -> dict[bytes, tuple[str, str]]:
        """Topic and reason of each rejected message, by payload."""
        rows = select(self.dsn, "SELECT payload, topic, reason FROM ingest_errors WHERE feed = ''")
        return {payload.encode(): (topic, reason) for payload, topic, reason in rows}
