"""The examples on a deck, applied as files: what their first lines say that one sees is what happens.

experiment.yaml, stock.yaml, replay-filled.yaml and the notebook have tests of their own beside this one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import numpy as np
import psycopg
import pytest

import by_hand.samples as by_hand
from decks.process import Deck, broker_of, eventually, phase, reaches
from pods.replay import MINUTE, Record, committed
from tapedeck_crds.base import time_ms
from tapedeck_crds.json import Json
from tapedeck_deck.cli import changes
from tapedeck_deck.cli.coverage import Coverage
from tapedeck_deck.cli.describe import describe
from tapedeck_deck.cli.symbols import stored_series
from tapedeck_deck.embedded import documents
from tapedeck_deck.embedded.objects import Objects

EXAMPLES = Path(__file__).parents[3] / "examples"
DAY_BARS = 1_440
CASH = 10_000
TOLERANCE_MS = 20  # of two clocks' milliseconds, at any speed
# Of each window: the best objective in-sample and the objective out-of-sample, and the number of trials.
WINDOWS = """
SELECT max(objective) FILTER (WHERE trial >= 0), max(objective) FILTER (WHERE trial = -1), count(*)
FROM run_trials WHERE run_id = %s GROUP BY win ORDER BY win
"""
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Course:
    """A deck on which examples are applied."""

    facts: Json
    objects: Objects

    def apply(self, name: str) -> None:
        """As `tapedeck apply -f examples/NAME`."""
        changes.apply(self.objects, documents.read([str(EXAMPLES / name)]), "default")

    def turn(self, name: str, **controls: Any) -> None:
        """As `tapedeck patch replay NAME`."""
        self.objects.patch_spec("Replay", "default", name, changes.control_patch(**controls))

    def status(self, kind: str, name: str) -> Json:
        status: Json = self.objects.get(kind, "default", name).get("status", {})
        return status

    def complete(self, kind: str, name: str) -> Json:
        """Wait until a resource is Complete; returns its status."""
        reaches(self.objects, kind, name, "Complete", "Failed")
        assert phase(self.objects, kind, name) == "Complete", self.status(kind, name)
        return self.status(kind, name)

    def played(self, name: str) -> list[Record]:
        """The bars or trades on the topic of a Replay that does not play, in the order of their publication."""
        records = committed(broker_of(self.facts), self.status("Replay", name)["topic"])
        return [record for record in records if record.kind == "bar"]

    def series(self, exchange: str) -> dict[str, Coverage]:
        """What `tapedeck symbols --exchange EXCHANGE` lists, by symbol."""
        return {name.symbol: of for name, of in stored_series(self.facts["dsn"], exchange, None)}

    def rows(self, query: LiteralString, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.facts["dsn"]) as connection:
            return connection.execute(query, values).fetchall()


@pytest.fixture(scope="module")
def course(shared_deck: Deck) -> Course:
    """A deck with the files of `examples/`, as the first page applies them; the Replay plays beside the first tests."""
    _, facts, objects = shared_deck
    made = Course(facts, objects)
    for name in ("backtest.yaml", "feed.yaml", "replay.yaml"):
        made.apply(name)
    made.complete("Feed", "coinbase-sample")
    return made


def assert_in_time(anchor: Json, last: Record, known_at: int) -> None:
    """The last record, which is known at a virtual time, was not published before the clock reached that."""
    due = anchor["w0"] + (known_at - anchor["v0"]) / anchor["speed"]
    assert last.stamp >= due - TOLERANCE_MS, f"published {due - last.stamp:.0f} ms too early"


def crash_day(time: str) -> int:
    """A time on the day of the crash, in ms UTC."""
    return time_ms(f"2018-04-05T{time}:00Z")


def test_the_feed_loads_four_series_with_holes(course: Course) -> None:
    assert course.complete("Feed", "coinbase-sample")["bars"] == 13_886
    eventually(lambda: sum(of.rows for of in course.series("coinbase").values()) == 13_886)
    found = course.series("coinbase")
    assert {symbol: of.rows for symbol, of in found.items()} == by_hand.COINBASE_BARS
    assert all(of.missing for of in found.values())


def test_a_seed_gives_three_prices_that_rise_and_fall_together(course: Course) -> None:
    course.apply("more/replay-synthetic.yaml")
    eventually(lambda: (course.status("Replay", "synthetic").get("published") or 0) >= 2 * 3 * DAY_BARS)
    anchor = course.status("Replay", "synthetic")["anchor"]
    course.turn("synthetic", paused=True)  # of a hundred seconds
    reaches(course.objects, "Replay", "synthetic", "Paused")
    played = course.played("synthetic")
    assert anchor["speed"] == 86_400  # a day each second
    assert_in_time(anchor, played[-1], played[-1].value["ts"] + MINUTE)
    closes: defaultdict[str, list[float]] = defaultdict(list)
    for record in played:
        closes[record.value["symbol"]].append(record.value["close"])
    assert closes.keys() == {"BTC/USD", "ETH/USD", "SOL/USD"}
    shared = min(map(len, closes.values()))
    returns = np.diff(np.log([prices[:shared] for prices in closes.values()]))
    assert np.corrcoef(returns).min() > 0.3


def test_a_scenario_has_a_crash_an_outage_and_late_bars(course: Course) -> None:
    course.apply("more/replay-scenario.yaml")
    course.turn("crash-and-outage", unpaced=True)
    course.complete("Replay", "crash-and-outage")
    played = course.played("crash-and-outage")
    found = {(each.value["symbol"], each.value["ts"]): each.value["close"] for each in played}
    sample = by_hand.coinbase(EXAMPLES / "data" / "coinbase-minute")
    for symbol in ("BTC/USD", "ETH/USD"):
        times = [crash_day(time) for time in ("11:59", "12:04", "17:59")]
        changed = [found[symbol, ts] / sample[symbol, ts][3] for ts in times]
        assert changed[:2] == pytest.approx([1, 0.75], abs=0.02)  # by a quarter within five minutes
        assert 0.8 < changed[2] < 0.95  # recovered in part
        missing = {ts for name, ts in sample if name == symbol} - {ts for name, ts in found if name == symbol}
        assert missing == set(range(crash_day("18:00"), crash_day("18:20"), MINUTE))
        order = [each.value["ts"] for each in played if each.value["symbol"] == symbol]
        assert order != sorted(order)
        assert len(order) > len(set(order))


def test_single_trades_are_played_at_twice_their_speed(course: Course) -> None:
    course.apply("more/replay-trades.yaml")
    status = course.complete("Replay", "trades")
    played = course.played("trades")
    assert [each.value["id"] for each in played] == [str(number) for number in range(1, 21)]
    assert status["anchor"]["speed"] == 2
    assert_in_time(status["anchor"], played[-1], played[-1].value["ts"])


def test_transforms_compute_six_series(course: Course) -> None:
    course.apply("more/transforms.yaml")
    course.complete("Replay", "transforms")
    counts = {"sma5": 2_876, "above": 2_876, "true_range": 2_879, "hourly": 48}

    def all_six() -> bool:
        found = dict(course.rows("SELECT series, count(*) FROM points GROUP BY 1"))
        return counts.items() <= found.items() and found.keys() == {*counts, "rising", "slow"}

    eventually(all_six)


def test_a_strategy_in_a_config_map_trades_the_sample(course: Course) -> None:
    course.apply("more/own-strategy.yaml")
    assert course.complete("Backtest", "pullback")["trades"] == 18


def test_a_sweep_has_24_trials_and_describe_the_five_best(course: Course) -> None:
    course.apply("more/sweep.yaml")
    status = course.complete("Backtest", "sma-sweep")
    assert status["progress"] == "24/24"
    assert status["best"][0]["params"] == {"fast": 20, "slow": 60}
    assert status["best"][0]["objective"] < CASH  # all lose
    described = describe(course.objects, course.objects.get("Backtest", "default", "sma-sweep"))
    assert len(re.findall(r"\bfast: \d", described)) == len(re.findall(r"\bslow: \d", described)) == 5


def test_a_walk_forward_searches_two_recorded_markets(course: Course) -> None:
    course.apply("more/walk-forward-market.yaml")
    for name, bars in (("east", 1_440), ("west", 1_413)):
        course.complete("Replay", name)
        _wait_for_bars(course, f"replay.{name}", bars)
    course.apply("more/walk-forward.yaml")
    for name in ("walk-east", "walk-west"):
        status = course.complete("Backtest", name)
        assert status["windows"] == 4
        windows = _windows(course, status["runId"], trials=4 * 7)
        assert [inside > 5 for inside, *_ in windows] == [False, True, True, False]
        assert [outside < 0 for _, outside, _ in windows] == [False, True, True, False]
        assert all(abs(outside) > 1 for _, outside, _ in windows)


def _wait_for_bars(course: Course, exchange: str, bars: int) -> None:
    eventually(lambda: {symbol: of.rows for symbol, of in course.series(exchange).items()} == {"BTC/USD": bars})


def _windows(course: Course, run: str, trials: int) -> list[tuple[Any, ...]]:
    """The windows of a walk-forward, once the store has all of its trials."""

    def whole() -> list[tuple[Any, ...]] | None:
        found = course.rows(WINDOWS, run)
        return found if sum(row[2] for row in found) == trials else None

    return eventually(whole)


def test_the_sample_is_played_in_24_seconds_and_traded(course: Course) -> None:
    """The last of all: it plays since the first."""
    status = course.complete("Replay", "coinbase-sample")
    assert status["published"] == 13_886
    assert status["anchor"]["speed"] == 10_800  # three hours a second
    last = course.played("coinbase-sample")[-1]
    assert_in_time(status["anchor"], last, last.value["ts"] + MINUTE)
    run = course.complete("Backtest", "sma-cross")
    assert run["trades"] == 84
    assert run["value"] < CASH
