"""Bars kept in the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, TypeVar

import psycopg
import stamina
from confluent_kafka import KafkaException

from tapedeck.logs import log
from tapedeck.settings import Connections
from tapedeck.store.bars import Block, Resolved, Selection, read_blocks, resolve
from tapedeck.store.database import connect
from tapedeck.store.recorded import wait_recorded
from tapedeck_crds.base import StoreRange, time_ms
from tapedeck_replay.tape import After, BadInput, Tape, Unavailable

CONNECT_ATTEMPTS, CONNECT_TIMEOUT = 10, 45.0
WINDOW_ROWS = 20_000  # what the database sorts without a file
FAILURES_MAX = 5  # reads in a row that broke off without a block
T = TypeVar("T")

_COUNT = """
SELECT count(*) FROM bars
WHERE exchange = %s AND symbol = ANY(%s) AND interval = %s
  AND ts >= to_timestamp(%s::int8 / 1000.0) AND ts < to_timestamp(%s::int8 / 1000.0)
"""


class StoreSource:
    """Bars of a range of the store; each call has a connection of its own."""

    def __init__(self, connections: Connections, wanted: StoreRange, name: str) -> None:
        self._connections = connections
        self._wanted = wanted
        self._name = name

    def resolve(self) -> Tape:
        wanted = self._wanted
        selection = Selection(
            wanted.exchange,
            tuple(wanted.symbols),
            wanted.interval,
            None if wanted.from_ is None else time_ms(wanted.from_),
            None if wanted.to is None else time_ms(wanted.to),
        )
        try:
            lacking = self._ask(lambda connection: wait_recorded(self._connections, connection))
        except KafkaException as error:
            raise Unavailable(f"the broker does not say how far the recorder is: {error}") from error
        if lacking:
            log.warning("the recorder stands still: bars on the log are missing in the store", lacking=lacking)
        found = self._ask(lambda connection: resolve(connection, selection))
        if found.missing:
            raise BadInput("NoBars", _nothing(found))
        chosen = found.selection
        return Tape(
            chosen.exchange, chosen.symbols, chosen.interval, found.start, found.end, found.rows_of, found.fingerprint
        )

    def count(self, tape: Tape, v: int) -> int:
        end = min(tape.end, v - tape.step + 1)
        row = self._ask(
            lambda connection: connection.execute(
                _COUNT, (tape.exchange, list(tape.symbols), tape.interval, tape.start, end)
            ).fetchone()
        )
        return int(row[0]) if row is not None else 0

    def blocks(self, tape: Tape, after: After | None) -> Iterator[Block]:
        selection = Selection(tape.exchange, tape.symbols, tape.interval, tape.start, tape.end)
        resolved = Resolved(selection, tape.start, tape.end, tape.rows_of, tape.fingerprint)
        failures = 0
        while True:
            try:
                with closing(self._connect()) as connection:
                    place = None if after is None else after[:2]
                    for block in read_blocks(connection, resolved, after=place, window_rows=WINDOW_ROWS):
                        yield block
                        failures = 0
                        after = After(int(block.ts[-1]), tape.symbols[int(block.series[-1])])
                return
            except psycopg.OperationalError as error:  # go on behind the last block, once the store answers
                failures += 1
                if failures >= FAILURES_MAX:
                    raise Unavailable(f"the store breaks off each read: {error}") from error

    def _ask(self, question: Callable[[psycopg.Connection[Any]], T]) -> T:
        try:
            with closing(self._connect()) as connection:
                return question(connection)
        except psycopg.Error as error:
            raise Unavailable(f"the store refuses: {error}") from error

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


def _nothing(found: Resolved) -> str:
    chosen = found.selection
    return (
        f"source.store.symbols: got {', '.join(found.missing)} without a bar of {chosen.interval} from "
        f"{chosen.exchange} in the range, expected bars of every symbol; is the Feed through, and are exchange, "
        "symbol, interval and range as the store has them?"
    )
