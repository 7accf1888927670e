"""An end-to-end probe of the watches: the operator renews a Lease and must see each renewal in its own watch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from tapedeck_crds.json import Json
from tapedeck_operator.cluster.api_server import ApiServer
from tapedeck_operator.cluster.watch import PROBE_LABEL
from tapedeck_operator.reconcile.errors import ResourceApiError

log = structlog.get_logger()
LEASE_NAME = "tapedeck-operator"
TIMEOUT_PERIODS = 3.5  # with a period of 10 s, a silent watch is detected within 45 s


class WatchProbe:
    """``holder`` tells the Leases of this process from those of another one. ``clock`` gives seconds."""

    def __init__(
        self, namespace: str, holder: str, period_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._namespace = namespace
        self._holder = holder
        self._period = period_seconds
        self._clock = clock
        self._observed = 0
        self._pending_since: float | None = None

    @property
    def healthy(self) -> bool:
        """False where a renewal that the API server accepted has not reached the watch in time."""
        return self._pending_since is None or self._clock() - self._pending_since < TIMEOUT_PERIODS * self._period

    def renewed(self, number: int) -> None:
        """The API server accepted a renewal. The watch may have reported it before the call returned."""
        if number > self._observed and self._pending_since is None:
            self._pending_since = self._clock()

    def observe(self, lease: Json) -> None:
        """The watch reported a Lease."""
        spec = lease.get("spec", {})
        number = spec.get("leaseTransitions", 0)
        if spec.get("holderIdentity") == self._holder and number > self._observed:
            self._observed = number
            self._pending_since = None

    async def run(self, api: ApiServer) -> None:
        """Renew until cancelled. A renewal that the API server does not accept starts no timeout."""
        number = 0
        while True:
            number += 1
            try:
                await api.apply(self._lease(number))
                self.renewed(number)
            except ResourceApiError as error:
                log.warning("probe Lease not renewed", reason=str(error))
            await asyncio.sleep(self._period)

    def _lease(self, number: int) -> Json:
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": LEASE_NAME, "namespace": self._namespace, "labels": {PROBE_LABEL: "true"}},
            "spec": {
                "holderIdentity": self._holder,
                "leaseTransitions": number,
                "renewTime": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            },
        }
