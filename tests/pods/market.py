"""A market: it publishes records as a Feed does."""

from __future__ import annotations

from tapedeck_common.kafka import producer
from tapedeck_common.market import Bar, Point, Ticker, Trade, series_key
from tapedeck_common.settings import Connections
from tapedeck_common.wire import encode, market_headers


class Market:
    """Publishes records of the market's topics."""

    def __init__(self, connections: Connections) -> None:
        self._producer = producer(connections, "tests")

    def send(self, topic: str, *records: Bar | Trade | Ticker | Point) -> None:
        for record in records:
            key = series_key(record.exchange, record.symbol).encode()
            self._producer.produce(topic, encode(record), key=key, headers=market_headers("live"))
        assert self._producer.flush(60) == 0
