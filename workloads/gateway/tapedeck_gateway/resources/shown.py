"""A resource as a reader sees it: a Backtest on a Replay that went back is shown without what its run did later."""

from __future__ import annotations

from tapedeck_common.wire import Epoch
from tapedeck_crds.json import Json

# What is known of a run whatever it has traded. Other fields of its status, new ones too, are its outcome.
_KNOWN_BEFORE = frozenset(
    {"phase", "observedGeneration", "conditions", "startedAt", "finishedAt", "runId", "replayUid"}
)


def without_outcome(backtest: Json) -> Json:
    """The Backtest without its figures, and without messages, which may hold some."""
    status = {key: value for key, value in (backtest.get("status") or {}).items() if key in _KNOWN_BEFORE}
    if "conditions" in status:
        status["conditions"] = [each | {"message": ""} for each in status["conditions"]]
    return backtest | {"status": status}


def has_gone_back(epoch: str) -> bool:
    """Whether a replay of this epoch has played, before a seek or a round, what may lie beyond its position now."""
    return Epoch.parse(epoch) != Epoch()
