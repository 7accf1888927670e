"""A Lease that the operator renews and must see come back by its watch: a watch that went silent shows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from tapedeck_crds.json import Json
from tapedeck_operator.cluster.api import Api, ApiError
from tapedeck_operator.cluster.watch import CANARY_LABEL

log = structlog.get_logger()
NAME = "tapedeck-operator"
PATIENCE = 3.5  # periods: with one of 10 s, silence is noticed within 45 s


class Canary:
    """``holder`` tells this process's Leases from another's. ``clock`` gives seconds."""

    def __init__(
        self, namespace: str, holder: str, period_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._namespace = namespace
        self._holder = holder
        self._period = period_seconds
        self._clock = clock
        self._echoed = 0
        self._silent_since: float | None = None

    @property
    def alive(self) -> bool:
        """False where what the API server took has not come back by the watch for too long."""
        return self._silent_since is None or self._clock() - self._silent_since < PATIENCE * self._period

    def written(self, number: int) -> None:
        """The API server took a renewal; its echo may have been faster."""
        if number > self._echoed and self._silent_since is None:
            self._silent_since = self._clock()

    def echo(self, lease: Json) -> None:
        """The watch brought a Lease."""
        spec = lease.get("spec", {})
        number = spec.get("leaseTransitions", 0)
        if spec.get("holderIdentity") == self._holder and number > self._echoed:
            self._echoed = number
            self._silent_since = None

    async def run(self, api: Api) -> None:
        """Renew until cancelled. While the API server does not answer there is nothing to come back."""
        number = 0
        while True:
            number += 1
            try:
                await api.apply(self._lease(number))
                self.written(number)
            except ApiError as error:
                log.warning("canary not renewed", reason=str(error))
            await asyncio.sleep(self._period)

    def _lease(self, number: int) -> Json:
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": NAME, "namespace": self._namespace, "labels": {CANARY_LABEL: "true"}},
            "spec": {
                "holderIdentity": self._holder,
                "leaseTransitions": number,
                "renewTime": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            },
        }
