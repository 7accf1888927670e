"""A synthetic market as a source."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from tapedeck_common.store.bars import Block
from tapedeck_crds.source import Synthetic
from tapedeck_replay.synthetic.market import Market
from tapedeck_replay.tape import After, BadInput, Tape

VERSION = "1"  # raised when the same spec would give other bars


class SyntheticSource:
    """Nothing is kept and nothing read: any part of it is made when it is wanted."""

    def __init__(self, spec: Synthetic) -> None:
        self._spec = spec
        try:
            self._market = Market(spec)
        except ValueError as error:
            raise BadInput("BadSynthetic", f"source.synthetic.{error}") from error

    def resolve(self) -> Tape:
        market = self._market
        text = self._spec.model_dump_json(by_alias=True, exclude_none=True)
        return Tape(
            self._spec.exchange,
            market.symbols,
            self._spec.interval,
            market.start,
            market.start + market.bars * market.step,
            dict.fromkeys(market.symbols, market.bars),
            f"synthetic-{VERSION}={hashlib.sha256(text.encode()).hexdigest()[:16]}",
        )

    def resume(self, tape: Tape) -> None:
        """A function of the spec is the same in every life."""

    def count(self, tape: Tape, v: int) -> int:
        bars = (min(v - tape.step, tape.end - 1) - tape.start) // tape.step + 1
        return max(bars, 0) * len(tape.symbols)

    def blocks(self, tape: Tape, after: After | None) -> Iterator[Block]:
        market = self._market
        first = 0 if after is None else max(0, (after.ts - market.start) // market.step)
        for number in range(min(first, market.bars) // market.steps, market.blocks):
            block = of_symbols(market.block(number), market.symbols, tape.symbols)
            if after is not None and len(block) and block.ts[0] <= after.ts:
                series = np.searchsorted(np.array(tape.symbols), after.symbol, side="right")
                keep = (block.ts > after.ts) | ((block.ts == after.ts) & (block.series >= series))
                block = Block(*(column[keep] for column in vars(block).values()))
            if len(block):
                yield block


def of_symbols(block: Block, have: tuple[str, ...], want: tuple[str, ...]) -> Block:
    """The rows of the symbols wanted (a shard's), ``series`` by their places."""
    if have == want:
        return block
    places = np.array([want.index(symbol) if symbol in want else -1 for symbol in have])
    series = places[block.series]
    keep = series >= 0
    columns = [column[keep] for column in vars(block).values()]
    return Block(series[keep], *columns[1:])
