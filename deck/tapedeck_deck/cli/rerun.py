"""`tapedeck rerun`: an experiment done again, and what came of it beside what came of it then."""

from __future__ import annotations

import time
import uuid
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg.rows import dict_row

from tapedeck_crds.base import format_ms
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import API_VERSION
from tapedeck_crds.parse import parse_resource
from tapedeck_deck.cli.session import DOWN, opened, say
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.home import Home
from tapedeck_deck.embedded.objects import NotFound, Objects
from tapedeck_operator.plan.names import APPLIED_FROM

POLL_SECONDS = 0.3
NAME_MAX = 40
# What of a Replay no trade depends on: how fast it was played, how often, and who else got it. The clock may be that of
# a Replay that is gone, and what stops or repeats the tape would keep the run from its end.
_OF_PLAYING = (
    "speed", "paused", "step", "loop", "until", "clock", "record", "target", "transforms", "ttlSecondsAfterFinished",
)  # fmt: skip

# A sweep has no trades of its own: its trials' stand for them.
_RUN = """
SELECT run_id, name, namespace, spec, state, message, origin,
       coalesce(nullif(trades_hash, ''), (
           SELECT md5(string_agg(concat_ws(':', win, trial, t.trades_hash), ';' ORDER BY win, trial))
           FROM run_trials t WHERE t.run_id = runs.run_id
       )) AS trades_hash
FROM runs LEFT JOIN run_origins USING (run_id)
WHERE run_id = %(run)s OR name = %(run)s ORDER BY run_id = %(run)s DESC, started_at DESC LIMIT 1
"""


def rerun(home: Home, run: str, timeout: float) -> bool:
    """Do a run again; returns whether its trades are the same. Raises DeckError."""
    facts = home.running()
    if facts is None:
        raise DeckError(DOWN)
    before = _run(facts["dsn"], run)
    if before is None:
        raise DeckError(f"run: got {run!r}, expected the id of a run, or its Backtest's name, in the store")
    if why := why_not(before):
        raise DeckError(f"run {before['run_id']} {why}, expected one that can be compared")
    with opened(home) as objects:
        uid = _make(objects, before)
    say(f"run {before['run_id']} ({before['name']}) goes again as {uid}")
    after = _wait(facts["dsn"], uid, home, timeout)
    lines = differences(before, after)
    print("\n".join(lines))
    return bool(before["trades_hash"] == after["trades_hash"])


def why_not(before: Json) -> str:
    """Why a run can't be done again; empty for one that can."""
    if before["state"] != "complete":
        return f"is not complete ({before['state']})"
    if before["origin"] is None:
        return "does not say what it was made of"
    epoch = before["run_id"].partition("@")[2]  # of one that began again; what is behind the dot counts loops
    if epoch and not epoch.startswith("0.") and before["origin"].get("begin") is None:
        return "began again at a seek while its Replay played, and its record does not keep where that went"
    return ""


def differences(before: Json, after: Json) -> list[str]:
    """What is the same and what differs between two runs, a line each; data first, trades last."""
    lines = data_differences(before["origin"]["data"], after["origin"]["data"])
    for what in ("images", "version"):
        then, now = before["origin"][what], after["origin"][what]
        if then != now:
            lines.append(f"{what}: was {then}, is {now}")
    same = before["trades_hash"] == after["trades_hash"]
    lines.append("trades: the same" if same else f"trades: was {before['trades_hash']}, is {after['trades_hash']}")
    return lines


def data_differences(before: str, after: str) -> list[str]:
    """The parts of a fingerprint (name=content, by ;) that changed."""
    if before == after:
        return ["data: the same"]
    then, now = (dict(part.rpartition("=")[::2] for part in text.split(";")) for text in (before, after))
    return [
        f"data: {name} was {then.get(name, 'not there')}, is {now.get(name, 'not there')}"
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name)
    ]


def _make(objects: Objects, before: Json) -> str:
    """The same Replay and Backtest under new names; returns the new run's id."""
    suffix = f"-rerun-{uuid.uuid4().hex[:6]}"
    spec: Json = before["spec"]
    origin = before["origin"]
    manifests = []
    if origin["replay"] is not None:
        name = _named(origin["replay_name"], suffix)
        played = {k: v for k, v in origin["replay"].items() if k not in _OF_PLAYING}
        played |= {"unpaced": True, "atEnd": "finish"}
        if "begin" in origin:  # else the spec's seek has to do
            played.pop("seek", None)
        if origin.get("begin") is not None:
            played["seek"] = {"to": format_ms(origin["begin"]), "id": "rerun"}
        manifests.append(_manifest(objects, before, "Replay", origin["replay_name"], name, played))
        spec = spec | {"data": {"replay": spec["data"]["replay"] | {"name": name}}}
    spec = {k: v for k, v in spec.items() if k not in ("suspend", "ttlSecondsAfterFinished")}
    manifests.append(_manifest(objects, before, "Backtest", before["name"], _named(before["name"], suffix), spec))
    with objects.transaction():
        kept = [objects.apply(manifest)[0] for manifest in manifests]
    return str(kept[-1]["metadata"]["uid"])


def _named(name: str, suffix: str) -> str:
    return name[: NAME_MAX - len(suffix)].rstrip("-") + suffix


def _manifest(objects: Objects, before: Json, kind: str, was: str, name: str, spec: Json) -> Json:
    folder = _folder(objects, before["namespace"], (kind, was), ("Backtest", before["name"]))
    metadata = {"name": name, "namespace": before["namespace"], "annotations": {APPLIED_FROM: folder}}
    manifest = {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}
    parse_resource(manifest)
    return manifest


def _folder(objects: Objects, namespace: str, *those: tuple[str, str]) -> str:
    """Where files and modules are found: where the first one still there was applied from, else here."""
    for kind, name in those:
        with suppress(NotFound, KeyError):
            return str(objects.get(kind, namespace, name)["metadata"]["annotations"][APPLIED_FROM])
    return str(Path.cwd())


def _wait(dsn: str, uid: str, home: Home, timeout: float) -> Json:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        found = _run(dsn, uid)
        if found is not None and found["state"] != "running" and found["origin"] is not None:
            if found["state"] == "failed":
                raise DeckError(f"run {uid} failed: {found['message']}")
            return found
        with opened(home) as objects:
            _refuse_failed(objects, uid)
        time.sleep(POLL_SECONDS)
    raise DeckError(f"run {uid} is not over after {timeout:g} s; `tapedeck get backtests` shows how it does")


def _refuse_failed(objects: Objects, uid: str) -> None:
    for backtest in objects.list("Backtest"):
        status = backtest.get("status") or {}
        if backtest["metadata"]["uid"] == uid and status.get("phase") == "Failed":
            raise DeckError(f"run {uid} failed: {status.get('message', 'see its status')}")


def _run(dsn: str, run: str) -> Json | None:
    with psycopg.connect(dsn, connect_timeout=10, row_factory=dict_row) as connection:
        return connection.execute(_RUN, {"run": run}).fetchone()
