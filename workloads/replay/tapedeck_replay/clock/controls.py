"""Controls on their way from the operator to the player."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

from pydantic import ValidationError

from tapedeck_crds.clock import Anchor
from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.replay import SPEED_MAX, SPEED_MIN

QUEUE_MAX = 64


class ControlQueue:
    """A bounded queue of anchors: the probe's thread enqueues, the player dequeues.

    ``wake`` is the event that the player sleeps on; whoever has work for the player sets it.
    """

    def __init__(self) -> None:
        self._queue: queue.Queue[Anchor] = queue.Queue(QUEUE_MAX)
        self.wake = threading.Event()

    def enqueue(self, body: bytes) -> None:
        """Parse and queue the body of a control request. Raises InvalidInput."""
        anchor = parse_anchor(body)
        try:
            self._queue.put_nowait(anchor)
        except queue.Full:
            raise InvalidInput(f"control: got one while {QUEUE_MAX} are queued, expected fewer; try again") from None
        self.wake.set()

    def dequeue(self) -> Iterator[Anchor]:
        """The anchors queued since the last call, oldest first."""
        while True:
            try:
                yield self._queue.get_nowait()
            except queue.Empty:
                return


def parse_anchor(body: bytes) -> Anchor:
    """JSON → anchor. Raises InvalidInput, which names field, value and expectation."""
    try:
        anchor = Anchor.model_validate_json(body)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        field = ".".join(map(str, detail["loc"])) or "body"
        raise InvalidInput(f"{field}: got {detail['input']!r:.80}, {detail['msg']}") from None
    if anchor.speed != 0 and not SPEED_MIN <= anchor.speed <= SPEED_MAX:
        raise InvalidInput(f"speed: got {anchor.speed}, expected 0 or {SPEED_MIN:g} to {SPEED_MAX:g}")
    if anchor.number < 1:
        raise InvalidInput(f"number: got {anchor.number}, expected at least 1")
    return anchor
