"""The log of a pod begins again before it fills the disk."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from pathlib import Path

import pytest

from tapedeck_deck.embedded import pod_logs
from tapedeck_deck.embedded.kubelet import Kubelet
from tapedeck_deck.embedded.objects import Objects
from tapedeck_deck.embedded.pod_logs import bound_log
from tapedeck_deck.embedded.problems import Problems
from tapedeck_deck.embedded.state_dir import StateDir
from tapedeck_deck.embedded.store_watch import StoreWatch

LIMIT = 1_000


@pytest.fixture(autouse=True)
def small_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod_logs, "LOG_BYTES", LIMIT)


def test_a_log_and_what_was_before_it_are_bounded(tmp_path: Path) -> None:
    log, previous = tmp_path / "a.log", tmp_path / "a.log.previous"
    bound_log(log)  # there is none yet
    opened = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in range(500):
        os.write(opened, f"line {number}\n".encode())
        bound_log(log)
        assert log.stat().st_size <= LIMIT
    os.close(opened)
    assert log.read_text().endswith("line 499\n")
    lines = (previous.read_text() + log.read_text()).split("\n")[:-1]
    assert lines == [f"line {number}" for number in range(500 - len(lines), 500)]  # nothing between the two is lost
    assert stat.S_IMODE(previous.stat().st_mode) == 0o600


def test_a_log_begins_again_also_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    log = tmp_path / "a.log"
    log.write_bytes(b"x" * (LIMIT + 1))
    bound_log(log)
    assert (log.stat().st_size, [each.name for each in tmp_path.iterdir()]) == (0, ["a.log"])


@pytest.mark.slow
def test_the_kubelet_looks_after_the_logs_of_its_pods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod_logs, "LOG_BYTES", 10)
    home = StateDir(tmp_path / "home")
    home.prepare()
    objects = Objects(home.objects)
    kubelet = Kubelet(home, objects, Problems(home.problems_file, objects.add_event))
    watch = StoreWatch(objects)
    watch.subscribe(kubelet.handle)
    container = {"name": "it", "image": "http.server", "args": ["0", "--bind", "127.0.0.1"]}
    spec = {"restartPolicy": "Never", "containers": [container]}
    objects.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "chatty"}, "spec": spec})

    async def until_kept() -> None:
        tasks = [asyncio.create_task(watch.run()), asyncio.create_task(kubelet.run())]
        previous = home.logs / "chatty.log.previous"
        async with asyncio.timeout(60):
            while not (previous.exists() and "Serving HTTP" in previous.read_text()):  # noqa: ASYNC110 (nothing signals it)
                await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    try:
        asyncio.run(until_kept())
    finally:
        kubelet.stop_all(timeout=5)
        objects.close()
