"""Asking the store, again where that may help."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, TypeVar

import psycopg
import stamina
from confluent_kafka import KafkaException

from tapedeck_common.logs import log
from tapedeck_common.settings import Connections
from tapedeck_common.store import catalogue
from tapedeck_common.store.catalogue import Table
from tapedeck_common.store.database import connect
from tapedeck_common.store.recorded import wait_recorded
from tapedeck_crds.errors import Unavailable
from tapedeck_crds.source import StoredBars, is_pattern
from tapedeck_replay.symbols import matching_symbols
from tapedeck_replay.tape import After, Rows, Tape

CONNECT_ATTEMPTS, CONNECT_TIMEOUT = 10, 45.0
FAILURES_MAX = 5  # reads in a row that broke off without a block
T = TypeVar("T")
B = TypeVar("B", bound=Rows)


class StoreReader:
    """The store's side of a source; each call has a connection of its own."""

    def __init__(self, connections: Connections, name: str) -> None:
        self._connections, self._name = connections, name

    def wait_recorded(self, topic: str) -> None:
        """Wait for what is on the log already. Raises Unavailable."""
        try:
            lacking = self.ask(lambda connection: wait_recorded(self._connections, connection, topic=topic))
        except KafkaException as error:
            raise Unavailable(f"the broker does not say how far the recorder is: {error}") from error
        if lacking:
            log.warning("the recorder stands still: records on the log are missing in the store", lacking=lacking)

    def ask(self, question: Callable[[psycopg.Connection[Any]], T]) -> T:
        """The answer to a question. Raises Unavailable."""
        try:
            with closing(self._connect()) as connection:
                return question(connection)
        except psycopg.Error as error:
            raise Unavailable(f"the store refuses: {error}") from error

    def read(
        self,
        reading: Callable[[psycopg.Connection[Any], After | None], Iterator[B]],
        last: Callable[[B], After],
        after: After | None,
    ) -> Iterator[B]:
        """What ``reading`` yields; it goes on behind the ``last`` of a block where it broke off. Raises Unavailable."""
        failures = 0
        while True:
            try:
                with closing(self._connect()) as connection:
                    for block in reading(connection, after):
                        yield block
                        failures, after = 0, last(block)
                return
            except psycopg.OperationalError as error:
                failures += 1
                if failures >= FAILURES_MAX:
                    raise Unavailable(f"the store breaks off each read: {error}") from error

    def _connect(self) -> psycopg.Connection[Any]:
        try:
            for attempt in stamina.retry_context(
                on=psycopg.OperationalError, attempts=CONNECT_ATTEMPTS, timeout=CONNECT_TIMEOUT, wait_max=5.0
            ):
                with attempt:
                    return connect(self._connections, name=self._name, autocommit=True)
        except psycopg.OperationalError as error:
            raise Unavailable(f"the store does not answer: {error}") from error
        raise AssertionError("unreachable: the last attempt raises")


def named_and_matching(
    connection: psycopg.Connection[Any], wanted: StoredBars, of: Table
) -> tuple[set[str], tuple[str, ...]]:
    """The symbols that are wanted by name, and all that are wanted, sorted."""
    named = {symbol for symbol in wanted.symbols if not is_pattern(symbol)}
    matching = named
    if len(named) < len(wanted.symbols):
        matching = named | set(matching_symbols(catalogue.symbols(connection, wanted.exchange, of), wanted.symbols))
    return named, tuple(sorted(matching))


def place_of(block: Rows, tape: Tape, id: int | str = 0) -> After:
    """The place of a block's last row."""
    return After(int(block.ts[-1]), tape.symbols[int(block.series[-1])], id)
