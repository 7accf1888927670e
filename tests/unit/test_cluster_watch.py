"""The operator's watches: kopf's settings and login, detection of silent watches, and the status patches."""

from __future__ import annotations

import asyncio
import dataclasses

import aiohttp
import kopf
import pytest

from tapedeck_crds.json import Json
from tapedeck_deck.embedded.admission import merge_patch
from tapedeck_operator.cluster.api_server import merge_diff
from tapedeck_operator.cluster.login import KopfSession
from tapedeck_operator.cluster.watch import WATCHED, kopf_settings, registry
from tapedeck_operator.cluster.watch_liveness import WatchLiveness
from tapedeck_operator.cluster.watch_probe import TIMEOUT_PERIODS, WatchProbe


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def _test_fields(given: object, expected: object) -> None:
    """kopf accepts a misspelt setting silently, so each must be a field of its dataclass."""
    names = {field.name for field in dataclasses.fields(expected)}  # type: ignore[arg-type]
    assert set(vars(given)) <= names, set(vars(given)) - names


def test_every_kopf_setting_exists() -> None:
    given, expected = kopf_settings(20), kopf.OperatorSettings()
    _test_fields(given, expected)
    for group in dataclasses.fields(expected):
        _test_fields(getattr(given, group.name), getattr(expected, group.name))
    assert not given.posting.enabled
    assert given.watching.label_selectors["", "pods"] == "tapedeck.dev/uid"


def test_kopf_only_watches() -> None:
    handlers = registry(lambda *_: None, WatchLiveness(20))
    assert len(handlers._watching.get_all_handlers()) == len(WATCHED)
    assert not handlers._changing.get_all_handlers()
    assert not handlers._spawning.get_all_handlers()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({}, {"a": 1}),
        ({"a": 1, "b": {"c": 1, "d": 2}}, {"b": {"c": 1, "e": [1]}}),
        ({"l": [1, 2]}, {"l": [2]}),
        ({"a": {"x": 1}}, {"a": 3}),
        ({"a": 1}, {"a": 1}),
    ],
)
def test_merge_diff_is_the_patch_between_two_documents(old: Json, new: Json) -> None:
    patch = merge_diff(old, new)
    assert merge_patch(old, patch) == new
    assert (patch == {}) == (old == new)


def test_the_probe_detects_a_silent_watch_but_not_an_outage() -> None:
    clock = Clock()
    probe = WatchProbe("n", "me", 10.0, clock)

    def healthy() -> bool:
        return probe.healthy

    clock.now += 1000
    assert healthy()  # no renewal was accepted, so none can be observed
    probe.renewed(1)
    clock.now += TIMEOUT_PERIODS * 10 - 1
    assert healthy()
    clock.now += 1
    assert not healthy()
    probe.observe({"spec": {"holderIdentity": "another", "leaseTransitions": 1}})
    assert not healthy()
    probe.observe({"spec": {"holderIdentity": "me", "leaseTransitions": 1}})
    assert healthy()
    probe.observe({"spec": {"holderIdentity": "me", "leaseTransitions": 2}})
    probe.renewed(2)  # the watch was faster
    clock.now += 1000
    assert healthy()


def at(clock: Clock, liveness: WatchLiveness, *seconds: float) -> None:
    """Request and open a watch of pods at each of these times."""
    for second in seconds:
        clock.now = 100 + second
        liveness.requested("Pod")
        liveness.opened("Pod")


def kinds(clock: Clock, liveness: WatchLiveness, second: float) -> list[str]:
    clock.now = 100 + second
    return liveness.silent_kinds()


def test_a_kind_is_silent_if_two_watches_in_a_row_do_not_end() -> None:
    clock = Clock()
    liveness = WatchLiveness(20, clock)
    assert kinds(clock, liveness, 0) == []
    at(clock, liveness, 0, 30)
    assert kinds(clock, liveness, 54.9) == []
    assert kinds(clock, liveness, 55) == ["Pod"]
    liveness.received("Pod")
    assert kinds(clock, liveness, 109.9) == []


def test_a_cut_watch_is_harmless_if_its_successor_ends() -> None:
    clock = Clock()
    liveness = WatchLiveness(20, clock)
    at(clock, liveness, 0, 30, 50)
    assert kinds(clock, liveness, 104.9) == []
    assert kinds(clock, liveness, 105) == ["Pod"]  # no further watch is requested


def test_a_watch_that_delivers_events_may_end_late() -> None:
    clock = Clock()
    liveness = WatchLiveness(20, clock)
    for second in range(0, 600, 60):
        at(clock, liveness, second, second + 30)
        liveness.received("Pod")
        assert kinds(clock, liveness, second + 59) == []


def test_an_outage_is_not_silence() -> None:
    clock = Clock()
    liveness = WatchLiveness(20, clock)
    at(clock, liveness, 0)
    for second in range(20, 620, 35):  # no answer within the time of a watch, and a wait before the next attempt
        clock.now = 100 + second
        liveness.requested("Pod")
    assert kinds(clock, liveness, 620) == []


def test_sessions_are_equal_if_their_credentials_are() -> None:
    async def scene() -> None:
        async with aiohttp.ClientSession() as one, aiohttp.ClientSession() as other:

            def session(http: aiohttp.ClientSession, token: str) -> KopfSession:
                info = kopf.ConnectionInfo(server="https://api", token=token)
                return KopfSession(server=info.server, aiohttp_session=http, credentials=info)

            assert session(one, "old") == session(other, "old")
            assert session(one, "old") != session(one, "new")

    asyncio.run(scene())
