"""Bars kept in the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from difflib import get_close_matches
from typing import Any, TypeVar

import psycopg
import stamina
from confluent_kafka import KafkaException

from tapedeck.logs import log
from tapedeck.settings import Connections
from tapedeck.store import catalogue
from tapedeck.store.bars import Block, Resolved, Selection, read_blocks, resolve
from tapedeck.store.database import connect
from tapedeck.store.recorded import wait_recorded
from tapedeck_crds.base import format_ms, time_ms
from tapedeck_crds.source import StoredBars, is_pattern
from tapedeck_replay.symbols import matching_symbols
from tapedeck_replay.tape import After, BadInput, Tape, Unavailable

CONNECT_ATTEMPTS, CONNECT_TIMEOUT = 10, 45.0
WINDOW_ROWS = 20_000  # what the database sorts without a file
MISSING_SHOWN = 3
FAILURES_MAX = 5  # reads in a row that broke off without a block
T = TypeVar("T")

_COUNT = """
SELECT count(*) FROM bars
WHERE exchange = %s AND symbol = ANY(%s) AND interval = %s
  AND ts >= to_timestamp(%s::int8 / 1000.0) AND ts < to_timestamp(%s::int8 / 1000.0)
"""


class StoreSource:
    """Bars of a range of the store; each call has a connection of its own."""

    def __init__(self, connections: Connections, wanted: StoredBars, name: str) -> None:
        self._connections = connections
        self._wanted = wanted
        self._name = name

    def resolve(self) -> Tape:
        wanted = self._wanted
        try:
            lacking = self._ask(lambda connection: wait_recorded(self._connections, connection))
        except KafkaException as error:
            raise Unavailable(f"the broker does not say how far the recorder is: {error}") from error
        if lacking:
            log.warning("the recorder stands still: bars on the log are missing in the store", lacking=lacking)
        found = self._ask(self._resolve)
        played = tuple(symbol for symbol in found.selection.symbols if symbol not in found.missing)
        rows = {symbol: found.rows_of[symbol] for symbol in played}
        return Tape(wanted.exchange, played, wanted.interval, found.start, found.end, rows, found.fingerprint)

    def _resolve(self, connection: psycopg.Connection[Any]) -> Resolved:
        wanted = self._wanted
        named = {symbol for symbol in wanted.symbols if not is_pattern(symbol)}
        matching = named
        if len(named) < len(wanted.symbols):
            known = catalogue.symbols(connection, wanted.exchange)
            matching = named | set(matching_symbols(known, wanted.symbols))
        selection = Selection(
            wanted.exchange,
            tuple(sorted(matching)),
            wanted.interval,
            None if wanted.from_ is None else time_ms(wanted.from_),
            None if wanted.to is None else time_ms(wanted.to),
        )
        found = resolve(connection, selection)
        missing = [symbol for symbol in found.missing if symbol in named]
        if missing or not found.rows:
            raise BadInput("NoBars", nothing(connection, wanted, missing or sorted(wanted.symbols)))
        return found

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


def nothing(connection: psycopg.Connection[Any], wanted: StoredBars, missing: list[str]) -> str:
    """Why there is nothing of some symbols or patterns: what the store has instead, as far as that helps."""
    known = catalogue.symbols(connection, wanted.exchange)
    if not known:
        there = ", ".join(catalogue.exchanges(connection)) or "no bars at all"
        return (
            f"source.store.exchange: got {wanted.exchange}, of which the store has no bars, expected one of those it "
            f"has: {there}; is the Feed through?"
        )
    return "source.store." + "; ".join(_lack(connection, wanted, symbol, known) for symbol in missing[:MISSING_SHOWN])


def _lack(connection: psycopg.Connection[Any], wanted: StoredBars, symbol: str, known: list[str]) -> str:
    if symbol not in known and not is_pattern(symbol):
        near = get_close_matches(symbol, known, n=3) or known[:5]
        return (
            f"symbols: got {symbol}, of which the store has no bars from {wanted.exchange}, expected such as "
            f"{', '.join(near)}; is the Feed through?"
        )
    matching = matching_symbols(known, [symbol])
    if not matching:
        return f"symbols: got {symbol}, which matches none, expected to match some of {', '.join(known[:10])}"
    there = catalogue.intervals(connection, wanted.exchange, matching[0])
    if wanted.interval not in there:
        return (
            f"interval: got {wanted.interval}, of which {matching[0]} has no bars, expected one of {', '.join(there)}"
        )
    first, last = there[wanted.interval]
    return (
        f"from, to: got {wanted.from_ or 'the first'} to {wanted.to or 'the last'}, in which {matching[0]} has no bar "
        f"of {wanted.interval}, expected a range that meets {format_ms(first)} to {format_ms(last)}"
    )
