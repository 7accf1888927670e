"""A synthetic market, block by block: each block from a counter-based generator of its own.

A block is made from the seed, its number, and the state at its begin (log prices and regime). Going on from
anywhere needs only the states, and for them one pass over the closes alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tapedeck_common.store.bars import Block, Floats, Ints
from tapedeck_crds.base import INTERVAL_MS, time_ms
from tapedeck_crds.source import Synthetic
from tapedeck_replay.synthetic.candles import bridge_extremes, volumes
from tapedeck_replay.synthetic.correlation import checked_correlation, cholesky, correlated
from tapedeck_replay.synthetic.regimes import regime_path
from tapedeck_replay.synthetic.returns import YEAR_MS, diffusion, jump_compensation, jumps

FIRST_OPEN = "2024-01-01T00:00:00Z"
BLOCK_ROWS = 16_384
KEPT_EVERY = 16  # blocks between two states that are kept in memory
_PATH, _REGIME, _DETAIL = 1, 2, 3  # streams of random numbers
LOG_LIMIT = 600.0  # of a price against its start: e^709 is where floats end


@dataclass(frozen=True)
class State:
    """Before a block: log prices against the start, shape (n,), and the regime."""

    log: Floats
    regime: int = 0


class Market:
    """Raises ValueError, naming the field, for a spec that can't be made."""

    def __init__(self, spec: Synthetic) -> None:
        self._spec = spec
        order = sorted(range(len(spec.symbols)), key=lambda i: spec.symbols[i].symbol)
        chosen = [spec.symbols[i] for i in order]
        self.symbols = tuple(each.symbol for each in chosen)
        self.step = INTERVAL_MS[spec.interval]
        begin = spec.from_ or FIRST_OPEN
        self.start = time_ms(begin)
        if self.start % self.step:
            raise ValueError(f"from: got {begin}, expected a whole number of intervals ({spec.interval})")
        self.bars: int = spec.bars or 0 if spec.to is None else -(-(time_ms(spec.to) - self.start) // self.step)
        if self.bars < 1:
            raise ValueError(f"to: got {spec.to}, expected a time later than from ({begin})")
        self.steps = max(1, BLOCK_ROWS // len(chosen))
        self._dt = self.step / YEAR_MS
        self._price = np.array([each.price for each in chosen])
        self._drift = np.array([each.drift for each in chosen])
        self._volatility = np.array([each.volatility for each in chosen])
        self._volume = np.array([each.volume for each in chosen])
        # Eight digits of the start price: what floats' last digits are on another machine does not show.
        self._decimals = [max(0, 7 - int(np.floor(np.log10(each.price)))) for each in chosen]
        self._lower = None
        if spec.correlation is not None:
            if any(len(row) != len(chosen) for row in spec.correlation):
                raise ValueError(f"correlation: got {spec.correlation}, expected {len(chosen)} numbers in each row")
            matrix = checked_correlation(np.array(spec.correlation))
            self._lower = cholesky(matrix[np.ix_(order, order)])
        self._factors = np.array([each.volatility for each in spec.regimes or ()])
        self._mean_bars = [each.mean_bars for each in spec.regimes or ()]
        self._states = {0: State(np.zeros(len(chosen)))}

    def block(self, number: int) -> Block:
        """The bars of a block in order; ``series`` indexes ``symbols``."""
        state = self._state_before(number)
        moves, leaps, variance, _ = self._moves(number, state)
        closes = state.log + np.cumsum(moves + leaps, axis=0)
        opens = np.vstack([state.log, closes[:-1]])
        generator = self._generator(_DETAIL, number)
        shape = moves.shape
        top, bottom = bridge_extremes(moves, variance, 1 - generator.random(shape), 1 - generator.random(shape))
        highs, lows = np.maximum(opens + top, closes), np.minimum(opens + bottom, closes)
        sizes = volumes(generator.standard_normal(shape), self._volume, self._spec.volume_deviation)
        first = number * self.steps
        rows = min(self.steps, self.bars - first)
        ts = self.start + np.arange(first, first + rows, dtype=np.int64) * self.step
        return Block(
            np.tile(np.arange(len(self.symbols), dtype=np.int64), rows),
            np.repeat(ts, len(self.symbols)),
            self._prices(opens[:rows]),
            self._prices(highs[:rows]),
            self._prices(lows[:rows]),
            self._prices(closes[:rows]),
            np.round(sizes[:rows], 8).ravel(),
            np.zeros(rows * len(self.symbols), dtype=np.int64),
        )

    @property
    def blocks(self) -> int:
        """How many blocks there are."""
        return -(-self.bars // self.steps)

    def _prices(self, log: Floats) -> Floats:
        prices = self._price * np.exp(np.clip(log, -LOG_LIMIT, LOG_LIMIT))
        for column, decimals in enumerate(self._decimals):
            prices[:, column] = np.maximum(np.round(prices[:, column], decimals), 10.0**-decimals)
        return prices.ravel()

    def _state_before(self, number: int) -> State:
        known = max(block for block in self._states if block <= number)
        state = self._states[known]
        for block in range(known, number):
            moves, leaps, _, regime = self._moves(block, state)
            state = State(state.log + np.cumsum(moves + leaps, axis=0)[-1], regime)
            if (block + 1) % KEPT_EVERY == 0:
                self._states[block + 1] = state
        return state

    def _moves(self, number: int, state: State) -> tuple[Floats, Floats, Floats, int]:
        """Each bar's log return by diffusion, by jumps, the former's variance, all (steps, n); the last regime."""
        spec, shape = self._spec, (self.steps, len(self.symbols))
        generator = self._generator(_PATH, number)
        normals = generator.standard_normal(shape)
        if self._lower is not None:
            normals = correlated(normals, self._lower)
        path = self._regimes(number, state.regime)
        volatility = self._volatility[None, :] * (self._factors[path][:, None] if len(self._factors) else 1.0)
        drift, leaps = self._drift, np.zeros(shape)
        if (jumping := spec.jumps) is not None:
            drift = drift - jump_compensation(jumping.per_year, jumping.mean, jumping.deviation)
            leaps = jumps(generator, shape, jumping.per_year * self._dt, jumping.mean, jumping.deviation)
        moves = diffusion(normals, drift, volatility, self._dt)
        variance = np.broadcast_to(volatility**2 * self._dt, shape)
        return moves, leaps, variance, int(path[-1])

    def _regimes(self, number: int, regime: int) -> Ints:
        if not self._mean_bars:
            return np.zeros(self.steps, dtype=np.int64)
        generator = self._generator(_REGIME, number)
        return regime_path(generator.random(self.steps), generator.random(self.steps), self._mean_bars, regime)

    def _generator(self, stream: int, number: int) -> np.random.Generator:
        """Philox (Salmon et al. 2011): its output is a function of key and counter alone."""
        return np.random.Generator(np.random.Philox(key=[self._spec.seed, (stream << 48) | number]))
