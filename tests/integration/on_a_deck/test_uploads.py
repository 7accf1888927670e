"""Files that are uploaded to a running deck by its gateway end in the store, value by value; what is wrong does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from decks.process import Deck, reaches
from decks.uploads import Uploader, uploaded
from layouts.compare import BAR, difference
from layouts.market import series
from layouts.samples import write
from layouts.small_files import HEADER
from tapedeck_deck.cli.store_query import rows_of
from waits import eventually

MIB = 2**20
MINUTES = 30_000  # more than a request may hold
SERIES = series()["bars-1m"]
Values = tuple[int, float, float, float, float, float]


def csv(minutes: int) -> tuple[bytes, list[Values]]:
    """A file of bars, and their values."""
    bars: list[Values] = [
        (1_522_800_000_000 + n * 60_000, 7_000.5 + n, 7_002.25 + n, 6_999.75 + n, 7_001.125 + n, n % 97 + 0.5)
        for n in range(minutes)
    ]
    return (HEADER + "".join(",".join(map(repr, bar)) + "\n" for bar in bars)).encode(), bars


def stored(deck: Deck, exchange: str) -> list[list[float]]:
    rows = rows_of(
        deck[1]["dsn"],
        "SELECT (extract(epoch FROM ts) * 1000)::int8, open, high, low, close, volume FROM bars "
        "WHERE exchange = %(exchange)s ORDER BY ts",
        {"exchange": exchange},
    )
    return [list(row) for row in rows]


def comes_in(deck: Deck, uploader: Uploader, upload: str, exchange: str, count: int) -> None:
    """Import an upload, and wait until its bars are stored."""
    made = uploader.import_files(upload, exchange=exchange, symbol="TAP/USDT")
    assert made.status_code == 201, made.text
    (feed,) = made.json()["feeds"]
    reaches(deck[2], "Feed", feed["metadata"]["name"], "Complete", "Failed", "Degraded")
    eventually(lambda: len(stored(deck, exchange)) >= count, 30)


def test_a_file_larger_than_a_request_comes_in(shared_deck: Deck) -> None:
    uploader = Uploader.of(shared_deck[0])
    content, bars = csv(MINUTES)
    assert len(content) > MIB
    whole = uploader.send("large", "../large.csv", content)
    assert whole.status_code == 413
    for offset in range(0, len(content), MIB):
        part = uploader.send("large", "../large.csv", content[offset : offset + MIB], size=len(content), offset=offset)
        assert part.status_code == 201, part.text
    assert part.json() == {"upload": "large", "name": "large.csv", "size": len(content), "received": len(content)}
    (file,) = uploaded(shared_deck[0], "large.csv")  # other tests upload to this deck, too
    assert file == shared_deck[0].uploads / "default" / "large" / "large.csv"
    (found,) = uploader.look("large").json()["files"]
    assert (found["rows"], found["first"], found["last"]) == (MINUTES, bars[0][0], bars[-1][0])
    comes_in(shared_deck, uploader, "large", "large", MINUTES)
    assert stored(shared_deck, "large") == [list(bar) for bar in bars]


@pytest.mark.parametrize("layout", ["binance-futures-klines-zip", "freqtrade-parquet"])
def test_an_archive_and_a_table_come_in(shared_deck: Deck, tmp_path: Path, layout: str) -> None:
    uploader = Uploader.of(shared_deck[0])
    write(layout, tmp_path)
    for file in tmp_path.iterdir():
        assert uploader.send(layout, file.name, file.read_bytes()).status_code == 201
    comes_in(shared_deck, uploader, layout, layout, len(SERIES))
    assert difference(BAR, SERIES, stored(shared_deck, layout)) is None


def test_what_is_wrong_makes_no_feed(shared_deck: Deck) -> None:
    home, _, objects = shared_deck
    uploader, anyone = Uploader.of(home), Uploader.of(home, token=False)
    before = objects.uids("Feed")  # the status of an earlier one may change once more
    assert anyone.send("wrong", "a.csv", b"ts,close\n").status_code == 401
    assert uploader.send("wrong", "a.csv", b"x", size=2**30 + 1).status_code == 413
    assert not (home.uploads / "default" / "wrong").exists()
    assert uploader.send("wrong", "notes.txt", b"dear diary\n" * 50).status_code == 201
    (refused,) = uploader.look("wrong").json()["errors"]
    assert refused["path"] == "notes.txt"
    made = uploader.import_files("wrong")
    assert (made.status_code, "nothing was imported" in made.json()["detail"]) == (400, True)
    assert objects.uids("Feed") == before
