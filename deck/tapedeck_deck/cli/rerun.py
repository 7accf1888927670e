"""`tapedeck rerun`: repeat a stored run and compare its data, code and trades with those of the original."""

from __future__ import annotations

import time
import uuid
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg.rows import dict_row
from rich.console import Console

from tapedeck_crds.json import Json
from tapedeck_crds.parse import parse_resource
from tapedeck_crds.repeat import StoredRun, repeat_obstacle, repeated_manifests
from tapedeck_deck.cli.context import NOT_RUNNING, open_objects
from tapedeck_deck.cli.printing import print_note
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.objects import Objects
from tapedeck_deck.embedded.state_dir import StateDir
from tapedeck_deck.progress_bars import ProgressBars
from tapedeck_operator.plan.names import APPLIED_FROM
from tapedeck_operator.reconcile.errors import ObjectNotFound

POLL_SECONDS = 0.3
# A sweep has no trades of its own: the hash covers those of its trials.
_RUN = """
SELECT run_id, name, namespace, spec, state, message, origin,
       coalesce(nullif(trades_hash, ''), (
           SELECT md5(string_agg(concat_ws(':', win, trial, t.trades_hash), ';' ORDER BY win, trial))
           FROM run_trials t WHERE t.run_id = runs.run_id
       )) AS trades_hash
FROM runs LEFT JOIN run_origins USING (run_id)
WHERE run_id = %(run)s OR name = %(run)s ORDER BY run_id = %(run)s DESC, started_at DESC LIMIT 1
"""


def rerun(home: StateDir, run: str, timeout: float) -> Json:
    """Repeat a run: ``run`` and ``repeated_as`` are ids, ``differences`` the comparison. Raises DeckError."""
    facts = home.running()
    if facts is None:
        raise DeckError(NOT_RUNNING)
    before = _run(facts["dsn"], run)
    if before is None:
        raise DeckError(f"run: got {run!r}, expected the id of a run, or its Backtest's name, in the store")
    stored = StoredRun(*(before[name] for name in ("run_id", "name", "namespace", "spec", "state", "origin")))
    if obstacle := repeat_obstacle(stored):
        raise DeckError(f"run {before['run_id']} {obstacle}; expected a complete run that can be repeated")
    with open_objects(home) as objects:
        uid = _create(objects, stored)
    print_note(f"run {before['run_id']} ({before['name']}) is repeated as {uid}")
    with ProgressBars(Console(stderr=True)) as progress:
        after = _wait(facts["dsn"], uid, home, timeout, progress)
    return {
        "run": before["run_id"],
        "repeated_as": uid,
        "same_trades": before["trades_hash"] == after["trades_hash"],
        "differences": differences(before, after),
    }


def differences(before: Json, after: Json) -> list[str]:
    """The comparison of two runs, one line per difference: data first, trades last."""
    lines = data_differences(before["origin"]["data"], after["origin"]["data"])
    for name in ("images", "version"):
        then, now = before["origin"][name], after["origin"][name]
        if then != now:
            lines.append(f"{name}: was {then}, is {now}")
    same = before["trades_hash"] == after["trades_hash"]
    lines.append("trades: the same" if same else f"trades: was {before['trades_hash']}, is {after['trades_hash']}")
    return lines


def data_differences(before: str, after: str) -> list[str]:
    """The changed parts of a data fingerprint (name=content, separated by ;)."""
    if before == after:
        return ["data: the same"]
    then, now = (dict(part.rpartition("=")[::2] for part in text.split(";")) for text in (before, after))
    return [
        f"data: {name} was {then.get(name, 'missing')}, is {now.get(name, 'missing')}"
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name)
    ]


def _create(objects: Objects, run: StoredRun) -> str:
    """Apply the same Backtest, and its Replay if it has one, under new names. Returns the id of the new run."""
    manifests = repeated_manifests(run, f"-rerun-{uuid.uuid4().hex[:6]}")
    for manifest in manifests:
        former = run.name if manifest["kind"] == "Backtest" else (run.origin or {})["replay_name"]
        folder = _folder(objects, run.namespace, (manifest["kind"], former), ("Backtest", run.name))
        manifest["metadata"]["annotations"] = {APPLIED_FROM: folder}
        parse_resource(manifest)
    with objects.transaction():
        applied = [objects.apply(manifest)[0] for manifest in manifests]
    return str(applied[-1]["metadata"]["uid"])


def _folder(objects: Objects, namespace: str, *candidates: tuple[str, str]) -> str:
    """The folder for files and modules: that of the first existing candidate, else the current folder."""
    for kind, name in candidates:
        with suppress(ObjectNotFound, KeyError):
            return str(objects.get(kind, namespace, name)["metadata"]["annotations"][APPLIED_FROM])
    return str(Path.cwd())


def _wait(dsn: str, uid: str, home: StateDir, timeout: float, progress: ProgressBars) -> Json:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        found = _run(dsn, uid)
        if found is not None and found["state"] != "running" and found["origin"] is not None:
            if found["state"] == "failed":
                raise DeckError(f"run {uid} failed: {found['message']}")
            return found
        with open_objects(home) as objects:
            backtests = [each for each in objects.list("Backtest") if each["metadata"]["uid"] == uid]
        for backtest in backtests:
            progress.update(backtest)
            _raise_if_failed(backtest)
        time.sleep(POLL_SECONDS)
    raise DeckError(f"run {uid} has not ended after {timeout:g} s; see `tapedeck get backtests`")


def _raise_if_failed(backtest: Json) -> None:
    status = backtest.get("status") or {}
    if status.get("phase") == "Failed":
        raise DeckError(f"run {backtest['metadata']['uid']} failed: {status.get('message', 'see its status')}")


def _run(dsn: str, run: str) -> Json | None:
    with psycopg.connect(dsn, connect_timeout=10, row_factory=dict_row) as connection:
        return connection.execute(_RUN, {"run": run}).fetchone()
