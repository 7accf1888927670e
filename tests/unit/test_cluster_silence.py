"""Which watches have fallen silent, and the login that tells when one is begun."""

from __future__ import annotations

import asyncio

import aiohttp
import kopf

from tapedeck_operator.cluster.login import Session
from tapedeck_operator.cluster.silence import Silence


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def at(clock: Clock, silence: Silence, *seconds: float) -> None:
    """Watches of pods are asked for, and begin, at these times."""
    for second in seconds:
        clock.now = 100 + second
        silence.asked("Pod")
        silence.opened("Pod")


def kinds(clock: Clock, silence: Silence, second: float) -> list[str]:
    clock.now = 100 + second
    return silence.kinds()


def test_a_kind_is_silent_where_watch_after_watch_does_not_end() -> None:
    clock = Clock()
    silence = Silence(20, clock)
    assert kinds(clock, silence, 0) == []
    at(clock, silence, 0, 30)
    assert kinds(clock, silence, 54.9) == []
    assert kinds(clock, silence, 55) == ["Pod"]
    silence.heard("Pod")
    assert kinds(clock, silence, 109.9) == []


def test_one_that_is_cut_does_no_harm_where_the_next_one_ends() -> None:
    clock = Clock()
    silence = Silence(20, clock)
    at(clock, silence, 0, 30, 50)
    assert kinds(clock, silence, 104.9) == []
    assert kinds(clock, silence, 105) == ["Pod"]  # and then none is asked for


def test_what_brings_much_may_end_late() -> None:
    clock = Clock()
    silence = Silence(20, clock)
    for second in range(0, 600, 60):
        at(clock, silence, second, second + 30)
        silence.heard("Pod")
        assert kinds(clock, silence, second + 59) == []


def test_an_outage_is_not_silence() -> None:
    clock = Clock()
    silence = Silence(20, clock)
    at(clock, silence, 0)
    for second in range(20, 620, 35):  # no answer within the time of a watch, and a wait before the next attempt
        clock.now = 100 + second
        silence.asked("Pod")
    assert kinds(clock, silence, 620) == []


def test_credentials_that_were_refused_are_known_again() -> None:
    async def scene() -> None:
        async with aiohttp.ClientSession() as one, aiohttp.ClientSession() as other:

            def session(http: aiohttp.ClientSession, token: str) -> Session:
                info = kopf.ConnectionInfo(server="https://api", token=token)
                return Session(server=info.server, aiohttp_session=http, credentials=info)

            assert session(one, "old") == session(other, "old")
            assert session(one, "old") != session(one, "new")

    asyncio.run(scene())
