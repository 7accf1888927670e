"""Invalid input on a running deck: a message names each error, and no data is lost."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

import by_hand.samples as by_hand
from decks.process import Deck, apply, broker_of, eventually, phase, running_deck
from pods.replay import MINUTE, bars, committed, insert_minutes
from tapedeck_crds.json import Json
from tapedeck_deck.cli.app import app
from tapedeck_deck.cli.deck import status
from tapedeck_deck.cli.describe import describe
from tapedeck_deck.demo import audit
from tapedeck_deck.embedded import documents
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.objects import Objects
from tapedeck_deck.embedded.state_dir import StateDir

EXAMPLES = Path(__file__).parents[3] / "examples"
HEAD = "ts,open,high,low,close,volume\n"
OF_2018 = 1_522_800_000_000  # 2018-04-04T00:00:00Z
BARS = 10_000
SYNTHETIC = {"synthetic": {"symbols": [{"symbol": "A/USD"}], "bars": BARS}}
pytestmark = pytest.mark.slow


def ended(objects: Objects, kind: str, name: str) -> Json:
    eventually(lambda: phase(objects, kind, name) in ("Complete", "Degraded", "Failed"))
    status: Json = objects.get(kind, "default", name)["status"]
    return status


STORE = {"store": {"exchange": "coinbase", "symbols": ["NO/SUCH"]}}


@pytest.mark.parametrize(
    ("kind", "spec", "named"),
    [
        (
            "Replay",
            {"source": STORE},
            "source.store.exchange: got coinbase, expected an exchange with bars in the store",
        ),
        (
            "Backtest",
            {"strategy": {"builtin": "sma-cross"}, "data": STORE},
            "data.store.exchange: got coinbase, expected an exchange with bars in the store",
        ),
    ],
)
def test_a_symbol_without_bars_is_named(shared_deck: Deck, kind: str, spec: Json, named: str) -> None:
    _, _, objects = shared_deck
    apply(objects, kind, "empty", spec, EXAMPLES)
    status = ended(objects, kind, "empty")
    assert status["phase"] == "Failed"
    assert status["conditions"][0]["reason"] == "NoBars"
    assert named in status["message"]


@pytest.mark.parametrize(
    ("strategy", "reason", "named"),
    [
        ({"builtin": "sma-cross", "params": {"fsat": 5}}, "BadParams", "fsat"),
        ({"builtin": "sma-cross", "params": {"fast": "five"}}, "BadParams", "fast"),
        ({"module": "nowhere:Nothing"}, "BadStrategy", "nowhere"),
    ],
)
def test_an_invalid_strategy_is_named(shared_deck: Deck, strategy: Json, reason: str, named: str) -> None:
    _, _, objects = shared_deck
    name = f"wrong-{named}"
    apply(objects, "Backtest", name, {"strategy": strategy, "data": STORE}, EXAMPLES)
    status = ended(objects, "Backtest", name)
    assert (status["phase"], status["conditions"][0]["reason"]) == ("Failed", reason)
    assert named in status["message"]


BREAKS = """
import backtrader as bt
class Breaks(bt.Strategy):
    params = (('at', 0),)
    def __init__(self):
        self.p.at or self.nothing.at_all()
    def next(self):
        if len(self) == self.p.at:
            raise LookupError('late')
"""


@pytest.mark.parametrize(
    ("at", "lines"),
    [
        (0, ["line 6, in __init__", "self.p.at or self.nothing.at_all()", "AttributeError: "]),
        (70_000, ["line 9, in next", "raise LookupError('late')", "LookupError: late"]),
    ],
)
def test_an_exception_of_a_strategy_is_reported_with_its_traceback(
    shared_deck: Deck, tmp_path: Path, at: int, lines: list[str]
) -> None:
    home, facts, objects = shared_deck
    exchange = f"broken{at}"
    insert_minutes((home.migrate / "store_dsn").read_text().strip(), exchange, ["A/B"], at + 10)
    (tmp_path / "mine.py").write_text(BREAKS)
    strategy = {"module": "mine:Breaks", "params": {"at": at}}
    data = {"store": {"exchange": exchange, "symbols": ["A/B"]}}
    apply(objects, "Backtest", exchange, {"strategy": strategy, "data": data}, tmp_path)
    status = ended(objects, "Backtest", exchange)
    assert (status["phase"], status["conditions"][0]["reason"]) == ("Failed", "StrategyError")
    text = describe(objects, objects.get("Backtest", "default", exchange))
    assert all(any(line in row for row in text.splitlines()) for line in lines)
    assert status["message"].startswith(f'File "{tmp_path}/mine.py", '), "lines of others before its own"

    def kept() -> Any:
        with psycopg.connect(facts["dsn"]) as connection:
            query = "SELECT message, bars FROM runs WHERE run_id = %s AND state = 'failed'"
            return connection.execute(query, (status["runId"],)).fetchone()

    message, seen = eventually(kept)
    assert all(line in message for line in lines)
    assert seen == at


def test_rejected_rows_are_recorded_with_their_place(shared_deck: Deck, tmp_path: Path) -> None:
    home, facts, objects = shared_deck
    lines = [
        "60000,1,2,0.5,1.5,3",
        "180000,1,2,0.5,1.5,3",  # out of order
        "120000,1,2,0.5,1.5,3",
        "120000,1,2,0.5,1.5,3",  # the same again
        "240000,1,2,0.5",  # broken
        "300000,NaN,2,0.5,1.5,3",
        "180000,9,9,9,9,9",  # another bar of a time that was there
        "360000,1,2,0.5,1.5,3",
    ]
    (tmp_path / "a.csv").write_text(HEAD + "\n".join(lines) + "\n")
    files = OF_FILE["files"] | {"time": {"unit": "ms"}}
    apply(objects, "Feed", "bad-rows", {"source": {"files": files}}, tmp_path)
    status = ended(objects, "Feed", "bad-rows")
    assert (status["phase"], status["conditions"][0]["reason"]) == ("Degraded", "RowsRefused"), status
    assert "3 of 8 rows (37.5 %) refused: columns: got 4" in status["message"]
    assert (status["bars"], status["duplicates"], status["errors"]) == (4, 1, 3)
    places = [(each["place"].rpartition("/")[2], each["rows"]) for each in status["refused"]]
    assert places == [("a.csv:6", 1), ("a.csv:7", 1), ("a.csv:8", 1)]

    def kept() -> list[Any]:
        with psycopg.connect(facts["dsn"]) as connection:
            return connection.execute("SELECT place, reason FROM ingest_errors WHERE exchange = 'bad'").fetchall()

    eventually(lambda: len(kept()) == 3)
    assert {place.rsplit(":", 1)[1] for place, _ in kept()} == {"6", "7", "8"}
    listed = CliRunner().invoke(app, ["errors", "feed/bad-rows", "--home", str(home.root)]).stdout.splitlines()
    assert len(listed) == 4 and all("bad-rows" in line and "A/B" in line for line in listed[1:])
    assert "open: got nan" in describe(objects, objects.get("Feed", "default", "bad-rows"))
    with psycopg.connect(facts["dsn"]) as connection:
        query = "SELECT extract(epoch FROM ts)::int FROM bars WHERE exchange = 'bad' ORDER BY ts"
        stored = eventually(lambda: len(f := connection.execute(query).fetchall()) == 4 and f)
    assert [row[0] for row in stored] == [60, 120, 180, 360]


def test_missing_trades_are_listed_where_errors_point_to(shared_deck: Deck, tmp_path: Path) -> None:
    home, _, objects = shared_deck

    def said(*words: str) -> tuple[list[list[str]], str]:
        answer = CliRunner().invoke(app, [*words, "--home", str(home.root)])
        return [line.split() for line in answer.stdout.splitlines()], answer.stderr

    there = [n for n in range(1, 100) if n not in (20, 21, 50)]
    rows = "".join(f"{1_522_800_000_000 + n * 1_000},{n},1,1,buy\n" for n in there)
    (tmp_path / "a.csv").write_text("ts,id,price,amount,side\n" + rows)
    files = {"exchange": "holes", "sets": [{"symbol": "A/B", "path": "a.csv"}]}
    apply(objects, "Feed", "holes", {"source": {"files": files}}, tmp_path)
    ended(objects, "Feed", "holes")
    listed = eventually(lambda: len(found := said("gaps", "feed/holes")[0]) == 3 and found)
    series = ["holes", "A/B", "trades", "open"]
    assert listed[1:] == [
        [*series, "1", "2018-04-04T00:00:49Z", "2018-04-04T00:00:51Z", "50"],
        [*series, "2", "2018-04-04T00:00:19Z", "2018-04-04T00:00:22Z", "20\N{EN DASH}21"],
    ]
    summary = [*series, "2", "3", "2018-04-04T00:00:19Z", "2018-04-04T00:00:51Z"]
    assert summary in said("gaps")[0] and summary in said("gaps", "--state", "open")[0]
    assert said("gaps", "feed/holes", "--state", "filled")[0] == [["no", "gaps"]]
    assert said("errors", "feed/holes") == (
        [["nothing", "was", "refused"]],
        "2 gaps of missing trades or bars: `tapedeck gaps feed/holes` lists them\n",
    )
    assert "expected one of open, filled, unfillable" in said("gaps", "--state", "no")[1]
    assert "expected a feed" in said("gaps", "replay/x")[1]


def test_no_such_file_is_named(shared_deck: Deck, tmp_path: Path) -> None:
    _, _, objects = shared_deck
    files = {"exchange": "bad", "sets": [{"symbol": "A/B", "path": "missing-*.csv"}]}
    apply(objects, "Feed", "no-file", {"source": {"files": files}}, tmp_path)
    status = ended(objects, "Feed", "no-file")
    assert (status["phase"], status["conditions"][0]["reason"]) == ("Failed", "BadFiles")
    assert "missing-*.csv" in status["message"]


def test_a_replay_sorts_the_rows_of_a_file_and_drops_repeats_as_a_feed_does(shared_deck: Deck, tmp_path: Path) -> None:
    _, facts, objects = shared_deck
    write_rows(tmp_path / "late.csv", OF_2018 + 2 * MINUTE, OF_2018, OF_2018 + MINUTE, OF_2018)
    files = {"exchange": "bad", "sets": [{"symbol": "A/B", "path": "late.csv"}]}
    apply(objects, "Replay", "late", {"source": {"files": files}, "unpaced": True}, tmp_path)
    assert ended(objects, "Replay", "late")["phase"] == "Complete"
    topic = objects.get("Replay", "default", "late")["status"]["topic"]
    played = bars(committed(broker_of(facts), topic))
    assert [bar[0] for bar in played] == [OF_2018, OF_2018 + MINUTE, OF_2018 + 2 * MINUTE]


def write_rows(path: Path, *times: int) -> None:
    path.write_text(HEAD + "".join(f"{ts},1,2,0.5,1.5,3\n" for ts in times))


def csv_rows(*rows: str) -> Json:
    return {"a.csv": HEAD + "".join(f"{row},1,2,0.5,1.5,3\n" for row in rows)}


OF_FILE = {"files": {"exchange": "bad", "sets": [{"symbol": "A/B", "path": "a.csv"}]}}
RANGE = {"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"}
MINUTES = range(OF_2018, OF_2018 + 30_000_000, 60_000)
HOURS = range(OF_2018 + 36_000_000, OF_2018 + 180_000_000, 3_600_000)


@pytest.mark.parametrize(
    ("source", "files", "reason", "named"),
    [
        (
            {"store": {"exchange": "there", "symbols": ["A/B"]} | RANGE},
            {},
            "NoBars",
            "source.store.from, to: got 2020-01-01",
        ),
        ({"topic": {"name": "of-old"}}, {}, "NoTopic", "source.topic.name: got of-old"),
        (OF_FILE, csv_rows(*map(str, [*MINUTES, *HOURS])), "BadFiles", "interval: got 1m, expected 1h"),
        (OF_FILE, csv_rows("noon"), "BadFiles", "expected a time like 2018-04-25 13:30:00"),
        (
            OF_FILE,
            {"a.csv": HEAD + f"{OF_2018},1,2,0.5,1.5,3\n{OF_2018},1,2,0.5,1.6,3\n"},
            "BadFiles",
            "a.csv:3",
        ),
        (OF_FILE, {"a.csv": HEAD + f"{OF_2018},1,2,nan,1.5,3\n"}, "BadFiles", "a.csv:2: low: got nan"),
    ],
    ids=["empty range", "no topic", "mixed intervals", "no offset", "two of a time", "not a number"],
)
def test_an_unplayable_source_is_named(
    shared_deck: Deck,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    source: Json,
    files: Json,
    reason: str,
    named: str,
) -> None:
    home, _, objects = shared_deck
    if "store" in source:
        insert_minutes((home.migrate / "store_dsn").read_text().strip(), "there", ["A/B"], 1)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    name = request.node.callspec.id.replace(" ", "-")
    apply(objects, "Replay", name, {"source": source}, tmp_path)
    status = ended(objects, "Replay", name)
    assert (status["phase"], status["conditions"][0]["reason"]) == ("Failed", reason)
    assert named in status["message"]
    pods = [p for p in objects.list("Pod") if p["metadata"]["name"].startswith(f"replay-{name}")]
    assert len(pods) == 1, "a retry cannot help"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_disk_filled_to_the_last_byte_loses_nothing(tmp_path: Path) -> None:
    """The disk of a whole deck fills up during a Replay. Everything resumes by itself once there is space."""
    home = StateDir.at(tmp_path / "home")
    home.prepare()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=800m,mode=700", "tmpfs", str(home.root)]
    subprocess.run(mounted, check=True)
    try:
        ballast = home.root / "ballast"
        with running_deck(home.root) as (_, facts, objects):
            # Slow enough to be under way still when the disk is full, on a busy machine too.
            apply(objects, "Replay", "tape", {"source": SYNTHETIC, "speed": 3_000})
            eventually(lambda: (status_of(objects, "Replay", "tape").get("published") or 0) > 0)
            _fill(ballast)
            feed = documents.read([str(EXAMPLES / "feed.yaml")])[0].content
            with contextlib.suppress(DeckError):  # it has space where another file gave some back
                apply(objects, "Feed", "full", feed["spec"], EXAMPLES)
            eventually(lambda: "No space left" in status(home)["problems"].get("disk", ""), timeout=90)
            eventually(lambda: {"broker", "database"} & set(status(home)["problems"]), timeout=120)
            ballast.unlink()
            apply(objects, "Feed", "full", feed["spec"], EXAMPLES)
            objects.patch_spec("Replay", "default", "tape", {"spec": {"speed": 60_000}})
            eventually(lambda: phase(objects, "Feed", "full") == "Complete", timeout=150)
            eventually(lambda: phase(objects, "Replay", "tape") == "Complete", timeout=90)
            played = bars(committed(broker_of(facts), status_of(objects, "Replay", "tape")["topic"]))
            assert [bar[0] for bar in played] == [played[0][0] + n * MINUTE for n in range(BARS)]
            expected = by_hand.coinbase(EXAMPLES / "data" / "coinbase-minute")
            eventually(lambda: audit.check_store(facts["dsn"], "coinbase", expected).lost == 0, timeout=90)
            assert audit.check_store(facts["dsn"], "coinbase", expected) == audit.AuditResult("store", 13_886, 0, 0)
            eventually(lambda: status(home)["problems"] == {}, timeout=30)
            said = [e for e in objects.events("deck") if e["name"] == "disk"]
            assert [(e["reason"], e["count"]) for e in said] == [("Problem", 1), ("Recovered", 1)]
            assert status(home)["pid"] == facts["pid"]
            assert "Traceback" not in home.deck_log.read_text()
    finally:
        time.sleep(0.5)
        subprocess.run(["umount", "-l", home.root], check=True)


def status_of(objects: Objects, kind: str, name: str) -> Json:
    status: Json = objects.get(kind, "default", name).get("status", {})
    return status


def _fill(path: Path) -> None:
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return
