"""Runs Pod objects as processes and writes down how they do."""

from __future__ import annotations

import time

from tapedeck_crds.json import Json
from tapedeck_deck.embedded import warm
from tapedeck_deck.embedded.home import Home
from tapedeck_deck.embedded.objects import NotFound, Objects
from tapedeck_deck.embedded.pods import PodProcess, UnsupportedTemplate, start_pod

STARTS_A_TICK = 4  # more at once only delay one another


class Kubelet:
    """The pods of one deck. They die with the process that calls ``tick``."""

    def __init__(self, home: Home, objects: Objects) -> None:
        self._home = home
        self._objects = objects
        self._running: dict[str, PodProcess] = {}
        self._urls: dict[str, str] = {}

    def urls(self) -> dict[str, str]:
        """Where each running pod serves its probes, by uid of the Pod, as of the last tick. For any thread."""
        return self._urls

    def tick(self) -> None:
        """Start what is new, note what ended, stop what is gone."""
        wanted = {pod["metadata"]["uid"]: pod for pod in self._objects.list("Pod")}
        starts = 0
        for uid, pod in wanted.items():
            phase = pod.get("status", {}).get("phase")
            if uid in self._running:
                self._note(uid, pod)
            elif phase is None and starts < STARTS_A_TICK:
                self._start(uid, pod)
                starts += 1
            elif phase == "Running":
                self._finish(pod, 137, "", "its deck ended while it ran")
        for uid in [u for u in self._running if u not in wanted]:
            self._end(uid)
        # Another thread reads them: it gets a new dict each time, never one that changes.
        self._urls = {uid: url for uid, pod in self._running.items() if (url := pod.url) is not None}

    def stop_all(self, timeout: float) -> None:
        """End every pod; returns when all have ended or the time is over (then they are killed).

        Their objects go too: a pod that was asked to end did not fail, and does not count against its Job.
        """
        stopped = set(self._running)
        deadline = time.monotonic() + timeout
        while self._running and time.monotonic() < deadline:
            for uid in list(self._running):
                self._end(uid)
            time.sleep(0.02)
        for pod in self._running.values():
            pod.process.kill()
            pod.process.wait(timeout=5)
        self._running.clear()
        for pod_object in self._objects.list("Pod"):
            metadata = pod_object["metadata"]
            if metadata["uid"] in stopped:
                self._objects.delete("Pod", metadata["namespace"], metadata["name"])

    def _start(self, uid: str, pod: Json) -> None:
        metadata = pod["metadata"]
        namespace = metadata["namespace"]
        log = self._home.logs / f"{metadata['name']}.log"
        try:
            self._running[uid] = start_pod(
                pod,
                start=warm.start,
                folder=self._home.pods / metadata["name"],
                log=log,
                lookup=lambda kind, name: self._objects.get(kind, namespace, name),
            )
        except (UnsupportedTemplate, NotFound, OSError) as error:
            self._finish(pod, 128, "", f"{type(error).__name__}: {error}")
            return
        self._set(pod, {"phase": "Running", "startedAt": time.time(), "log": str(log)})

    def _note(self, uid: str, pod: Json) -> None:
        running = self._running[uid]
        code = running.exit_code
        if code is not None:
            del self._running[uid]
            self._finish(pod, code, running.termination_message, "")
        elif (url := running.url) is not None and pod["status"].get("url") != url:
            self._set(pod, {**pod["status"], "url": url, "pid": running.process.pid})

    def _end(self, uid: str) -> None:
        running = self._running[uid]
        running.ask_to_stop()
        if running.process.poll() is not None:
            del self._running[uid]

    def _finish(self, pod: Json, code: int, message: str, problem: str) -> None:
        self._set(
            pod,
            {
                **{k: v for k, v in pod.get("status", {}).items() if k != "url"},
                "phase": "Succeeded" if code == 0 else "Failed",
                "exitCode": code,
                "terminationMessage": message,
                "problem": problem,
                "finishedAt": time.time(),
            },
        )

    def _set(self, pod: Json, status: Json) -> None:
        metadata = pod["metadata"]
        try:
            self._objects.set_status("Pod", metadata["namespace"], metadata["name"], status, uid=metadata["uid"])
        except NotFound:
            return  # deleted meanwhile: the next tick ends its process
        pod["status"] = status
