"""A replay's pod on a real broker against a model: published = model, whatever the controls and whoever is killed."""

from __future__ import annotations

import os
import random
import time
from bisect import bisect_right
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from by_hand.controls import change_of, tell
from by_hand.deck import Model
from pods.replay import MINUTE, T0, ReplayProcess, bars, committed, stored
from tapedeck_common.settings import Connections
from tapedeck_crds.clock import Anchor
from tapedeck_crds.kinds import ReplaySpec
from tapedeck_crds.report import ReplayReport
from tapedeck_operator.plan.controls import LEAD_MS, next_anchor
from tapedeck_operator.plan.replay_shards import ReplayShards

SEQUENCES = max(20, int(os.environ.get("TAPEDECK_FAULTS", "3")))
AT_ONCE = 5
MINUTES = 60
END = T0 + MINUTES * MINUTE
SYMBOLS = ["BTC/USD", "ETH/USD"]
SPEC: dict[str, Any] = {"source": {"store": {"exchange": "x", "symbols": SYMBOLS}}, "atEnd": "hold"}
# The pod has to hold an anchor before its time comes, on a busy machine too.
MORE_LEAD_MS, SPARE_MS = 300, 60


class Late(Exception):
    """An anchor reached the pod so late that what it then does is not the model's matter."""


class Driver:
    """A planner with one pod, and what they have to publish: at least, and at most.

    The two differ by what was due at a seek and may be published before it or never.
    """

    def __init__(self, pod: ReplayProcess, events: list[int]) -> None:
        self.pod, self.spec = pod, dict(pod.spec)
        self.anchor: Anchor | None = None
        pod.start()
        self.report = ReplayReport.model_validate(pod.until(lambda r: r["state"] == "waiting"))
        assert (self.report.range_from, self.report.last_event) == (T0, END)
        now = int(time.time() * 1000)
        self.least = Model(events, T0, END, MINUTE, now)
        self.most = Model(events, T0, END, MINUTE, now, prompt=True)

    def control(self, what: str, value: int | None) -> None:
        self.spec = {k: v for k, v in (self.spec | change_of(what, value)).items() if v is not None}
        seen = ReplayShards(1, (self.report,), ())
        now = int(time.time() * 1000) + MORE_LEAD_MS
        before = self.anchor
        self.anchor = next_anchor(ReplaySpec.model_validate(self.spec), before, seen, now, None)
        if self.anchor is None or self.anchor == before:  # it asks for what there is already
            return
        for model in (self.least, self.most):
            tell(model, now + LEAD_MS, what, value)
        self._push()
        if time.time() * 1000 > self.anchor.w0 - SPARE_MS:
            raise Late

    def caught_up(self) -> None:
        """Wait until the pod says that it has committed what is due now."""
        now = int(time.time() * 1000)
        for model in (self.least, self.most):
            model.run(now)
            model.look()
        due = (self.least.jumps, self.least.round), bisect_right(self.least.events, self.least.v)

        def there(report: dict[str, Any]) -> bool:
            jumps, rounds = map(int, report["epoch"].split("."))
            return ((jumps, rounds), report["passed"]) >= due

        self.pod.until(there)

    def kill(self, after_ms: int) -> None:
        """Once the newest anchor holds: a successor is told of that one alone."""
        assert self.anchor is not None
        number = self.anchor.number
        self.pod.until(lambda r: r["anchor"] is not None and r["anchor"]["number"] == number)
        time.sleep(after_ms / 1000)
        self.pod.kill()
        self.pod.start()
        self.pod.until(lambda r: r["state"] != "starting")
        self._push()

    def _push(self) -> None:
        assert self.anchor is not None
        assert self.pod.control(**self.anchor.model_dump(by_alias=True)).status_code == 202


def sequence(seed: int) -> list[tuple[str, int | None]]:
    """What is done to the deck, one after the other; ends with a pause."""
    rng = random.Random(seed)
    kinds = ["wait", "speed", "pause", "seek", "step", "loop", "until", "kill"]

    def one(kind: str) -> tuple[str, int | None]:
        ways: dict[str, Callable[[], int | None]] = {
            "wait": lambda: rng.randint(100, 700),
            "kill": lambda: rng.randint(0, 100),
            "speed": lambda: rng.randint(200, 6_000),
            "seek": lambda: rng.randint(T0 - 5 * MINUTE, END + 5 * MINUTE),
            "step": lambda: rng.randint(1, MINUTES),
            "loop": lambda: rng.randint(0, 4),
            "until": lambda: rng.choice([None, rng.randint(T0, END)]),
        }
        value = ways.get(kind)
        return kind, value() if value else None

    some = [one(rng.choice(kinds)) for _ in range(rng.randint(4, 8))]
    return [("speed", rng.randint(500, 5_000)), ("wait", 500), *some, ("pause", None), ("wait", 0)]


def run(pod: ReplayProcess, todo: list[tuple[str, int | None]], events: list[int]) -> Driver:
    """Do it all; the deck stands still afterwards."""
    driver = Driver(pod, events)
    for what, value in todo:
        if what == "wait":
            time.sleep((value or 0) / 1000)
            driver.caught_up()
        elif what == "kill":
            driver.kill(value or 0)
        else:
            driver.control(what, value)
    assert driver.anchor is not None
    time.sleep(max(0.0, driver.anchor.w0 / 1000 + 0.01 - time.time()))
    driver.caught_up()
    return driver


def check(driver: Driver, every: list[tuple[Any, ...]], broker: str) -> None:
    """What is on the topic, pass by pass, lies between the least and the most."""
    records = committed(broker, driver.pod.topic)
    passes = {record.epoch for record in records if record.kind == "bar"}
    wanted = {f"{jumps}.{rounds}" for (jumps, rounds), due in driver.least.published.items() if due}
    assert wanted <= passes
    for epoch in passes:
        jumps, rounds = map(int, epoch.split("."))
        least, most = (model.published.get((jumps, rounds), []) for model in (driver.least, driver.most))
        played = bars(records, epoch)
        due = [bar[0] + MINUTE for bar in played]
        assert least == due[: len(least)], (epoch, "lost")
        assert due == most[: len(due)], (epoch, "too many")
        assert played == [bar for bar in every if played[0] <= bar <= played[-1]]
    controls = [record.epoch for record in records if record.kind == "epoch"]
    assert controls == sorted(set(controls))


@pytest.mark.slow
@pytest.mark.faults
def test_published_is_what_the_model_says(tmp_path: Path, store: str, connections: Connections) -> None:
    insert_some(store)
    every = stored(store, "x")
    events = [bar[0] + MINUTE for bar in every]

    def play(seed: int) -> None:
        todo = sequence(seed)
        for attempt in range(3):
            pod = ReplayProcess(tmp_path, connections, SPEC)
            try:
                driver = run(pod, todo, events)
                break
            except Late:
                assert attempt < 2, f"{todo}: no anchor is there in time"
            finally:
                with suppress(ProcessLookupError):
                    pod.kill()
        try:
            check(driver, every, connections.kafka_bootstrap)
        except AssertionError as error:
            raise AssertionError(f"sequence {seed}: {todo}") from error

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for outcome in [pool.submit(play, seed) for seed in range(SEQUENCES)]:
            outcome.result()


def insert_some(dsn: str) -> None:
    """Two symbols with holes of their own, the first and the last minute always there."""
    rng = random.Random(5)
    with psycopg.connect(dsn) as connection:
        for minute in range(MINUTES):
            for symbol in SYMBOLS:
                if minute in (0, MINUTES - 1) or rng.random() < 0.6:
                    connection.execute(
                        "INSERT INTO bars VALUES ('x', %s, '1m', to_timestamp(%s), %s, %s, %s, %s, 1, 0, 'backfill')",
                        (symbol, T0 // 1000 + minute * 60, p := 100 + minute, p + 2, p - 2, p + 1),
                    )
