"""The channel of a replay's state."""

from __future__ import annotations

import time

import msgspec

from tapedeck_gateway.push.channel import Channel
from tapedeck_gateway.push.protocol.messages import ReplayMessage
from tapedeck_gateway.topics.replay_view import ReplayView


class ReplayChannel(Channel):
    """Publishes the state when it is asked to, and at once where a control, an epoch or the end has changed it."""

    def __init__(self, name: str, view: ReplayView) -> None:
        super().__init__(name)
        self.changed_by = frozenset({view.uid})
        self._view = view
        view.watch()
        self._published: ReplayMessage | None = None

    def close(self) -> None:
        self._view.unwatch()

    def state(self, count: int) -> list[msgspec.Struct]:
        return [replay_state(self._view)]

    def push(self) -> None:
        if self._published is None or _controls(replay_state(self._view)) != _controls(self._published):
            self.publish_state()

    def publish_state(self) -> None:
        """Publish the present state."""
        self._published = replay_state(self._view)
        self.publish(self._published, "replay")


def _controls(state: ReplayMessage) -> tuple[object, ...]:
    return (state.epoch, state.speed, state.unpaced, state.paused, state.ended)


def replay_state(view: ReplayView) -> ReplayMessage:
    """The state of a replay as its topic tells it."""
    start, clock, position = view.start, view.clock, view.position
    held = clock is not None and clock.until is not None and position is not None and position >= clock.until
    paused = clock is not None and (clock.speed == 0 or held)
    return ReplayMessage(
        replay=view.uid,
        namespace=start.namespace if start else "",
        name=start.name if start else "",
        position=position,
        range_from=start.range_from if start else None,
        range_to=start.range_to if start else None,
        epoch=str(view.epoch),
        round=view.epoch.loop,
        speed=clock.speed if clock else None,
        unpaced=clock.unpaced if clock else False,
        measured_speed=round(view.measured_speed(), 3),
        paused=paused,
        ended=view.ended,
        lateness_ms=clock.late_ms if clock else 0,
        published=view.published,
        at=int(time.time() * 1000),
    )
