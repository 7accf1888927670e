"""Runs Pod objects as processes, and writes their state into the objects' status."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from pathlib import Path

from tapedeck_crds.json import Json
from tapedeck_deck.embedded import forkserver
from tapedeck_deck.embedded.disk_space import full_disk
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.objects import Change, Objects
from tapedeck_deck.embedded.pod_logs import bound_log
from tapedeck_deck.embedded.pods import PodProcess, start_pod
from tapedeck_deck.embedded.problems import RETRY_FIRST, RETRY_MAX, Problems, of_the_machine
from tapedeck_deck.embedded.process_ends import ProcessEnds
from tapedeck_deck.embedded.recent_oom_kills import RecentOomKills
from tapedeck_deck.embedded.state_dir import StateDir
from tapedeck_operator.plan.reasons import OOM_KILLED
from tapedeck_operator.reconcile.errors import ObjectNotFound

TICK_SECONDS = 0.05
ATTEND_SECONDS = 1.0  # where nothing is under way: the end of a process is told. RecentOomKills wants twice its pace
STARTS_PER_TICK = 2  # more at once only delay one another
EXIT_SIGKILL, EXIT_CANNOT_RUN = 137, 128
PENDING = "Pending"  # as long as a Secret or ConfigMap of the pod does not exist
START, STATUS, MEMORY = "start of pods", "state of pods", "memory"  # what a problem can be with
OOM_SHOWN_SECONDS = 60.0


class Kubelet:
    """The pods of one deck. Their processes end with the process that runs this."""

    def __init__(self, state_dir: StateDir, objects: Objects, problems: Problems) -> None:
        self._state_dir = state_dir
        self._objects = objects
        self._problems = problems
        self._pending: dict[str, Json] = {}
        self._incomplete: dict[str, _Retry] = {}  # of pending pods whose Secret or ConfigMap does not exist
        self._running: dict[str, PodProcess] = {}
        self._documents: dict[str, Json] = {}  # of the running pods, as this kubelet last wrote them
        self._unwritten: dict[str, Json] = {}  # pods whose status is newer than the stored one
        self._stopping: set[str] = set()
        self._starts, self._writes = _Retry(), _Retry()
        self._oom_kills, self._oom_killed_at = RecentOomKills(), 0.0
        self._wake = asyncio.Event()
        self._ends = ProcessEnds(self._wake.set)

    def handle(self, change: Change) -> None:
        """A change of any object."""
        pod = change.document
        if pod["kind"] != "Pod":
            return
        uid, phase = pod["metadata"]["uid"], pod.get("status", {}).get("phase")
        if change.deleted:
            self._pending.pop(uid, None)
            self._incomplete.pop(uid, None)
            if uid in self._running:
                self._stopping.add(uid)
        elif uid in self._running or uid in self._unwritten:
            return  # its stored status is older than the one to write
        elif phase in (None, PENDING):
            self._pending[uid] = pod
        elif phase == "Running":
            self._write_end(pod, EXIT_SIGKILL, problem="its deck ended while it ran")
        self._wake.set()

    async def run(self) -> None:
        """Start, watch and stop processes until cancelled."""
        while True:
            self._wake.clear()
            self._start_pending()
            for uid in list(self._running):
                self._attend(uid)
            self._write_statuses()
            self._watch_memory()
            wait = TICK_SECONDS if self._under_way() else ATTEND_SECONDS if self._running else None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()

    def stop_all(self, timeout: float) -> None:
        """Stop every pod; returns when all have ended, or kills those that have not within ``timeout`` seconds.

        Their objects are deleted: a stopped pod has not failed, and must not count against its Job.
        """
        started = {uid: pod["metadata"] for uid, pod in self._documents.items()}
        deadline = time.monotonic() + timeout
        self._stopping |= self._running.keys()
        while self._running and time.monotonic() < deadline:
            for uid in list(self._running):
                self._attend(uid)
            time.sleep(0.02)
        for pod in self._running.values():
            pod.kill()
        self._running.clear()
        try:
            for uid, metadata in started.items():
                self._objects.delete("Pod", metadata["namespace"], metadata["name"], uid=uid)
        except DeckError as error:  # they count as ended with the deck when it starts again
            self._problems.report(STATUS, error)

    def _under_way(self) -> bool:
        """Whether something is to be looked at of which no notice comes: a port that opens, a time that passes."""
        starts = any("url" not in pod["status"] for pod in self._documents.values())
        return starts or bool(self._pending or self._unwritten or self._stopping & set(self._running))

    def _start_pending(self) -> None:
        """Start some of the pods that wait. Where the machine lacks something, all wait, and none counts as failed."""
        if not self._pending or not self._starts.due():
            return
        if (full := full_disk(self._state_dir.root)) is not None:
            self._problems.report(START, full)
            self._starts.failed()
            return
        due = [uid for uid in self._pending if uid not in self._incomplete or self._incomplete[uid].due()]
        for uid in due[:STARTS_PER_TICK]:
            try:
                self._start(uid, self._pending[uid])
            except ObjectNotFound as error:
                self._incomplete.setdefault(uid, _Retry()).failed()
                self._write_waiting(self._pending[uid], str(error))
                continue
            except (DeckError, OSError, EOFError) as error:
                self._problems.report(START, error)
                self._starts.failed()
                return
            del self._pending[uid]
            self._incomplete.pop(uid, None)
            self._problems.solved(START)
            self._starts.succeeded()

    def _start(self, uid: str, pod: Json) -> None:
        """Start a pod, or write that it cannot run.

        Raises DeckError, OSError or EOFError where it can later, and ObjectNotFound where its Secret or ConfigMap does
        not exist.
        """
        metadata = pod["metadata"]
        namespace = metadata["namespace"]
        log = self._log_of(metadata["name"])
        folder = self._state_dir.pods / metadata["name"]
        try:
            self._running[uid] = start_pod(
                pod,
                start=forkserver.start,
                folder=folder,
                log=log,
                lookup=lambda kind, name: self._objects.get(kind, namespace, name),
            )
        except DeckError:  # of the store: the template is not known
            raise
        except ObjectNotFound:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        except Exception as error:
            if of_the_machine(error):
                shutil.rmtree(folder, ignore_errors=True)
                raise
            self._write_end(pod, EXIT_CANNOT_RUN, problem=f"{type(error).__name__}: {error}")
            return
        self._documents[uid] = pod
        self._ends.watch(self._running[uid].process)
        pid = self._running[uid].process.pid
        self._write(pod, {"phase": "Running", "startedAt": time.time(), "log": str(log), "pid": pid})

    def _log_of(self, pod: str) -> Path:
        return self._state_dir.logs / f"{pod}.log"

    def _attend(self, uid: str) -> None:
        """Stop a pod that shall stop, or write what has become of it. An error with one does not stop the others."""
        part = f"pod {self._running[uid].name}"
        try:
            if uid in self._stopping:
                self._stop(uid)
            else:
                bound_log(self._log_of(self._documents[uid]["metadata"]["name"]))
                self._check(uid)
        except Exception as error:
            self._problems.report(part, error)
        else:
            self._problems.solved(part)

    def _check(self, uid: str) -> None:
        """Note the end of a process, or the URL of its probes as soon as it has opened its port."""
        running, pod = self._running[uid], self._documents[uid]
        code = running.exit_code
        if code is not None:
            message = running.termination_message
            self._forget(uid)
            if code == EXIT_SIGKILL and self._oom_kills.any():
                self._write_oom_kill(pod)
            else:
                self._write_end(pod, code, message=message)
        elif "url" not in pod["status"] and (url := running.url) is not None:
            self._write(pod, {**pod["status"], "url": url})

    def _stop(self, uid: str) -> None:
        running = self._running[uid]
        running.ask_to_stop()
        if running.process.poll() is not None:
            self._forget(uid)

    def _forget(self, uid: str) -> None:
        self._ends.forget(self._running[uid].process)
        del self._running[uid], self._documents[uid]
        self._stopping.discard(uid)

    def _watch_memory(self) -> None:
        self._oom_kills.note()
        if time.monotonic() - self._oom_killed_at > OOM_SHOWN_SECONDS:
            self._problems.solved(MEMORY)

    def _write_oom_kill(self, pod: Json) -> None:
        """Note the end of a pod that the kernel killed: it had no time to write a termination message."""
        self._oom_killed_at = time.monotonic()
        problem = (
            f"pod {pod['metadata']['name']} was OOM-killed: its machine or its cgroup had no memory left; "
            "run less at once, or give it more"
        )
        self._problems.report(MEMORY, problem, reason=OOM_KILLED)
        self._write_end(pod, EXIT_SIGKILL, reason=OOM_KILLED, problem=problem)

    def _write_waiting(self, pod: Json, problem: str) -> None:
        if pod.get("status", {}).get("problem") != problem:
            self._write(pod, {"phase": PENDING, "problem": problem})

    def _write_end(self, pod: Json, code: int, *, message: str = "", reason: str = "", problem: str = "") -> None:
        self._write(
            pod,
            {
                **{key: value for key, value in pod.get("status", {}).items() if key != "url"},
                "phase": "Succeeded" if code == 0 else "Failed",
                "exitCode": code,
                "terminationMessage": message,
                "reason": str(reason),
                "problem": problem,
                "finishedAt": time.time(),
            },
        )

    def _write(self, pod: Json, status: Json) -> None:
        """Note a status to write: at once, or as soon as the store can be written to again."""
        pod["status"] = status
        self._unwritten[pod["metadata"]["uid"]] = pod
        self._write_statuses()

    def _write_statuses(self) -> None:
        if not self._unwritten or not self._writes.due():
            return
        for uid, pod in list(self._unwritten.items()):
            metadata = pod["metadata"]
            try:
                self._objects.set_status("Pod", metadata["namespace"], metadata["name"], pod["status"], uid=uid)
            except ObjectNotFound:
                pass  # deleted meanwhile: the watch reports it
            except DeckError as error:
                self._problems.report(STATUS, error)
                self._writes.failed()
                return
            del self._unwritten[uid]
        self._problems.solved(STATUS)
        self._writes.succeeded()


class _Retry:
    """When to try again what has failed: after half a second, then after growing waits of at most ten."""

    def __init__(self) -> None:
        self._wait, self._at = RETRY_FIRST, 0.0

    def due(self) -> bool:
        return time.monotonic() >= self._at

    def failed(self) -> None:
        self._at = time.monotonic() + self._wait
        self._wait = min(self._wait * 2, RETRY_MAX)

    def succeeded(self) -> None:
        self._wait, self._at = RETRY_FIRST, 0.0
