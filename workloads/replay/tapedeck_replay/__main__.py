"""``python -m tapedeck_replay``: one pod of a Replay. Exits 0 once the end of the replay is committed."""

from __future__ import annotations

import time

from tapedeck_common.pod.shell import Workload, exit_at_once, run_pod
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_crds.errors import Unavailable
from tapedeck_crds.replay import ReplaySpec
from tapedeck_crds.report import ReplayReport
from tapedeck_replay.clock.controls import ControlQueue
from tapedeck_replay.shard import ReplayShard

STUCK_SECONDS = 240.0  # longer than every bounded retry of the loop


class ReplayWorkload(Workload):
    """Plays one shard of a Replay."""

    def __init__(self, settings: PodSettings) -> None:
        super().__init__()
        self._settings = settings
        controls = ControlQueue()
        self._shard = ReplayShard(settings, controls, self._exit_hung)
        self.control = controls.enqueue

    def run(self) -> None:
        """Play to the end. Raises InvalidInput, Fenced, Unavailable, and Interrupted after a stop."""
        self._shard.play(self._settings.parse_spec(ReplaySpec), Connections.read(self._settings.connections))

    def report(self) -> ReplayReport:
        """The position, and what is committed."""
        return self._shard.report()

    def stop(self) -> None:
        """Request the end: the open transaction is finished or aborted."""
        self._shard.stop()

    def alive(self) -> bool:
        """Whether the player's loop, or the reading before it, made progress lately."""
        return time.monotonic() - self._shard.last_progress < STUCK_SECONDS

    def ready(self) -> bool:
        """Whether controls are accepted."""
        return self._shard.ready

    def _exit_hung(self) -> None:
        message = "the broker does not answer and its client hangs; the next pod resumes"
        exit_at_once(self._settings, self.report(), Unavailable(message))


if __name__ == "__main__":
    run_pod("replay", PodSettings, ReplayWorkload)
