"""The rule about the future: nothing that belongs to a replay is given out beyond its position.

What belongs to a replay: its own bars and points, the market ``replay.<name>`` that it records, and the runs that are
bound to it. A request sees beyond the position only if it asks for the future by name, with ``future=1``. Every route
and every message gets its limits here. A limit is an event time, milliseconds UTC: bars that close by then are given
out. A replay that was deleted limits nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from tapedeck_common.market import RECORDED_PREFIX
from tapedeck_gateway.topics.control_records import LATEST
from tapedeck_gateway.topics.replay_list import ReplayList
from tapedeck_gateway.topics.topic_reader import TopicReader

NO_LIMIT = LATEST
NOTHING = 0


@dataclass(frozen=True)
class FutureLimits:
    """The limits of one request; those of a request that asked for the future are NO_LIMIT.

    All methods raise Unavailable where the broker has not answered since the gateway started, so that positions are
    unknown. Later the last known positions stay valid: without the broker no replay moves.
    """

    replays: ReplayList
    reader: TopicReader
    future: bool = False

    def of_replay(self, uid: str) -> int:
        """The limit of what belongs to the replay of this uid; an empty uid stands for no replay."""
        if self.future or not uid:
            return NO_LIMIT
        known = self.replays.positions()
        if uid not in known:
            return NO_LIMIT
        followed = self.reader.position(uid)  # newer than the list, where a chart shows the replay
        position = followed if followed is not None else known[uid]
        return NOTHING if position is None else position

    def of_market(self, exchange: str) -> int:
        """The limit of a market: that of the replay that records it. Other markets have none."""
        if self.future or not exchange.startswith(RECORDED_PREFIX):
            return NO_LIMIT
        return self.recorded_markets().get(exchange, NO_LIMIT)

    def recorded_markets(self) -> dict[str, int]:
        """The limit of each market that a replay records, by exchange id.

        Replays of one name in several namespaces record the same market, which ends at the earliest of their positions.
        """
        if self.future:
            return {}
        newest = {(each.namespace, each.recorded_as): each.uid for each in reversed(self.replays.last_known())}
        limits: dict[str, int] = {}
        for (_, market), uid in newest.items():
            if market:
                limits[market] = min(limits.get(market, NO_LIMIT), self.of_replay(uid))
        return limits
