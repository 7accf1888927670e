"""Waiting until one of the deck's own workloads answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp

from tapedeck_crds.json import Json
from tapedeck_deck.embedded.deadline import Deadline
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.processes import STALL_SECONDS, START_LIMIT_SECONDS, Activity, tail

ATTEMPTS = 3  # failed pods of a workload
REQUEST_SECONDS = 10.0
POLL_SECONDS = 0.05


async def wait_until_answering(
    workload: str, pods: Callable[[], list[Json]], *, stall: float = STALL_SECONDS, limit: float = START_LIMIT_SECONDS
) -> None:
    """Wait until a pod of the workload answers, as long as one lives and makes progress.

    ``pods`` returns the workload's pods; those that started before the call do not count as failed ones. Raises
    DeckError after ``ATTEMPTS`` failed pods, ``stall`` seconds without progress or ``limit`` seconds in all; both are
    seconds of an idle machine.
    """
    began = time.time()
    stalled, over = Deadline(stall), Deadline(limit)
    activity: dict[int, Activity] = {}
    failures: dict[str, Json] = {}
    async with aiohttp.ClientSession(trust_env=False) as session:
        while True:
            found = pods()
            for pod in found:
                if await _answers(session, pod):
                    return
            failures |= {pod["metadata"]["uid"]: pod for pod in found if _failed_since(pod, began)}
            if len(failures) >= ATTEMPTS:
                raise DeckError(f"the {workload} failed {len(failures)} times while starting: {_message(failures)}")
            if _any_advanced(found, activity, stall):
                stalled.restart()
            if stalled.passed():
                raise DeckError(f"the {workload} made no progress for {stall:.0f} s:\n{_logs(found)}")
            if over.passed():
                raise DeckError(f"the {workload} was not ready after {limit:.0f} s:\n{_logs(found)}")
            await asyncio.sleep(POLL_SECONDS)


async def _answers(session: aiohttp.ClientSession, pod: Json) -> bool:
    url = pod.get("status", {}).get("url")
    if url is None:
        return False
    with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
        async with session.get(f"{url}/status", timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS)) as answer:
            return answer.status == 200
    return False


def _failed_since(pod: Json, began: float) -> bool:
    status = pod.get("status", {})
    return status.get("phase") == "Failed" and bool(status.get("startedAt", status["finishedAt"]) >= began)


def _any_advanced(pods: list[Json], activity: dict[int, Activity], window: float) -> bool:
    """Whether a running pod is new or has worked since the last call."""
    advanced = False
    for status in (pod.get("status", {}) for pod in pods):
        if status.get("phase") == "Running":
            pid = status["pid"]
            advanced |= pid not in activity or activity[pid].advanced()
            activity.setdefault(pid, Activity(pid, Path(status["log"]), window=window))
    return advanced


def _message(failures: dict[str, Json]) -> str:
    status = list(failures.values())[-1]["status"]
    message = reported_message(status.get("terminationMessage", ""))
    return (
        message or status.get("problem") or f"exit code {status.get('exitCode')}:\n{tail(Path(status.get('log', '')))}"
    )


def reported_message(termination_message: str) -> str:
    """The message of the report that a program left; empty where it left none."""
    try:
        return str(json.loads(termination_message)["message"])
    except (ValueError, KeyError, TypeError):
        return ""


def _logs(pods: list[Json]) -> str:
    logs = [Path(pod["status"]["log"]) for pod in pods if pod.get("status", {}).get("phase") == "Running"]
    return "\n".join(f"{log}:\n{tail(log)}" for log in logs) or "no pod of it runs"
