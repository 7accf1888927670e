"""Runs Pod objects as processes, and writes their state into the objects' status."""

from __future__ import annotations

import asyncio
import contextlib
import time

from tapedeck_crds.json import Json
from tapedeck_deck.embedded import forkserver
from tapedeck_deck.embedded.objects import Change, Objects
from tapedeck_deck.embedded.pods import PodProcess, UnsupportedTemplate, start_pod
from tapedeck_deck.embedded.state_dir import StateDir
from tapedeck_operator.reconcile.errors import ObjectNotFound

TICK_SECONDS = 0.05
STARTS_PER_TICK = 2  # more at once only delay one another
EXIT_SIGKILL, EXIT_CANNOT_RUN = 137, 128


class Kubelet:
    """The pods of one deck. Their processes end with the process that runs this."""

    def __init__(self, state_dir: StateDir, objects: Objects) -> None:
        self._state_dir = state_dir
        self._objects = objects
        self._pending: dict[str, Json] = {}
        self._running: dict[str, PodProcess] = {}
        self._documents: dict[str, Json] = {}  # of the running pods, as this kubelet last wrote them
        self._stopping: set[str] = set()
        self._wake = asyncio.Event()

    def handle(self, change: Change) -> None:
        """A change of any object."""
        pod = change.document
        if pod["kind"] != "Pod":
            return
        uid, phase = pod["metadata"]["uid"], pod.get("status", {}).get("phase")
        if change.deleted:
            self._pending.pop(uid, None)
            if uid in self._running:
                self._stopping.add(uid)
        elif phase is None:
            self._pending[uid] = pod
        elif phase == "Running" and uid not in self._running:
            self._write_end(pod, EXIT_SIGKILL, problem="its deck ended while it ran")
        self._wake.set()

    async def run(self) -> None:
        """Start, watch and stop processes until cancelled. A tick costs a system call for each running process."""
        while True:
            self._wake.clear()
            self._start_pending()
            for uid in list(self._running):
                if uid in self._stopping:
                    self._stop(uid)
                else:
                    self._check(uid)
            if self._running or self._pending:
                await asyncio.sleep(TICK_SECONDS)
            else:
                await self._wake.wait()

    def stop_all(self, timeout: float) -> None:
        """Stop every pod; returns when all have ended, or kills those that have not within ``timeout`` seconds.

        Their objects are deleted: a stopped pod has not failed, and must not count against its Job.
        """
        started = set(self._running)
        deadline = time.monotonic() + timeout
        while self._running and time.monotonic() < deadline:
            for uid in list(self._running):
                self._stop(uid)
            time.sleep(0.02)
        for pod in self._running.values():
            pod.process.kill()
            pod.process.wait(timeout=5)
        self._running.clear()
        for pod_object in self._objects.list("Pod"):
            metadata = pod_object["metadata"]
            if metadata["uid"] in started:
                self._objects.delete("Pod", metadata["namespace"], metadata["name"])

    def _start_pending(self) -> None:
        for uid in list(self._pending)[:STARTS_PER_TICK]:
            self._start(uid, self._pending.pop(uid))

    def _start(self, uid: str, pod: Json) -> None:
        metadata = pod["metadata"]
        namespace = metadata["namespace"]
        log = self._state_dir.logs / f"{metadata['name']}.log"
        try:
            self._running[uid] = start_pod(
                pod,
                start=forkserver.start,
                folder=self._state_dir.pods / metadata["name"],
                log=log,
                lookup=lambda kind, name: self._objects.get(kind, namespace, name),
            )
        except (UnsupportedTemplate, ObjectNotFound, OSError) as error:
            self._write_end(pod, EXIT_CANNOT_RUN, problem=f"{type(error).__name__}: {error}")
            return
        self._documents[uid] = pod
        pid = self._running[uid].process.pid
        self._write(pod, {"phase": "Running", "startedAt": time.time(), "log": str(log), "pid": pid})

    def _check(self, uid: str) -> None:
        """Write the end of a process, or the URL of its probes as soon as it has opened its port."""
        running, pod = self._running[uid], self._documents[uid]
        code = running.exit_code
        if code is not None:
            self._forget(uid)
            self._write_end(pod, code, message=running.termination_message)
        elif "url" not in pod["status"] and (url := running.url) is not None:
            self._write(pod, {**pod["status"], "url": url})

    def _stop(self, uid: str) -> None:
        running = self._running[uid]
        running.ask_to_stop()
        if running.process.poll() is not None:
            self._forget(uid)

    def _forget(self, uid: str) -> None:
        del self._running[uid], self._documents[uid]
        self._stopping.discard(uid)

    def _write_end(self, pod: Json, code: int, *, message: str = "", problem: str = "") -> None:
        self._write(
            pod,
            {
                **{key: value for key, value in pod.get("status", {}).items() if key != "url"},
                "phase": "Succeeded" if code == 0 else "Failed",
                "exitCode": code,
                "terminationMessage": message,
                "problem": problem,
                "finishedAt": time.time(),
            },
        )

    def _write(self, pod: Json, status: Json) -> None:
        pod["status"] = status
        metadata = pod["metadata"]
        with contextlib.suppress(ObjectNotFound):  # deleted meanwhile: the watch reports it
            self._objects.set_status("Pod", metadata["namespace"], metadata["name"], status, uid=metadata["uid"])
