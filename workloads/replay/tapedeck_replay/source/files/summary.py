"""A summary of the records in files: range, number and checksum of each symbol."""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tapedeck_common.files import FilesUnavailable, InvalidFiles
from tapedeck_common.market import Bar, Trade
from tapedeck_common.trade_gaps import TradeGapFinder
from tapedeck_common.wire import encode
from tapedeck_crds.errors import Unavailable
from tapedeck_crds.files import Files
from tapedeck_crds.source import Played
from tapedeck_replay.errors import InvalidReplay

HEARTBEAT_ROWS = 5_000
SYMBOLS_MAX = 1_000
"""Of a Replay: each has its place in the resource's status."""


@dataclass(frozen=True)
class FileSummary:
    """``first`` and ``last`` are the times of the first and the last record, milliseconds UTC.

    ``fingerprint`` is ``symbol=rows:crc32`` of each symbol, separated by semicolons. ``missing`` is the number of
    trades that are absent by ids that count up, of the symbols that have any.
    """

    symbols: tuple[str, ...]
    rows: dict[str, int]
    first: int
    last: int
    fingerprint: str
    missing: dict[str, int]


def summarize(
    files: Files, records: Iterator[Bar] | Iterator[Trade], channel: Played, heartbeat: Callable[[], None]
) -> FileSummary:
    """Read all records. Raises InvalidReplay ``NoBars`` or ``NoTrades`` if a symbol of the spec has none, and
    ``TooManySymbols``.
    """
    rows: Counter[str] = Counter()
    checksums: Counter[str] = Counter()
    finders: defaultdict[str, TradeGapFinder] = defaultdict(TradeGapFinder)
    first = last = None
    for record in records:
        rows[record.symbol] += 1
        checksums[record.symbol] = zlib.crc32(encode(record), checksums[record.symbol])
        if isinstance(record, Trade):
            finders[record.symbol].add(record)
        first = record.ts if first is None else min(first, record.ts)
        last = record.ts if last is None else max(last, record.ts)
        if rows[record.symbol] % HEARTBEAT_ROWS == 0:
            heartbeat()
    symbols = tuple(sorted({*rows, *(each.symbol for each in files.sets if each.symbol is not None)}))
    if len(symbols) > SYMBOLS_MAX:
        raise InvalidReplay(
            "TooManySymbols", f"source.files.sets: got {len(symbols)} symbols, expected at most {SYMBOLS_MAX}"
        )
    if first is None or last is None or any(symbol not in rows for symbol in symbols):
        missing = ", ".join(symbol for symbol in symbols if symbol not in rows) or "any symbol"
        message = f"source.files.sets: got files without {channel} of {missing}, expected {channel} of each symbol"
        raise InvalidReplay(f"No{channel.capitalize()}", message)
    fingerprint = ";".join(f"{symbol}={rows[symbol]}:{checksums[symbol]:08x}" for symbol in symbols)
    absent = {symbol: finder.missing for symbol, finder in finders.items() if finder.missing}
    return FileSummary(symbols, dict(rows), first, last, fingerprint, absent)


def differences(old: str, new: str) -> str:
    """What two fingerprints of the same symbols differ in, as text."""
    before, after = _by_symbol(old), _by_symbol(new)
    return "; ".join(
        f"{symbol}: had {before.get(symbol)}, has {after[symbol]}"
        for symbol in after
        if after[symbol] != before.get(symbol)
    )


def _by_symbol(fingerprint: str) -> dict[str, str]:
    return dict(part.rpartition("=")[::2] for part in fingerprint.split(";"))


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise errors of the files as InvalidReplay and Unavailable."""
    try:
        yield
    except InvalidFiles as error:
        raise InvalidReplay("BadFiles", str(error)) from error
    except FilesUnavailable as error:
        raise Unavailable(str(error)) from error
