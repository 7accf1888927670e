"""`tapedeck import`: a folder of files from many programs comes in by one command; what is wrong does not."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
from typer.testing import CliRunner, Result

from decks.process import Deck
from layouts.compare import BAR, difference, of_trades
from layouts.market import series
from layouts.samples import write
from tapedeck_deck.cli.app import app

BARS = ("binance-klines-us", "cdd-old", "decimal-comma", "freqtrade-feather", "pandas-csv", "utf16", "yahoo-daily")
TRADES = ("binance-trades-us-zip", "kraken-trades")
SERIES = series()


def run(deck: Deck, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--home", str(deck[0].root)])


def test_a_folder_of_foreign_files_comes_in_by_one_command(shared_deck: Deck, tmp_path: Path) -> None:
    for name in (*BARS, *TRADES):
        write(name, tmp_path / name)
    (tmp_path / "notes.md").write_text("# where these are from\n")
    answers = [
        run(shared_deck, "import", str(tmp_path / name), "--exchange", name, "--symbol", "TAP/USDT", "--yes")
        for name in (*BARS, *TRADES, BARS[0], TRADES[1])  # a second import changes nothing
    ]
    assert {answer.exit_code for answer in answers} == {0}, [answer.stderr for answer in answers if answer.exit_code]
    with psycopg.connect(shared_deck[1]["dsn"]) as connection:
        for name in BARS:
            rows = connection.execute(
                "SELECT (extract(epoch FROM ts) * 1000)::int8, open, high, low, close, volume FROM bars "
                "WHERE exchange = %s ORDER BY ts",
                [name],
            ).fetchall()
            wanted = {"cdd-old": "bars-1h", "yahoo-daily": "bars-1d"}.get(name, "bars-1m")
            assert difference(BAR, SERIES[wanted], [list(row) for row in rows]) is None, name
        for name, wanted in zip(TRADES, ("trades", "trades-seconds"), strict=True):
            rows = connection.execute(
                "SELECT (extract(epoch FROM ts) * 1000)::int8, id, price, amount, side FROM trades "
                "WHERE exchange = %s ORDER BY ts, seq, length(id), id",
                [name],
            ).fetchall()
            assert of_trades(SERIES[wanted], [list(row) for row in rows]) is None, name


def test_everything_is_looked_at_before_anything_comes_in(shared_deck: Deck, tmp_path: Path) -> None:
    write("plain", tmp_path / "good")
    (tmp_path / "good" / "half.zip").write_bytes(b"PK\x03\x04 and no more")
    (tmp_path / "good" / "notes.md").write_text("# notes\n")
    refused = run(shared_deck, "import", str(tmp_path / "good"), "--exchange", "half", "--yes")
    assert refused.exit_code == 1
    assert "half.zip: cannot be read" in refused.stderr
    assert "nothing was imported" in refused.stderr
    assert "skipped: notes.md" in refused.stderr
    (tmp_path / "good" / "half.zip").unlink()
    asked = run(shared_deck, "import", str(tmp_path / "good"))
    assert asked.exit_code == 1
    assert "assumed: exchange is files (tap.csv)" in asked.stderr
    assert "--yes accepts what is assumed" in asked.stderr
    listed = run(shared_deck, "import", str(tmp_path / "good"), "--exchange", "half", "--dry-run", "-o", "json")
    [found] = json.loads(listed.stdout)["files"]
    assert (listed.exit_code, found["layout"], found["interval"], found["unit"]) == (0, "table", "1m", "ms")
    assert (found["rows"], found["first"], found["last"]) == (40, 1735688400000, 1735691100000)
    assert (found["holes"], found["missing"]) == (2, 6)
    with psycopg.connect(shared_deck[1]["dsn"]) as connection:
        assert connection.execute("SELECT count(*) FROM bars WHERE exchange = 'half'").fetchone() == (0,)


def test_the_feeds_can_be_written(shared_deck: Deck, tmp_path: Path) -> None:
    write("histdata", tmp_path / "data")
    written = run(shared_deck, "import", str(tmp_path / "data"), "--exchange", "h", "--write", "-", "--dry-run")
    assert written.exit_code == 0
    text = written.stdout[written.stdout.index("apiVersion") :]
    (tmp_path / "data" / "feed.yaml").write_text(text)
    applied = run(shared_deck, "apply", "-f", str(tmp_path / "data" / "feed.yaml"))
    assert "created" in applied.stdout, applied.stderr
    assert "format: histdata" in text and "kind: bars" in text
