"""What waits is told, and does not look again and again whether it has to do something."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, cast

import pytest
import uvicorn

from tapedeck_common import quiet_server
from tapedeck_common.quiet_server import QuietServer
from tapedeck_deck.embedded.broker import KafkaBroker
from tapedeck_deck.embedded.postgres import Postgres
from tapedeck_deck.embedded.problems import Problems
from tapedeck_deck.embedded.process_ends import ProcessEnds
from tapedeck_deck.embedded.supervisor import Supervisor
from tapedeck_gateway.push.channel_opening import ChannelSources
from tapedeck_gateway.push.channel_table import ChannelTable

LONG = 600.0  # nothing that a test waits for comes so late


def sleeping() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])


def has_pidfd() -> bool:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True


NEEDS_PIDFD = pytest.mark.skipif(not has_pidfd(), reason="the kernel has no pidfd, which tells the end of a child")


async def nothing(_scope: Any, _receive: Any, _send: Any) -> None:
    """An application without routes."""


def test_a_server_ends_when_it_is_told_to_and_not_when_it_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet_server, "TICK_SECONDS", LONG)
    server = QuietServer(uvicorn.Config(nothing, port=0, lifespan="off", log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    server.should_exit = True
    thread.join(timeout=60)
    assert not thread.is_alive()


@NEEDS_PIDFD
def test_the_end_of_any_child_is_told_until_it_is_forgotten() -> None:
    async def scene() -> None:
        ended = asyncio.Event()
        ends = ProcessEnds(ended.set)
        one, other = sleeping(), sleeping()
        try:
            for process in (one, other):
                ends.watch(process)
            ends.forget(other)
            other.kill()
            other.wait()
            for _ in range(3):
                await asyncio.sleep(0)  # the loop looks at its descriptors
            assert not ended.is_set()
            one.kill()
            async with asyncio.timeout(60):
                await ended.wait()
            ends.forget(one)
        finally:
            for process in (one, other):
                process.kill()
                process.wait()

    asyncio.run(scene())


@NEEDS_PIDFD
@pytest.mark.parametrize("which", ["broker", "database"])
def test_the_end_of_broker_or_database_ends_the_wait_for_it(tmp_path: Path, which: str) -> None:
    broker, postgres = KafkaBroker(tmp_path / "kafka", 0), Postgres(tmp_path / "postgres")
    broker.process, postgres.process = sleeping(), sleeping()
    supervisor = Supervisor(broker, postgres, Problems(tmp_path / "problems", lambda _: None))
    ending = broker.process if which == "broker" else postgres.process

    async def scene() -> None:
        waiting = asyncio.create_task(supervisor.wait(LONG))
        await asyncio.sleep(0)
        assert not waiting.done()
        ending.kill()
        async with asyncio.timeout(60):
            await waiting

    try:
        asyncio.run(scene())
    finally:
        for process in (broker.process, postgres.process):
            process.kill()
            process.wait()


def test_channels_are_polled_only_while_there_are_some(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        slept.append(seconds)
        await sleep(seconds)

    async def scene() -> None:
        monkeypatch.setattr("tapedeck_gateway.push.channel_table.asyncio.sleep", noted)
        table = ChannelTable(cast("ChannelSources", None))
        for _ in range(10):
            await sleep(0)
        await table.close()

    asyncio.run(scene())
    assert slept == []
