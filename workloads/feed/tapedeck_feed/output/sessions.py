"""The session of a Feed's spec, as the records of its symbols for the catalogue."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from tapedeck_common import topics
from tapedeck_common.market import series_key
from tapedeck_common.records import SymbolSession
from tapedeck_common.wire import encode
from tapedeck_crds.session import Session
from tapedeck_feed.output.publisher import MarketDataPublisher


def publish_sessions(
    publisher: MarketDataPublisher, session: Session | None, exchange: str, symbols: Iterable[str]
) -> None:
    """On ``market.ingest``: the session of each symbol; nothing without one. Raises DeliveryFailed or Interrupted."""
    callback = publisher.callback(lambda: None)
    for record in _records(session, exchange, symbols):
        publisher.send(topics.MARKET_INGEST, series_key(exchange, record.symbol), encode(record), callback)


def _records(session: Session | None, exchange: str, symbols: Iterable[str]) -> Iterator[SymbolSession]:
    if session is None:
        return
    at = time.time_ns() // 1_000_000
    for symbol in symbols:
        yield SymbolSession(exchange, symbol, session.timezone, session.open, session.close, [*session.days], at)
