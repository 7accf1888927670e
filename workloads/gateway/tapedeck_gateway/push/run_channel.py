"""The channel of a run: its figures, fills and equity."""

from __future__ import annotations

from collections import deque

import msgspec

from tapedeck_crds.json import Json
from tapedeck_gateway.push.channel import Channel
from tapedeck_gateway.push.followed_curve import KEPT_POINTS, FollowedCurve
from tapedeck_gateway.push.protocol.messages import EquityMessage, FillItem, FillsMessage, RunMessage
from tapedeck_gateway.push.protocol.requests import SNAPSHOT_MAX
from tapedeck_gateway.push.run_poller import RunPoller
from tapedeck_gateway.store.runs import EquityPoint, RunRow


class RunChannel(Channel):
    """Publishes what the poller finds, and keeps the last fills and the equity curve for snapshots.

    To be made in a thread: it reads the database.
    """

    def __init__(self, name: str, run_id: str, poller: RunPoller) -> None:
        super().__init__(name)
        self._run_id = run_id
        self._poller = poller
        self._fills: deque[FillItem] = deque(maxlen=SNAPSHOT_MAX)
        self._equity = FollowedCurve(())
        self._summary = poller.summary()
        self._found: list[Json] = []  # since the last push
        self._loaded: tuple[list[RunRow], list[EquityPoint]] | None = None
        self._must_load = False
        self._replace(*poller.shown(SNAPSHOT_MAX, KEPT_POINTS))

    def close(self) -> None:
        """Polling ends with the channel."""

    def state(self, count: int) -> list[msgspec.Struct]:
        return [
            _figures(self._summary),
            FillsMessage(self._run_id, list(self._fills)[-count:], snapshot=True),
            EquityMessage(self._run_id, self._equity.snapshot(count), snapshot=True),
        ]

    @property
    def must_poll(self) -> bool:
        return True

    def poll(self) -> bool:
        self._found += self._poller.poll()
        # Where loading fails, the next poll does it: a reset that a client does not see shows it the future.
        self._must_load |= any(message["type"] == "reset" for message in self._found)
        if self._must_load:
            self._loaded = self._poller.shown(SNAPSHOT_MAX, KEPT_POINTS)
            self._must_load = False
        return bool(self._found)

    def push(self) -> None:
        if self._must_load:
            return
        found, self._found = self._found, []
        self._summary = next((message for message in reversed(found) if message["type"] == "run"), self._summary)
        if self._loaded is not None:
            self._replace(*self._loaded)
            self._loaded = None
            self.restart("seek")
            return
        for message in found:
            match message["type"]:
                case "fills":
                    fills = [FillItem(**row) for row in message["fills"]]
                    self._fills.extend(fills)
                    self.publish(FillsMessage(self._run_id, fills))
                case "equity":
                    self._equity.extend(message["points"])
                    self.publish(EquityMessage(self._run_id, message["points"]))
                case _:
                    self.publish(_figures(message), "run")

    def _replace(self, fills: list[RunRow], points: list[EquityPoint]) -> None:
        self._fills.clear()
        self._fills.extend(FillItem(**row) for row in fills)
        self._equity = FollowedCurve(points)


def _figures(summary: Json) -> RunMessage:
    return RunMessage(**{name: value for name, value in summary.items() if name != "type"})
