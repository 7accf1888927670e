"""Asking running pods how they do, on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

import httpx
import structlog

log = structlog.get_logger()
POLL_SECONDS = 0.15
FAILED_SECONDS = 1.0
TIMEOUT = httpx.Timeout(2.0)


class Reports:
    """The last /status of each pod, by uid of the Pod."""

    def __init__(self, urls: Callable[[], dict[str, str]]) -> None:
        self._urls = urls
        self._seen: dict[str, bytes] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reports", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join(timeout=5)

    def of(self, uid: str) -> bytes | None:
        """What the pod last said; None where it never answered."""
        return self._seen.get(uid)

    def _run(self) -> None:
        with httpx.Client(timeout=TIMEOUT, trust_env=False) as client:
            wait = POLL_SECONDS
            while not self._over.wait(wait):
                try:
                    self._ask_all(client)
                    wait = POLL_SECONDS
                except Exception:  # without this thread no run would ever be seen to start or end
                    log.exception("cannot ask the pods")
                    wait = FAILED_SECONDS

    def _ask_all(self, client: httpx.Client) -> None:
        urls = self._urls()
        for gone in set(self._seen) - set(urls):
            del self._seen[gone]
        for uid, url in urls.items():
            self._ask(client, uid, url)

    def _ask(self, client: httpx.Client, uid: str, url: str) -> None:
        try:
            answer = client.get(f"{url}/status")
        except httpx.HTTPError:
            return  # it starts or ends; its process tells
        if answer.status_code == httpx.codes.OK:
            self._seen[uid] = answer.content
