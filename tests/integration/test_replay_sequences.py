"""A replay's pod on a real broker compared with a model, under random controls and kills."""

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

from by_hand.replay_controls import change_model, spec_patch
from by_hand.replay_model import ReplayModel
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
EXTRA_LEAD_MS = (300, 1_500, 6_000)  # by attempt: the pod must receive an anchor before its w0, on a busy machine too
MARGIN_MS = 60


class AnchorLate(Exception):
    """An anchor reached the pod after its w0: the model does not cover that."""


class Driver:
    """A planner with one pod, and two models: the minimum and the maximum that the pod may publish.

    They differ by the records released just before a seek, which may be published or discarded.
    """

    def __init__(self, pod: ReplayProcess, events: list[int], extra_lead: int) -> None:
        self.pod, self.spec, self.extra_lead = pod, dict(pod.spec), extra_lead
        self.anchor: Anchor | None = None
        self.report = ReplayReport.model_validate(pod.start_until(lambda r: r["state"] == "waiting"))
        assert (self.report.range_from, self.report.last_event) == (T0, END)
        now = int(time.time() * 1000)
        self.minimum = ReplayModel(events, T0, END, MINUTE, now)
        self.maximum = ReplayModel(events, T0, END, MINUTE, now, prompt=True)

    def control(self, what: str, value: int | None) -> None:
        self.spec = {k: v for k, v in (self.spec | spec_patch(what, value)).items() if v is not None}
        seen = ReplayShards(1, (self.report,), ())
        now = int(time.time() * 1000) + self.extra_lead
        before = self.anchor
        self.anchor = next_anchor(ReplaySpec.model_validate(self.spec), before, seen, now, None)
        if self.anchor is None or self.anchor == before:  # the control changes nothing
            return
        for model in (self.minimum, self.maximum):
            change_model(model, now + LEAD_MS, what, value)
        self._push()
        if time.time() * 1000 > self.anchor.w0 - MARGIN_MS:
            raise AnchorLate

    def caught_up(self) -> None:
        """Wait until the pod reports that it has committed everything released by now."""
        now = int(time.time() * 1000)
        for model in (self.minimum, self.maximum):
            model.advance(now)
            model.publish()
        target = (self.minimum.seeks, self.minimum.round), bisect_right(self.minimum.events, self.minimum.v)

        def reached(report: dict[str, Any]) -> bool:
            seeks, rounds = map(int, report["epoch"].split("."))
            return ((seeks, rounds), report["passed"]) >= target

        self.pod.until(reached)

    def kill(self, after_ms: int) -> None:
        """Kill the pod once the newest anchor is in force: a successor gets only that one."""
        assert self.anchor is not None
        number = self.anchor.number
        self.pod.until(lambda r: r["anchor"] is not None and r["anchor"]["number"] == number)
        time.sleep(after_ms / 1000)
        self.pod.kill()
        self.pod.start_until(lambda r: r["state"] != "starting")
        self._push()

    def _push(self) -> None:
        assert self.anchor is not None
        assert self.pod.control(**self.anchor.model_dump(by_alias=True)).status_code == 202


def sequence(seed: int) -> list[tuple[str, int | None]]:
    """Random controls, waits and kills in order; ends with a pause."""
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


def run(pod: ReplayProcess, steps: list[tuple[str, int | None]], events: list[int], extra_lead: int) -> Driver:
    """Carry out a sequence; virtual time stands still afterwards."""
    driver = Driver(pod, events, extra_lead)
    for what, value in steps:
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
    """Each pass on the topic lies between the minimum and the maximum."""
    records = committed(broker, driver.pod.topic)
    passes = {record.epoch for record in records if record.kind == "bar"}
    expected = {f"{seeks}.{rounds}" for (seeks, rounds), events in driver.minimum.published.items() if events}
    assert expected <= passes
    for epoch in passes:
        seeks, rounds = map(int, epoch.split("."))
        minimum, maximum = (model.published.get((seeks, rounds), []) for model in (driver.minimum, driver.maximum))
        played = bars(records, epoch)
        events = [bar[0] + MINUTE for bar in played]
        assert minimum == events[: len(minimum)], (epoch, "lost")
        assert events == maximum[: len(events)], (epoch, "too many")
        assert played == [bar for bar in every if played[0] <= bar <= played[-1]]
    controls = [record.epoch for record in records if record.kind == "epoch"]
    assert controls == sorted(set(controls))


@pytest.mark.slow
@pytest.mark.faults
def test_publishes_what_the_model_publishes(tmp_path: Path, store: str, connections: Connections) -> None:
    insert_some(store)
    every = stored(store, "x")
    events = [bar[0] + MINUTE for bar in every]

    def play(seed: int) -> None:
        steps = sequence(seed)
        for extra_lead in EXTRA_LEAD_MS:
            pod = ReplayProcess(tmp_path, connections, SPEC)
            try:
                driver = run(pod, steps, events, extra_lead)
                break
            except AnchorLate:
                assert extra_lead != EXTRA_LEAD_MS[-1], f"{steps}: an anchor was late in every attempt"
            finally:
                with suppress(ProcessLookupError):
                    pod.kill()
        try:
            check(driver, every, connections.kafka_bootstrap)
        except AssertionError as error:
            raise AssertionError(f"sequence {seed}: {steps}: {error}") from error

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for outcome in [pool.submit(play, seed) for seed in range(SEQUENCES)]:
            outcome.result()


def insert_some(dsn: str) -> None:
    """Two symbols with different gaps, but both with the first and the last minute."""
    rng = random.Random(5)
    with psycopg.connect(dsn) as connection:
        for minute in range(MINUTES):
            for symbol in SYMBOLS:
                if minute in (0, MINUTES - 1) or rng.random() < 0.6:
                    connection.execute(
                        "INSERT INTO bars VALUES ('x', %s, '1m', to_timestamp(%s), %s, %s, %s, %s, 1, 0, 'backfill')",
                        (symbol, T0 // 1000 + minute * 60, p := 100 + minute, p + 2, p - 2, p + 1),
                    )
