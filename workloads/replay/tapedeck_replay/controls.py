"""Anchors on their way from the operator to the deck."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

from pydantic import ValidationError

from tapedeck_crds.clock import Anchor
from tapedeck_crds.replay import SPEED_MAX, SPEED_MIN

WAITING_MAX = 64


class Controls:
    """A mailbox: the probe's thread puts in, the player takes out. ``wake`` ends the player's sleep."""

    def __init__(self) -> None:
        self._box: queue.Queue[Anchor] = queue.Queue(WAITING_MAX)
        self.wake = threading.Event()

    def put(self, body: bytes) -> None:
        """Take the body of a control. Raises ValueError naming field, value and expectation."""
        anchor = parse_anchor(body)
        try:
            self._box.put_nowait(anchor)
        except queue.Full:
            raise ValueError(f"{WAITING_MAX} controls wait already, expected fewer") from None
        self.wake.set()

    def taken(self) -> Iterator[Anchor]:
        """Those that came since the last call."""
        while True:
            try:
                yield self._box.get_nowait()
            except queue.Empty:
                return


def parse_anchor(body: bytes) -> Anchor:
    """JSON → anchor. Raises ValueError naming field, value and expectation."""
    try:
        anchor = Anchor.model_validate_json(body)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        field = ".".join(map(str, detail["loc"])) or "body"
        raise ValueError(f"{field}: got {detail['input']!r:.80}, {detail['msg']}") from None
    if anchor.speed != 0 and not SPEED_MIN <= anchor.speed <= SPEED_MAX:
        raise ValueError(f"speed: got {anchor.speed}, expected 0 or {SPEED_MIN:g} to {SPEED_MAX:g}")
    if anchor.number < 1:
        raise ValueError(f"number: got {anchor.number}, expected at least 1")
    return anchor
