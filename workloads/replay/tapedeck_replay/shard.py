"""One shard's part of a tape."""

from __future__ import annotations

from dataclasses import replace

from tapedeck_common.market import series_key
from tapedeck_common.topics import shard_of
from tapedeck_replay.tape import Tape


def shard_of_tape(tape: Tape, shard: int, shards: int) -> Tape:
    """The tape with the shard's symbols alone; its range stays that of all."""
    if shards == 1:
        return tape
    mine = tuple(symbol for symbol in tape.symbols if shard_of(series_key(tape.exchange, symbol), shards) == shard)
    return replace(tape, symbols=mine, rows_of={symbol: tape.rows_of[symbol] for symbol in mine})
