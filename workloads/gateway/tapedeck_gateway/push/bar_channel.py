"""The channel of a series' bars."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import msgspec

from tapedeck_crds.intervals import BarLength
from tapedeck_gateway.charts.bar_columns import Candle
from tapedeck_gateway.push.channel import Channel, JumpReason
from tapedeck_gateway.push.protocol.messages import BarItem, BarsMessage, ReviseMessage
from tapedeck_gateway.push.protocol.requests import SNAPSHOT_MAX
from tapedeck_gateway.topics.traced_bars import Pushed


class PushedBars(Protocol):
    """Where the bars of a series come from, up to what may be shown of it."""

    length: BarLength

    @property
    def changed_by(self) -> frozenset[str]:
        """The changes of the topic reader that concern it; none where it is polled."""

    @property
    def ready(self) -> bool:
        """Whether all that was published before the subscription has been read."""

    @property
    def jumped_by(self) -> JumpReason:
        """What the generation counted last."""

    def bars_since(self, since: int | None) -> tuple[int, list[Candle]]:
        """The generation, and the bars that open at ``since`` or later; for None the newest."""

    def recent(self, count: int) -> list[Candle]:
        """The last ``count`` bars."""

    def late_after(self, number: int) -> tuple[int, list[int] | None]:
        """The number of the latest change behind the newest bar, and where those after ``number`` are.

        None where some of them are no longer known.
        """

    @property
    def must_refresh(self) -> bool:
        """Whether there may be something that no topic tells of."""

    def refresh(self) -> bool:
        """Look for it; returns whether bars may have changed. Raises Unavailable."""

    def keep_open(self) -> None:
        """Keep what the bars are read from until ``close``."""

    def close(self) -> None:
        """Release what was opened."""


class BarChannel(Channel):
    """Publishes new bars and new states of the last one, revisions of closed ones, and resets.

    ``on_pushed`` is told of new bars and states.
    """

    def __init__(self, name: str, source: PushedBars, on_pushed: Pushed | None = None) -> None:
        super().__init__(name)
        self._on_pushed = on_pushed
        self.changed_by = source.changed_by
        self._source = source
        source.keep_open()
        self._generation, newest = source.bars_since(None)
        self._last = newest[-1] if newest else None
        self._late, _ = source.late_after(0)

    def close(self) -> None:
        self._source.close()

    def state(self, count: int) -> list[msgspec.Struct]:
        return [BarsMessage(_items(self._source.recent(count)), snapshot=True)]

    def push(self) -> None:
        source, last = self._source, self._last
        if not source.ready:
            return
        generation, bars = source.bars_since(0 if last is None else last.ts)  # several may be the first
        self._late, late = source.late_after(self._late)
        if generation != self._generation:
            self._generation, newest = source.bars_since(None)
            self._last = newest[-1] if newest else None
            self.restart(source.jumped_by)
            return
        if bars:  # without any, the next push continues from the last one
            self._last = bars[-1]
        if late is None or len(bars) > SNAPSHOT_MAX:
            self.publish_snapshots()
            return
        self._publish_revisions(last, late, bars)
        changed = [bar for bar in bars if last is None or bar.ts > last.ts or (bar != last and not last.closed)]
        if changed:
            self.publish(BarsMessage(_items(changed)), (changed[0].ts, changed[-1].ts))
            if self._on_pushed is not None:
                self._on_pushed(changed, len(self.subscribers))

    def _publish_revisions(self, last: Candle | None, late: list[int], bars: list[Candle]) -> None:
        """``last`` is the newest bar that was published, ``bars`` what there is from its open on."""
        if last is None:
            return
        opens = {opened for ts in late if (opened := self._source.length.open_of(ts)) < last.ts}
        earlier = self._source.bars_since(min(opens))[1] if opens else []
        revised = [bar for bar in earlier if bar.ts in opens]
        revised += [bar for bar in bars[:1] if last.closed and bar.ts == last.ts and bar != last]
        if revised:
            self.publish(ReviseMessage(_items(revised)))

    @property
    def must_poll(self) -> bool:
        return self._source.must_refresh

    def poll(self) -> bool:
        return self._source.refresh()


def _items(bars: Iterable[Candle]) -> list[BarItem]:
    return [BarItem(bar.ts, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.closed) for bar in bars]
