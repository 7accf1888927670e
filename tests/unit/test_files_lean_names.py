"""LEAN's files by their names, as an import finds them: symbol, interval, security type and exchange."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tapedeck_common.files import FilesAccess, InvalidFiles, find_files
from tapedeck_common.files.inspection import recognize_file
from tapedeck_common.files.recognized import Recognized
from tapedeck_crds.files import Files
from tapedeck_deck.cli.imports.paths import listed
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.inspection.inspect import Declared, Looked, look

EXAMPLES = Path(__file__).parents[2] / "examples"
ROW = "14400000,1674100,1674100,1672500,1672700,3197"
OF_DAYS = "20131007 00:00,1674100,1674100,1672500,1672700,3197"


def write(root: Path, name: str, member: str, row: str = ROW) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, row)


def recognized(root: Path, name: str, format_: str = "auto") -> Recognized:
    files = Files.model_validate(
        {"format": format_, "exchange": "x", "interval": "1m", "sets": [{"symbol": "A/B", "path": name}]}
    )
    [source] = find_files(files, FilesAccess(root))["A/B"]
    return recognize_file(files, source, None)


def looked(root: Path, **fields: str) -> Looked:
    return look(listed([str(root)]), Declared({"format": "lean" if fields else "auto", **fields}))


NAMES = {
    "equity/usa/minute/spy/20131007_trade.zip": (
        ("20131007_spy_minute_trade.csv", ROW),
        ("SPY", "1m", "equity", "usa", "America/New_York"),
        (),
    ),
    "equity/usa/daily/brk.b.zip": (
        ("brk.b.csv", OF_DAYS),
        ("BRK.B", "1d", "equity", "usa", "UTC"),
        (),
    ),
    "forex/oanda/second/eurusd/20131007_quote.zip": (
        ("20131007_eurusd_second_quote.csv", "60000,1,1,1,1,0,1,1,1,1,0"),
        ("EUR/USD", "1s", "forex", "oanda", "UTC"),
        (),
    ),
    "crypto/coinbase/hour/btcusd_trade.zip": (
        ("btcusd.csv", "20161007 01:00,611.87,611.88,611.87,611.88,0.56799"),
        ("BTC/USD", "1h", "crypto", "coinbase", "UTC"),
        (),
    ),
    "ethusd_20180404.zip": (
        ("20180404_ethusd_minute_trade.csv", "0,380.1,380.2,380,380.1,1.5"),
        ("ETH/USD", "1m", "crypto", None, "UTC"),
        ("securityType is crypto",),
    ),
}


@pytest.mark.parametrize(
    ("name", "content", "wanted", "assumed"), [(name, *each) for name, each in NAMES.items()], ids=NAMES
)
def test_names_say_what_is_in_a_file(
    tmp_path: Path, name: str, content: tuple[str, str], wanted: tuple[str | None, ...], assumed: tuple[str, ...]
) -> None:
    write(tmp_path, name, *content)
    for format_ in ("auto", "lean"):
        found = recognized(tmp_path, name, format_)
        assert found.layout == "lean"
        assert (found.symbol, found.interval, found.security_type, found.exchange, found.zone) == wanted
        assert found.assumed == assumed


def test_a_folder_comes_in_as_it_is(tmp_path: Path) -> None:
    for name, (content, *_) in NAMES.items():
        write(tmp_path, name, *content)
    (tmp_path / "readme.md").write_text(
        "Files of minutes have time), open, high, low, close, volume. The day is a name.\n"
    )
    found = looked(tmp_path)
    assert found.refused == {}
    assert {each.files.exchange: each.symbol for each in found.found if each.files.security_type == "crypto"} == {
        "coinbase": "BTC/USD",
        "files": "ETH/USD",
    }
    assert [each.counted.rows for each in found.found] == [1] * len(NAMES)
    assert all("readme" in name for name in found.skipped)


def test_the_samples_come_in_as_they_are() -> None:
    """Beside LEAN's files there are a licence, a README whose sentences list the columns, and messages of Binance."""
    found = look(listed([str(EXAMPLES / "data")]), Declared({}))
    assert found.refused == {}
    rows: dict[tuple[str, str | None], int] = {}
    for each in found.found:
        key = (each.recognized.layout, each.symbol)
        rows[key] = rows.get(key, 0) + each.counted.rows
    assert rows == {
        ("binance-messages", "BTC/USDT"): 9_757,
        ("binance-messages", "ETH/USDT"): 6_106,
        ("lean", "BTC/EUR"): 3_663,
        ("lean", "BTC/USD"): 3_887,
        ("lean", "ETH/USD"): 2_449,
        ("lean", "LTC/USD"): 3_887,
    }
    assert sorted(path.rpartition("/")[2] for path in found.skipped) == ["LICENSE", "LICENSE", "README.md", "README.md"]


def test_a_lone_file_of_a_ticker_needs_its_type(tmp_path: Path) -> None:
    write(tmp_path, "spy_20131007.zip", "20131007_spy_minute_trade.csv")
    assert "cannot tell whether the prices are those of an equity" in looked(tmp_path).refused["spy_20131007.zip"]
    [found] = looked(tmp_path, securityType="equity").found
    assert (found.symbol, found.counted.first, found.counted.rows) == ("SPY", 1_381_132_800_000, 1)


def test_a_wrong_type_is_told_by_its_option(tmp_path: Path) -> None:
    write(tmp_path, "spy_20131007.zip", "20131007_spy_minute_trade.csv")
    with pytest.raises(DeckError, match=r"^--security-type: got 'stock'"):
        looked(tmp_path, securityType="stock")


def test_a_named_layout_of_another_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "prices.zip", "prices.csv", "time,open,high,low,close,volume\n1381132800,1,1,1,1,1")
    assert recognized(tmp_path, "prices.zip").layout == "table"
    with pytest.raises(InvalidFiles, match=r"prices.zip: got no name of LEAN, expected one like minute/spy/2013"):
        recognized(tmp_path, "prices.zip", "lean")
