"""The demo: a Feed loads sample bars into the store, a Replay plays them, a Backtest trades them, an audit checks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from rich.console import Console
from rich.table import Table

from tapedeck_crds.json import Json
from tapedeck_crds.kinds import AnyResource
from tapedeck_crds.parse import parse_resource
from tapedeck_deck.demo import audit
from tapedeck_deck.embedded import deck, documents
from tapedeck_deck.embedded.broker_access import read_client_properties
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.objects import Objects
from tapedeck_deck.embedded.state_dir import StateDir
from tapedeck_deck.progress_bars import ProgressBars
from tapedeck_operator.plan.names import APPLIED_FROM
from tapedeck_operator.reconcile.errors import ObjectNotFound

STEP_TIMEOUT = 180.0
POLL_SECONDS = 0.1
_ROWS = (
    ("Final value", "final_value", "{:,.2f}"),
    ("Return", "return_percent", "{:+.2f} %"),
    ("Max drawdown", "max_drawdown_percent", "{:.2f} %"),
    ("Sharpe ratio", "sharpe", "{:.2f}"),
    ("Trades", "trades", "{:.0f}"),
    ("Win rate (closed trades)", "win_rate_percent", "{:.1f} %"),
    ("Open positions", "open_positions", "{:.0f}"),
)


@dataclass(frozen=True)
class DemoResult:
    """The figures of the demo's last line."""

    bars_in: int
    bars_stored: int
    replayed: int
    trades: int
    final_value: float
    lost: int
    doubled: int

    def __str__(self) -> str:
        return (
            f"demo: bars_in={self.bars_in} bars_stored={self.bars_stored} replayed={self.replayed} "
            f"trades={self.trades} final_value={self.final_value:.2f} lost={self.lost} doubled={self.doubled}"
        )


def demo(home: StateDir, examples: Path, console: Console, *, keep: bool, port: int = 0) -> DemoResult:
    """Run the demo, on the running deck or one of its own. Raises DeckError if a step fails."""
    feed, replay, backtest = (_load(examples / f"{name}.yaml") for name in ("feed", "replay", "backtest"))
    with _running_deck(home, console, keep=keep, port=port) as facts:
        objects = Objects(home.objects)
        for resource in (backtest, replay, feed):
            _remove(objects, resource)
        console.print(f"chart: {facts['gateway']}", highlight=False)
        fed = _wait_complete(objects, [_apply(objects, feed, examples)], console)[0]
        _wait_stored(facts["dsn"], fed, console)
        played, traded = _wait_complete(
            objects, [_apply(objects, replay, examples), _apply(objects, backtest, examples)], console
        )
        run = _finished_run(facts["dsn"], traded["metadata"]["uid"])
        console.print(_results_table(run))
        result = _check(facts, examples, fed, played, traded, run)
        if keep:
            address = f"{facts['gateway']}?replay={played['metadata']['uid']}&run={traded['metadata']['uid']}"
            note = f"the deck keeps running: {address}\n`tapedeck --home {home.root} down` stops it"
            console.print(note, highlight=False, soft_wrap=True)  # a wrapped address cannot be clicked
    return result


@contextmanager
def _running_deck(home: StateDir, console: Console, *, keep: bool, port: int) -> Iterator[Json]:
    facts = home.running()
    if facts is None:
        with console.status("starting broker, database, recorder and gateway"):
            facts = deck.start_background(home, port, die_with_caller=not keep)
    done = False
    try:
        yield facts
        done = True
    finally:
        if not (keep and done):
            with console.status("stopping the deck"):
                deck.stop(home)


def _load(path: Path) -> AnyResource:
    found = documents.read([str(path)])
    if len(found) != 1:
        raise DeckError(f"{path}: got {len(found)} documents, expected one")
    return parse_resource(found[0].content)


def _apply(objects: Objects, resource: AnyResource, examples: Path) -> Json:
    document = resource.model_dump(by_alias=True, exclude_none=True)
    document["metadata"].setdefault("annotations", {})[APPLIED_FROM] = str(examples.resolve())
    return objects.apply(document)[0]


def _remove(objects: Objects, resource: AnyResource) -> None:
    try:
        objects.delete(resource.kind, resource.metadata.namespace, resource.metadata.name)
    except ObjectNotFound:
        return


def _wait_complete(objects: Objects, started: list[Json], console: Console) -> list[Json]:
    """Show the resources' progress until all are complete, and return them. Raises DeckError if one fails."""
    deadline = time.monotonic() + STEP_TIMEOUT
    with ProgressBars(console) as progress:
        while True:
            now = [objects.get(d["kind"], d["metadata"]["namespace"], d["metadata"]["name"]) for d in started]
            for document in now:
                progress.update(document)
                if (phase := document.get("status", {}).get("phase")) in ("Failed", "Degraded"):
                    raise DeckError(f"{_title(document)} is {phase}: {document['status'].get('message', '')}")
            if all(d.get("status", {}).get("phase") == "Complete" for d in now):
                return now
            if time.monotonic() > deadline:
                raise DeckError(f"{', '.join(map(_title, now))}: not complete after {STEP_TIMEOUT:.0f} s")
            time.sleep(POLL_SECONDS)


def _title(document: Json) -> str:
    return f"{document['kind']} {document['metadata']['name']}"


def _wait_stored(dsn: str, fed: Json, console: Console) -> None:
    """Wait until the recorder has stored the bars that the Feed published."""
    exchange = fed["spec"]["source"]["files"]["exchange"]
    with console.status("waiting for the recorder to store the last bars"):
        _until(lambda: _stored(dsn, exchange) >= fed["status"]["bars"], "bars in the store")


def _stored(dsn: str, exchange: str) -> int:
    with psycopg.connect(dsn, connect_timeout=10) as connection:
        row = connection.execute("SELECT count(*) FROM bars WHERE exchange = %s", (exchange,)).fetchone()
    return int(row[0]) if row is not None else 0


def _finished_run(dsn: str, run_id: str) -> Json:
    found: list[Json] = []

    def finished() -> bool:
        with psycopg.connect(dsn, connect_timeout=10, row_factory=psycopg.rows.dict_row) as connection:
            found[:] = connection.execute(
                "SELECT * FROM runs WHERE run_id = %s AND state <> 'running'", (run_id,)
            ).fetchall()
        return bool(found)

    _until(finished, "the run's results")
    return found[0]


def _until(done: Callable[[], bool], description: str) -> None:
    deadline = time.monotonic() + 30
    while not done():
        if time.monotonic() > deadline:
            raise DeckError(f"waited 30 s for {description}: see `tapedeck logs deployment/recorder`")
        time.sleep(POLL_SECONDS)


def _check(facts: Json, examples: Path, fed: Json, played: Json, traded: Json, run: Json) -> DemoResult:
    files = fed["spec"]["source"]["files"]
    source = audit.source_bars(examples, {s["symbol"]: s["path"] for s in files["sets"]})
    traded_bars = sum(symbol in run["symbols"] for symbol, _ in source)
    audits = [
        audit.check_store(facts["dsn"], files["exchange"], source),
        audit.check_topic(read_client_properties(Path(facts["kafka"])), played["status"]["topic"], source),
        audit.check_run(facts["dsn"], traded["metadata"]["uid"], traded_bars),
    ]
    return DemoResult(
        bars_in=fed["status"]["bars"],
        bars_stored=audits[0].found,
        replayed=audits[1].found,
        trades=int(run["metrics"]["trades"]),
        final_value=run["metrics"]["final_value"],
        lost=sum(a.lost for a in audits),
        doubled=sum(a.doubled for a in audits),
    )


def _results_table(run: Json) -> Table:
    """The main figures of a run."""
    table = Table(title=f"{run['strategy']} on {', '.join(run['symbols'])}", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for label, name, template in _ROWS:
        value = run["metrics"].get(name)
        table.add_row(label, template.format(value) if value is not None else run["undefined"][name])
    return table
