"""The resources that repeat a stored run: its Backtest, and the Replay that it traded, under new names."""

from __future__ import annotations

from dataclasses import dataclass

from tapedeck_crds.base import format_ms
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import API_VERSION

NAME_MAX = 40
# Fields of a Replay's spec that no trade depends on: its speed and its sinks. A clock may follow a Replay that was
# deleted, and pauses, stops and loops would keep the repeated run from ending.
_PLAYBACK_FIELDS = (
    "speed", "paused", "step", "loop", "until", "clock", "record", "target", "transforms", "ttlSecondsAfterFinished",
)  # fmt: skip


@dataclass(frozen=True)
class StoredRun:
    """A run as the store has it. ``origin`` is its record of data and code, None before the run has read its data."""

    run_id: str
    name: str
    namespace: str
    spec: Json
    state: str
    origin: Json | None


def repeat_obstacle(run: StoredRun) -> str:
    """Why a run cannot be repeated, as the end of a sentence; empty if it can."""
    if run.state != "complete":
        return f"is not complete ({run.state})"
    if run.origin is None:
        return "has no record of its data and code"
    # The epoch of a run that a seek or a loop restarted; its part behind the dot counts loops.
    epoch = run.run_id.partition("@")[2]
    if epoch and not epoch.startswith("0.") and run.origin.get("begin") is None:
        return "was restarted by a seek of its Replay, and its record lacks the target of the seek"
    return ""


def manifests_of(run: StoredRun) -> list[Json]:
    """The Replay that a run traded, if it did, and its Backtest, as they were."""
    manifests = []
    if run.origin is not None and run.origin.get("replay") is not None:
        manifests.append(_manifest("Replay", run.origin["replay_name"], run.namespace, run.origin["replay"]))
    return [*manifests, _manifest("Backtest", run.name, run.namespace, run.spec)]


def repeated_manifests(run: StoredRun, suffix: str) -> list[Json]:
    """Manifests that repeat a run without an obstacle: the Replay that it trades, if it does, and its Backtest last."""
    origin, spec, manifests = run.origin or {}, run.spec, []
    if origin.get("replay") is not None:
        name = _with_suffix(origin["replay_name"], suffix)
        played = {key: value for key, value in origin["replay"].items() if key not in _PLAYBACK_FIELDS}
        played |= {"unpaced": True, "atEnd": "finish"}
        if "begin" in origin:  # an older record has only the spec's seek
            played.pop("seek", None)
        if origin.get("begin") is not None:
            played["seek"] = {"to": format_ms(origin["begin"]), "id": "rerun"}
        manifests.append(_manifest("Replay", name, run.namespace, played))
        spec = spec | {"data": {"replay": spec["data"]["replay"] | {"name": name}}}
    spec = {key: value for key, value in spec.items() if key not in ("suspend", "ttlSecondsAfterFinished")}
    return [*manifests, _manifest("Backtest", _with_suffix(run.name, suffix), run.namespace, spec)]


def _with_suffix(name: str, suffix: str) -> str:
    return name[: NAME_MAX - len(suffix)].rstrip("-") + suffix


def _manifest(kind: str, name: str, namespace: str, spec: Json) -> Json:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}
