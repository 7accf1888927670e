"""The live market of the load: an exchange that sends trades at a steady rate, and what it has sent."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from decimal import Decimal

from exchange import Exchange, Market, Tick

BEAT_SECONDS = 0.05


@dataclass
class Sent:
    """What was sent of one symbol: trades, and the sum of their amounts."""

    trades: int = 0
    amount: Decimal = Decimal()


@dataclass
class LiveMarket:
    """Sends trades of all symbols of an exchange, ``rate`` a second in all, until ``stop``."""

    exchange: Exchange
    rate: int
    sent: dict[str, Sent] = field(default_factory=dict)
    failure: BaseException | None = None
    _stopping: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="live-market")
        self._thread.start()

    def stop(self) -> None:
        """End, and raise what has ended it before."""
        self._stopping.set()
        self._thread.join(timeout=60)
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        try:
            self._send()
        except BaseException as error:
            self.failure = error

    def _send(self) -> None:
        walks = {market.symbol: _Walk(number) for number, market in enumerate(self.exchange.markets)}
        began, done = time.monotonic(), 0
        while not self._stopping.wait(BEAT_SECONDS):
            due = int((time.monotonic() - began) * self.rate)
            each = (due - done) // len(self.exchange.markets)
            for market in self.exchange.markets:
                ticks = walks[market.symbol].next(each)
                self._note(market, ticks)
                self.exchange.happen(market, ticks)
            done += each * len(self.exchange.markets)

    def _note(self, market: Market, ticks: list[Tick]) -> None:
        sent = self.sent.setdefault(market.symbol, Sent())
        sent.trades += len(ticks)
        sent.amount += sum((Decimal(tick.amount) for tick in ticks), Decimal())


class _Walk:
    """A random walk of a price, as trades of this moment with ids that count up."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._price = 100.0 * (seed + 1)
        self._id = 0

    def next(self, count: int) -> list[Tick]:
        now = time.time_ns() // 1_000_000
        return [self._tick(now) for _ in range(count)]

    def _tick(self, now: int) -> Tick:
        self._price *= 1 + self._random.gauss(0, 0.0001)
        self._id += 1
        amount = f"{self._random.randint(1, 9_999) / 10_000:.4f}"
        return Tick(self._id, now, f"{self._price:.2f}", amount, self._random.random() < 0.5)


def markets(count: int) -> list[Market]:
    """So many markets without a trade."""
    return [Market(f"L{number:02}", "USDT", []) for number in range(count)]
