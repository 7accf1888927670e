"""LEAN's layouts: rows of its own sample data, whose times and prices were converted by hand."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from file_rows import bar_rows
from tapedeck_common.files import FilesAccess, InvalidFiles, InvalidRow, find_files
from tapedeck_common.market import Bar
from tapedeck_crds.files import Files


def write(root: Path, name: str, *rows: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{path.stem}.csv", "\n".join(rows))


def bars_of(root: Path, path: str, interval: str, security: str | None = None) -> tuple[list[Bar], list[InvalidRow]]:
    declared = {"security_type": security} if security else {}
    sets = [{"symbol": "A/B", "path": path}]
    files = Files.model_validate({"format": "lean", "exchange": "x", "interval": interval, "sets": sets} | declared)
    bad: list[InvalidRow] = []
    rows = bar_rows(files, find_files(files, FilesAccess(root))["A/B"], bad.append)
    return [row.record for row in rows], bad


LAYOUTS = {
    "minutes of an equity, in summer": (
        "equity/usa/minute/spy/20131007_trade.zip",
        "1m",
        "14400000,1674100,1674100,1672500,1672700,3197",
        (1_381_132_800_000, 167.41, 167.41, 167.25, 167.27, 3197),  # 04:00 in New York, 08:00 UTC
    ),
    "minutes of an equity, in winter": (
        "equity/usa/minute/spy/20140106_trade.zip",
        "1m",
        "34200000,1684500,1684600,1684300,1684400,100",
        (1_389_018_600_000, 168.45, 168.46, 168.43, 168.44, 100),  # 09:30 in New York, 14:30 UTC
    ),
    "minutes of an equity after the clocks went forward": (
        "equity/usa/minute/spy/20140309_trade.zip",
        "1m",
        "34200000,1684500,1684600,1684300,1684400,100",
        (1_394_371_800_000, 168.45, 168.46, 168.43, 168.44, 100),  # 09:30 in New York, 13:30 UTC
    ),
    "seconds of an equity": (
        "equity/usa/second/spy/20131007_trade.zip",
        "1s",
        "14402000,1672600,1672600,1672600,1672600,148",
        (1_381_132_802_000, 167.26, 167.26, 167.26, 167.26, 148),
    ),
    "hours of an equity": (
        "equity/usa/hour/spy.zip",
        "1h",
        "19980102 09:00,973100,975300,970300,970300,384500",
        (883_749_600_000, 97.31, 97.53, 97.03, 97.03, 384500),  # 14:00 UTC
    ),
    "days of an equity": (
        "equity/usa/daily/spy.zip",
        "1d",
        "20210331 00:00,3953500,3980000,3953300,3963300,90673494",
        (1_617_148_800_000, 395.35, 398.0, 395.33, 396.33, 90673494),  # the date, not New York's midnight
    ),
    "days of India": (
        "equity/india/daily/cccl.zip",
        "1d",
        "20100104 00:00,4235000,4235000,4116000,4130000,9318",
        (1_262_563_200_000, 423.5, 423.5, 411.6, 413.0, 9318),
    ),
    "quotes of an equity": (
        "equity/usa/minute/spy/20131007_quote.zip",
        "1m",
        "14460000,1672500,1672500,1671500,1672100,300,1672700,1674900,1672400,1672400,20000",
        (1_381_132_860_000, 167.26, 167.37, 167.195, 167.225, 0),
    ),
    "a quote without bid": (
        "equity/usa/minute/spy/20131007_quote.zip",
        "1m",
        "14460000,,,,,0,1672700,1674900,1672400,1672400,20000",
        (1_381_132_860_000, 167.27, 167.49, 167.24, 167.24, 0),
    ),
    "minutes of forex": (
        "forex/oanda/minute/eurusd/20140501_quote.zip",
        "1m",
        "60000,1.38688,1.38688,1.38685,1.38685,0,1.38700,1.38700,1.38696,1.38698,0",
        (1_398_902_460_000, 1.38694, 1.38694, 1.386905, 1.386915, 0),  # 00:01 UTC
    ),
    "minutes of forex of a market that is at UTC-05 all year": (
        "forex/fxcm/minute/eurusd/20140501_quote.zip",
        "1m",
        "120000,1.38724,1.38725,1.38724,1.38725,0,1.38728,1.38728,1.38728,1.38728,0",
        (1_398_920_520_000, 1.38726, 1.387265, 1.38726, 1.387265, 0),  # 05:02 UTC, in summer too
    ),
    "hours of forex": (
        "forex/oanda/hour/eurusd.zip",
        "1h",
        "20070101 21:00,1.31927,1.31955,1.3187,1.31935,0,1.32027,1.32055,1.3197,1.32035,0",
        (1_167_685_200_000, 1.31977, 1.32005, 1.3192, 1.31985, 0),
    ),
    "minutes of a crypto": (
        "crypto/coinbase/minute/btcusd/20161007_trade.zip",
        "1m",
        "60000,611.87,611.88,611.87,611.88,0.56799",
        (1_475_798_460_000, 611.87, 611.88, 611.87, 611.88, 0.56799),
    ),
    "days of a crypto": (
        "crypto/coinbase/daily/btcusd_trade.zip",
        "1d",
        "20141201 00:00,300,370,300,370,0.05655554",
        (1_417_392_000_000, 300, 370, 300, 370, 0.05655554),
    ),
    "minutes of a perpetual": (
        "cryptofuture/binance/minute/adausdt/20221213_trade.zip",
        "1m",
        "86340000,0.3137,0.3141,0.3136,0.3141,408239",
        (1_670_975_940_000, 0.3137, 0.3141, 0.3136, 0.3141, 408239),
    ),
}


@pytest.mark.parametrize(("name", "interval", "row", "wanted"), LAYOUTS.values(), ids=LAYOUTS)
def test_a_layout_of_leans_folders(
    tmp_path: Path, name: str, interval: str, row: str, wanted: tuple[float, ...]
) -> None:
    write(tmp_path, name, row)
    bars, bad = bars_of(tmp_path, name, interval)
    assert bad == []
    [bar] = bars
    assert bar.ts == wanted[0]
    assert (bar.open, bar.high, bar.low, bar.close, bar.volume) == pytest.approx(wanted[1:], rel=1e-12)


def test_the_security_type_replaces_the_folders(tmp_path: Path) -> None:
    write(tmp_path, "spy_20131007.zip", "14400000,1674100,1674100,1672500,1672700,3197")
    [equity], _ = bars_of(tmp_path, "spy_20131007.zip", "1m", "equity")
    assert (equity.ts, equity.open) == (1_381_132_800_000, 167.41)
    [crypto], _ = bars_of(tmp_path, "spy_20131007.zip", "1m", "crypto")
    assert (crypto.ts, crypto.open) == (1_381_118_400_000, 1_674_100)


REFUSED = {
    "no folders": ("spy/20131007_trade.zip", "1m", None, "cannot tell whether the prices are those of an equity"),
    "ticks": ("equity/usa/tick/spy/20131007_trade.zip", "1m", None, "got LEAN's layout of ticks, expected second"),
    "options": ("option/usa/minute/aapl/20140606_trade_american.zip", "1m", None, "got LEAN's layout of option"),
    "futures": ("future/comex/minute/gc/20131007_trade.zip", "1m", None, "got LEAN's layout of future, expected"),
    "an unknown market": ("equity/brazil/minute/petr4/20131007_trade.zip", "1m", None, "of the market brazil"),
    "another type": ("equity/usa/daily/spy.zip", "1d", "crypto", "securityType: got crypto, expected equity"),
    "minutes as hours": ("equity/usa/minute/spy/20131007_trade.zip", "1h", None, "interval: got 1h, expected 1m"),
    "days as minutes": ("equity/usa/daily/spy.zip", "1m", None, "interval: got 1m, expected 1d"),
    "five minutes": ("a_20131007.zip", "5m", "crypto", "interval: got 5m, expected 1s, 1m, 1h, 1d"),
    "no day": ("crypto/x/minute/btcusd/trade.zip", "1m", None, "no day in its name"),
    "an impossible day": ("crypto/x/minute/btcusd/20180231_trade.zip", "1m", None, "no day in its name"),
}


@pytest.mark.parametrize(("name", "interval", "security", "said"), REFUSED.values(), ids=REFUSED)
def test_other_layouts_are_refused_by_name(
    tmp_path: Path, name: str, interval: str, security: str | None, said: str
) -> None:
    write(tmp_path, name, "14400000,1674100,1674100,1672500,1672700,3197")
    with pytest.raises(InvalidFiles) as caught:
        bars_of(tmp_path, name, interval, security)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("86400000,1,1,1,1,1", "milliseconds since midnight: got 86400000, expected 0 to 86399999"),
        ("-60000,1,1,1,1,1", "milliseconds since midnight: got -60000"),
        ("60000.0,1,1,1,1,1", "milliseconds since midnight: got '60000.0', expected an integer"),
        ("60000,1,1,1,1", "columns: got 5, expected 6 (time, open, high, low, close, volume) or 11 of quotes"),
        ("60000,1,1,1,1,x", "volume: got 'x', expected a number"),
        ("60000,,,,,0,,,,,0", "bid open: got no price, nor one of ask"),
    ],
)
def test_invalid_rows(tmp_path: Path, row: str, reason: str) -> None:
    name = "crypto/x/minute/btcusd/20180404_trade.zip"
    write(tmp_path, name, "0,1,1,1,1,1", row, "86340000,1,1,1,1,1")
    bars, bad = bars_of(tmp_path, name, "1m")
    assert [bar.ts for bar in bars] == [1_522_800_000_000, 1_522_886_340_000]
    assert [each.place for each in bad] == [f"{name}:2"]
    assert reason in bad[0].reason
    daily = "crypto/x/daily/btcusd_trade.zip"
    write(tmp_path, daily, "2018-04-04,1,1,1,1,1")
    assert "time: got '2018-04-04', expected one like" in bars_of(tmp_path, daily, "1d")[1][0].reason
