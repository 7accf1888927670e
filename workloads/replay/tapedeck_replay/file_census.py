"""Records of files read through: counted, and a fingerprint made of them."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tapedeck_common.files import BadFiles, FilesUnavailable
from tapedeck_common.market import Bar, Trade
from tapedeck_common.wire import encode
from tapedeck_crds.base import Files
from tapedeck_crds.errors import Unavailable
from tapedeck_crds.source import Played
from tapedeck_replay.tape import BadInput

PULSE_ROWS = 5_000


@dataclass(frozen=True)
class Census:
    """``first`` and ``last`` are the times of the first and the last record, milliseconds UTC."""

    symbols: tuple[str, ...]
    rows: dict[str, int]
    first: int
    last: int
    check: str


def census(files: Files, records: Iterator[Bar] | Iterator[Trade], kind: Played, pulse: Callable[[], None]) -> Census:
    """Read all through. Raises BadInput ``No<Kind>s`` where a chosen symbol has none."""
    rows: Counter[str] = Counter()
    checks: Counter[str] = Counter()
    first = last = None
    for record in records:
        rows[record.symbol] += 1
        checks[record.symbol] = zlib.crc32(encode(record), checks[record.symbol])
        first, last = record.ts if first is None else first, record.ts
        if rows[record.symbol] % PULSE_ROWS == 0:
            pulse()
    symbols = tuple(sorted({chosen.symbol for chosen in files.sets}))
    if first is None or last is None or any(symbol not in rows for symbol in symbols):
        missing = ", ".join(symbol for symbol in symbols if symbol not in rows)
        message = f"source.files.sets: got files without a {kind[:-1]} of {missing}, expected some of each"
        raise BadInput(f"No{kind.capitalize()}", message)
    check = ";".join(f"{symbol}={rows[symbol]}:{checks[symbol]:08x}" for symbol in symbols)
    return Census(symbols, dict(rows), first, last, check)


@contextmanager
def refusing() -> Iterator[None]:
    """What is wrong with the files, as a Replay tells it."""
    try:
        yield
    except BadFiles as error:
        raise BadInput("BadFiles", str(error)) from error
    except FilesUnavailable as error:
        raise Unavailable(str(error)) from error
