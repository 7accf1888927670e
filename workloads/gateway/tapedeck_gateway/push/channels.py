"""The series that clients of /ws are subscribed to."""

from __future__ import annotations

from dataclasses import dataclass, field

from tapedeck_gateway.charts.bar_columns import Candle
from tapedeck_gateway.push.bar_sources import MarketBars, ReplayBars
from tapedeck_gateway.push.send_queue import SendQueue


@dataclass
class SeriesChannel:
    """One series at one resolution, and the clients that show it. ``last`` is the newest bar that was pushed."""

    source: ReplayBars | MarketBars
    generation: int = 0
    last: Candle | None = None
    clients: set[SendQueue] = field(default_factory=set)

    @property
    def changed_by(self) -> str:
        """The replay's uid; empty for the live market, as ``topic_reader.LIVE``."""
        return self.source.symbol.replay

    @property
    def ready(self) -> bool:
        """Whether all that was published before the subscription has been read."""
        return self.source.ready

    def queue_position(self, client: SendQueue) -> None:
        """Queue the message ``position`` of a replay."""
        if isinstance(self.source, ReplayBars):
            view = self.source.view
            client.set_state(
                f"replay {view.uid}",
                {
                    "type": "position",
                    "replay": view.uid,
                    "v": view.position,
                    "epoch": str(view.epoch),
                    "published": view.published,
                    "ended": view.ended,
                },
            )

    def keep_open(self) -> None:
        """Keep the source until ``close``."""
        self.source.keep_open()

    def close(self) -> None:
        """Release the source."""
        self.source.close()
