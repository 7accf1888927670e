"""Queries of the store, with bounded retries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, TypeVar

import psycopg
import stamina
from confluent_kafka import KafkaException

from tapedeck_common.logs import log
from tapedeck_common.market import TradePlace
from tapedeck_common.settings import Connections
from tapedeck_common.store import catalogue
from tapedeck_common.store.catalogue import Table
from tapedeck_common.store.database import connect
from tapedeck_common.store.recording_lag import wait_until_recorded
from tapedeck_crds.errors import Unavailable
from tapedeck_crds.source import StoredBars, is_pattern, matching_symbols
from tapedeck_replay.source.dataset import Dataset, RecordBlock, StartAfter

CONNECT_ATTEMPTS, CONNECT_TIMEOUT = 10, 45.0
FAILURES_MAX = 5  # consecutive reads that broke off without a block
T = TypeVar("T")
B = TypeVar("B", bound=RecordBlock)


class StoreReader:
    """Runs queries for a source; each call has a connection of its own. ``name`` identifies it to the database."""

    def __init__(self, connections: Connections, name: str) -> None:
        self._connections, self._name = connections, name

    def wait_recorded(self, topic: str) -> None:
        """Wait until the recorder has stored what the topic contains now. Raises Unavailable."""
        try:
            missing = self.query(lambda connection: wait_until_recorded(self._connections, connection, topic=topic))
        except KafkaException as error:
            raise Unavailable(f"{topic}: cannot read the recorder's offsets: {error}") from error
        if missing:
            log.warning(
                "the recorder makes no progress: the store does not have all records of the topic", missing=missing
            )

    def query(self, ask: Callable[[psycopg.Connection[Any]], T]) -> T:
        """The result of a query. Raises Unavailable."""
        try:
            with closing(self._connect()) as connection:
                return ask(connection)
        except psycopg.Error as error:
            raise Unavailable(f"the store rejects the query: {error}") from error

    def read(
        self,
        read: Callable[[psycopg.Connection[Any], StartAfter | None], Iterator[B]],
        bound: Callable[[B], StartAfter],
        after: StartAfter | None,
    ) -> Iterator[B]:
        """The blocks that ``read`` yields; after a lost connection it is called again with the ``bound`` of the last.

        Raises Unavailable.
        """
        failures = 0
        while True:
            try:
                with closing(self._connect()) as connection:
                    for block in read(connection, after):
                        yield block
                        failures, after = 0, bound(block)
                return
            except psycopg.OperationalError as error:
                failures += 1
                if failures >= FAILURES_MAX:
                    raise Unavailable(f"the store interrupted {FAILURES_MAX} consecutive reads: {error}") from error

    def _connect(self) -> psycopg.Connection[Any]:
        try:
            for attempt in stamina.retry_context(
                on=psycopg.OperationalError, attempts=CONNECT_ATTEMPTS, timeout=CONNECT_TIMEOUT, wait_max=5.0
            ):
                with attempt:
                    return connect(self._connections, name=self._name)
        except psycopg.OperationalError as error:
            raise Unavailable(f"the store does not answer: {error}") from error
        raise AssertionError("unreachable: the last attempt raises")


def select_symbols(
    connection: psycopg.Connection[Any], source: StoredBars, table: Table
) -> tuple[set[str], tuple[str, ...]]:
    """The symbols that the spec names exactly, and all that it selects (names and matches of patterns), sorted."""
    named = {symbol for symbol in source.symbols if not is_pattern(symbol)}
    selected = named
    if len(named) < len(source.symbols):
        stored = catalogue.symbols(connection, source.exchange, table)
        selected = named | set(matching_symbols(stored, source.symbols))
    return named, tuple(sorted(selected))


def bound_of(block: RecordBlock, dataset: Dataset, place: int | TradePlace = 0) -> StartAfter:
    """The bound that skips everything up to the block's last row, which has this place within its time."""
    return StartAfter(int(block.ts[-1]), dataset.symbols[int(block.series[-1])], place)
