"""What subscriptions name besides symbols: a replay, and an interval."""

from __future__ import annotations

from tapedeck_crds.errors import InvalidInput, NotFound
from tapedeck_crds.intervals import BAR_LENGTHS, BarLength
from tapedeck_gateway.topics.replay_list import ReplayInfo, ReplayList


def resolved_replay(text: str, replays: ReplayList) -> str:
    """The uid of a replay that is named by <namespace>/<name> or by its uid. Raises NotFound, Unavailable."""
    namespace, slash, name = text.partition("/")
    if not slash:
        return text
    replay = _newest(replays, namespace, name)
    if replay is None:
        raise NotFound(f"replay: got {text[:80]!r}, expected <namespace>/<name> of one that has started, or a uid")
    return replay.uid


def resolved_interval(text: str) -> BarLength:
    """The length of bars. Raises InvalidInput."""
    length = BAR_LENGTHS.get(text)
    if length is None:
        raise InvalidInput(f"interval: got {text!r}, expected one of {', '.join(BAR_LENGTHS)}")
    return length


def _newest(replays: ReplayList, namespace: str, name: str) -> ReplayInfo | None:
    found = (each for each in replays.last_known() if (each.namespace, each.name) == (namespace, name))
    return next(found, None)
