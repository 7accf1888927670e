"""A synthetic market, computed block by block, each with a counter-based random generator of its own.

A block is a function of the seed, its number, and the state before it (log prices and regime). To start in the middle
only the states are needed, and those need one pass over the closes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tapedeck_common.store.bars import BarBlock, Floats, Ints
from tapedeck_crds.base import time_ms
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_crds.source import Synthetic
from tapedeck_replay.source.synthetic.correlation import checked_correlation, cholesky, correlated
from tapedeck_replay.source.synthetic.stochastic import (
    YEAR_MS,
    bridge_extremes,
    diffusion,
    jump_compensation,
    jumps,
    regime_path,
    volumes,
)

FIRST_OPEN = "2024-01-01T00:00:00Z"
BLOCK_ROWS = 16_384
CHECKPOINT_BLOCKS = 16  # blocks between two states that are kept in memory
_PATH, _REGIME, _DETAIL = 1, 2, 3  # independent streams of random numbers
LOG_LIMIT = 600.0  # of ln(price / start price): floats overflow at e^709


@dataclass(frozen=True)
class MarketState:
    """Before a block: ln(price / start price) of each symbol, shape (n,), and the regime."""

    log: Floats
    regime: int = 0


class SyntheticMarket:
    """The bars of a spec. The constructor raises ValueError, which names the field, for an impossible spec."""

    def __init__(self, spec: Synthetic) -> None:
        self._spec = spec
        order = sorted(range(len(spec.symbols)), key=lambda i: spec.symbols[i].symbol)
        symbols = [spec.symbols[i] for i in order]
        self.symbols = tuple(each.symbol for each in symbols)
        length = BAR_LENGTHS[spec.interval]
        self.interval_ms = length.ms
        begin = spec.from_ or FIRST_OPEN
        self.start = time_ms(begin) if spec.from_ else length.first_open(time_ms(begin))
        if self.start != length.open_of(self.start):
            raise ValueError(f"from: got {begin}, expected the open of a bar ({spec.interval})")
        self.bars: int = spec.bars or 0 if spec.to is None else -(-(time_ms(spec.to) - self.start) // self.interval_ms)
        if self.bars < 1:
            raise ValueError(f"to: got {spec.to}, expected a time later than from ({begin})")
        self.steps = max(1, BLOCK_ROWS // len(symbols))
        self._dt = self.interval_ms / YEAR_MS
        self._price = np.array([each.price for each in symbols])
        self._drift = np.array([each.drift for each in symbols])
        self._volatility = np.array([each.volatility for each in symbols])
        self._volume = np.array([each.volume for each in symbols])
        # Rounded to eight digits of the start price, which hides how other machines round the last digits of a float.
        self._decimals = [max(0, 7 - int(np.floor(np.log10(each.price)))) for each in symbols]
        self._lower = None
        if spec.correlation is not None:
            if any(len(row) != len(symbols) for row in spec.correlation):
                raise ValueError(f"correlation: got {spec.correlation}, expected {len(symbols)} numbers in each row")
            matrix = checked_correlation(np.array(spec.correlation))
            self._lower = cholesky(matrix[np.ix_(order, order)])
        self._factors = np.array([each.volatility for each in spec.regimes or ()])
        self._mean_bars = [each.mean_bars for each in spec.regimes or ()]
        self._states = {0: MarketState(np.zeros(len(symbols)))}

    def block(self, number: int) -> BarBlock:
        """The bars of a block in order; ``series`` is an index into ``symbols``."""
        state = self._state_before(number)
        diffusions, jump_sums, variance, _ = self._log_returns(number, state)
        closes = state.log + np.cumsum(diffusions + jump_sums, axis=0)
        opens = np.vstack([state.log, closes[:-1]])
        generator = self._generator(_DETAIL, number)
        shape = diffusions.shape
        top, bottom = bridge_extremes(diffusions, variance, 1 - generator.random(shape), 1 - generator.random(shape))
        highs, lows = np.maximum(opens + top, closes), np.minimum(opens + bottom, closes)
        sizes = volumes(generator.standard_normal(shape), self._volume, self._spec.volume_deviation)
        first = number * self.steps
        rows = min(self.steps, self.bars - first)
        ts = self.start + np.arange(first, first + rows, dtype=np.int64) * self.interval_ms
        return BarBlock(
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

    def _state_before(self, number: int) -> MarketState:
        checkpoint = max(block for block in self._states if block <= number)
        state = self._states[checkpoint]
        for block in range(checkpoint, number):
            diffusions, jump_sums, _, regime = self._log_returns(block, state)
            state = MarketState(state.log + np.cumsum(diffusions + jump_sums, axis=0)[-1], regime)
            if (block + 1) % CHECKPOINT_BLOCKS == 0:
                self._states[block + 1] = state
        return state

    def _log_returns(self, number: int, state: MarketState) -> tuple[Floats, Floats, Floats, int]:
        """Log returns of diffusion, of jumps, and the variance of the former, of shape (steps, n); the last regime."""
        spec, shape = self._spec, (self.steps, len(self.symbols))
        generator = self._generator(_PATH, number)
        normals = generator.standard_normal(shape)
        if self._lower is not None:
            normals = correlated(normals, self._lower)
        path = self._regimes(number, state.regime)
        volatility = self._volatility[None, :] * (self._factors[path][:, None] if len(self._factors) else 1.0)
        drift, jump_sums = self._drift, np.zeros(shape)
        if (model := spec.jumps) is not None:
            drift = drift - jump_compensation(model.per_year, model.mean, model.deviation)
            jump_sums = jumps(generator, shape, model.per_year * self._dt, model.mean, model.deviation)
        diffusions = diffusion(normals, drift, volatility, self._dt)
        variance = np.broadcast_to(volatility**2 * self._dt, shape)
        return diffusions, jump_sums, variance, int(path[-1])

    def _regimes(self, number: int, regime: int) -> Ints:
        if not self._mean_bars:
            return np.zeros(self.steps, dtype=np.int64)
        generator = self._generator(_REGIME, number)
        return regime_path(generator.random(self.steps), generator.random(self.steps), self._mean_bars, regime)

    def _generator(self, stream: int, number: int) -> np.random.Generator:
        """Philox (Salmon et al. 2011, Parallel random numbers): its output is a function of key and counter only."""
        return np.random.Generator(np.random.Philox(key=[self._spec.seed, (stream << 48) | number]))
