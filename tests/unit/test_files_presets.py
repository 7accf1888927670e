"""Samples in the layouts of vendors, by their public documentation: each is recognized, and has the rows that it shows.

The values are made up; names, order of columns, notation of times and names of files are the vendors'.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tapedeck_common.files import FilesAccess, InvalidFiles, InvalidRow, SeriesReader, find_files, single_rows
from tapedeck_common.files.inspection import recognize_file
from tapedeck_crds.files import Files

T0, MINUTE, DAY = 1_522_800_000_000, 60_000, 86_400_000  # 2018-04-04T00:00:00Z, 20:00 in New York the day before
SECOND = 1_000
NUMBERS = ((1.0, 4.0, 0.5, 2.0, 10.0), (2.0, 5.0, 1.5, 3.0, 20.0), (3.0, 6.0, 2.5, 4.0, 30.0))
PRICES = ("open", "high", "low", "close", "volume")


class Sample(NamedTuple):
    """A file and what is in it: rows by symbol; its symbol is declared where neither rows nor name say it."""

    name: str
    text: str
    rows: dict[str, list[tuple[Any, ...]]]
    symbol: str | None = None
    interval: str = "1m"
    kind: str = "bars"


def bars(times: Sequence[int]) -> list[tuple[Any, ...]]:
    return [(ts, *numbers) for ts, numbers in zip(times, NUMBERS, strict=False)]


def lines(template: str, times: Sequence[object], order: str = "ohlcv", scale: float = 1) -> str:
    """A line for each time; the template has ts, and the numbers in the order of their letters as v0 to v4."""
    made = []
    for ts, numbers in zip(times, NUMBERS, strict=False):
        scaled = [value * (scale if letter != "v" else 1) for letter, value in zip("ohlcv", numbers, strict=True)]
        by_letter = dict(zip("ohlcv", scaled, strict=True))
        values = {
            f"v{n}": f"{by_letter[letter]:g}" if scale == 1 else int(by_letter[letter])
            for n, letter in enumerate(order)
        }
        made.append(template.format(ts=ts, **values))
    return "\n".join(made) + "\n"


MINUTES = [T0 + n * MINUTE for n in range(3)]
DAYS = [T0 + n * DAY for n in range(3)]
CLOCKS = ["00:00", "00:01", "00:02"]
TRADES = [(T0, "7", 100.5, 2.0, "buy"), (T0 + SECOND, "8", 101.0, 0.25, "sell")]
NAMELESS = [(ts, f"{ts * 1_000}.1", price, amount, "unknown") for ts, _, price, amount, _ in TRADES]
NY_MIDNIGHT = T0 + 4 * 3_600_000  # 2018-04-04T00:00-04:00
POLYGON = "ticker,volume,open,close,high,low,window_start,transactions\n"
AGGREGATE = ",{v4},{v0},{v3},{v1},{v2},{ts}000000,7"
SAMPLES: dict[str, Sample] = {
    "okx-candles": Sample(
        "BTC-USDT-candlesticks-2018-04-04.csv",
        "instrument_name,open,high,low,close,vol,vol_ccy,vol_quote,open_time,confirm\n"
        + lines("BTC-USDT,{v0},{v1},{v2},{v3},{v4},1,1,{ts},1", MINUTES),
        {"BTC/USDT": bars(MINUTES)},
    ),
    "okx-trades": Sample(
        "BTC-USDT-SWAP-trades-2018-04-04.csv",
        "instrument_name,trade_id,side,price,size,created_time\n"
        f"BTC-USDT-SWAP,7,buy,100.5,2,{T0}\nBTC-USDT-SWAP,8,sell,101,0.25,{T0 + SECOND}\n",
        {"BTC-USDT-SWAP": TRADES},
        kind="trades",
    ),
    "okx-trades-old": Sample(
        "BTC-USDT-trades-2018-04-04.csv",
        "trade_id/\u4ea4\u6613id,side/\u4ea4\u6613\u65b9\u5411,size/\u6570\u91cf,price/\u4ef7\u683c,created_time/\u6210\u4ea4\u65f6\u95f4\n"
        f"7,BUY,2,100.5,{T0}\n8,SELL,0.25,101,{T0 + SECOND}\n",
        {"BTC/USDT": TRADES},
        kind="trades",
    ),
    "bybit-trades": Sample(
        "BTCUSD2018-04-04.csv",
        "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional\n"
        f"{T0 // 1000},BTCUSD,Buy,2,100.5,PlusTick,7,1,1,1\n"
        f"{T0 // 1000 + 1}.0000,BTCUSD,Sell,0.25,101,ZeroMinusTick,8,1,1,1\n",
        {"BTC/USD": TRADES},
        kind="trades",
    ),
    "bybit-spot-trades": Sample(
        "BTCUSDT_2018-04-04.csv",
        f"id,timestamp,price,volume,side,rpi\n7,{T0},100.5,2,buy,0\n8,{T0 + SECOND},101,0.25,sell,0\n",
        {"BTC/USDT": TRADES},
        kind="trades",
    ),
    "databento-bars": Sample(
        "xnas-itch-20180404.ohlcv-1m.csv",
        "ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume,symbol\n"
        + lines("{ts}000000,33,2,15144,{v0},{v1},{v2},{v3},{v4},AAPL", MINUTES, scale=1e9),
        {"AAPL": bars(MINUTES)},
    ),
    "databento-bars-pretty": Sample(
        "xnas-itch-20180404.ohlcv-1m.csv",
        "ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume\n"
        + lines(
            "2018-04-04T{ts}:00.000000000Z,33,2,15144,{v0}.000000000,{v1}.000000000,{v2},{v3}.000000000,{v4}", CLOCKS
        ),
        {"AAPL": bars(MINUTES)},
        symbol="AAPL",
    ),
    "polygon-aggregates": Sample(
        "2018-04-04.csv",
        POLYGON + lines("A" + AGGREGATE, MINUTES) + lines("MSFT" + AGGREGATE, MINUTES),
        {"A": bars(MINUTES), "MSFT": bars(MINUTES)},
    ),
    "polygon-aggregates of days": Sample(
        "2018-04-04.csv",
        POLYGON + lines("A" + AGGREGATE, [NY_MIDNIGHT]) + lines("B" + AGGREGATE, [NY_MIDNIGHT]),
        {"A": bars(DAYS[:1]), "B": bars(DAYS[:1])},
        interval="1d",
    ),
    "polygon-trades": Sample(
        "2018-04-04.csv",
        "ticker,conditions,correction,exchange,id,participant_timestamp,price,sequence_number,sip_timestamp,size,tape,"
        f'trf_id,trf_timestamp\nA,"12,37",0,11,7,{T0}000000,100.5,1,{T0}000123,2,1,0,0\n'
        f"MSFT,,0,11,8,{T0 + SECOND}000000,101,2,{T0 + SECOND}000123,0.25,1,0,0\n",
        {"A": [(*TRADES[0][:4], "unknown")], "MSFT": [(*TRADES[1][:4], "unknown")]},
        kind="trades",
    ),
    "stooq": Sample(
        "aapl.us.txt",
        "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>\n"
        + lines("AAPL.US,D,{ts},000000,{v0},{v1},{v2},{v3},{v4},0", ["20180404", "20180405", "20180406"]),
        {"AAPL.US": bars(DAYS)},
        interval="1d",
    ),
    "alphavantage": Sample(
        "intraday_1min_IBM.csv",
        "timestamp,open,high,low,close,volume\n"
        + "\n".join(reversed(lines("2018-04-03 20:0{ts}:00,{v0},{v1},{v2},{v3},{v4}", "012").splitlines())),
        {"IBM": bars(MINUTES)},
    ),
    "ninjatrader": Sample(
        "MSFT.Last.txt",
        lines("20180404 000{ts}00;{v0};{v1};{v2};{v3};{v4}", "012"),
        {"MSFT": bars(MINUTES)},
        symbol="MSFT",
    ),
    "ninjatrader of days": Sample(
        "MSFT.Last.txt",
        lines("2018040{ts};{v0};{v1};{v2};{v3};{v4}", "456"),
        {"MSFT": bars(DAYS)},
        symbol="MSFT",
        interval="1d",
    ),
    "ninjatrader-ticks": Sample(
        "ES 06-18.Last.txt",
        "20180404 000000;100.5;2\n20180404 000001;101;0.25\n",
        {"ES": NAMELESS},
        symbol="ES",
        kind="trades",
    ),
    "interactive-brokers": Sample(
        "TSLA.csv",
        ",date,open,high,low,close,volume,average,barCount\n"
        + lines("0,2018-04-04 00:0{ts}:00+00:00,{v0},{v1},{v2},{v3},{v4},1.5,7", "012"),
        {"TSLA": bars(MINUTES)},
        symbol="TSLA",
    ),
    "metatrader4": Sample(
        "EURUSD1.csv",
        lines("2018.04.04,00:0{ts},{v0},{v1},{v2},{v3},{v4}", "012"),
        {"EUR/USD": bars(MINUTES)},
    ),
    "metatrader5": Sample(
        "EURUSD_M1_201804040000_201804040002.csv",
        "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\n"
        + lines("2018.04.04\t00:0{ts}:00\t{v0}\t{v1}\t{v2}\t{v3}\t7\t{v4}\t2", "012"),
        {"EUR/USD": bars(MINUTES)},
        symbol="EUR/USD",
    ),
    "metatrader5-days": Sample(
        "EURUSD_Daily_201804040000_201804060000.csv",
        "<DATE>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\n"
        + lines("2018.04.0{ts}\t{v0}\t{v1}\t{v2}\t{v3}\t7\t{v4}\t2", "456"),
        {"EUR/USD": bars(DAYS)},
        symbol="EUR/USD",
        interval="1d",
    ),
    "dukascopy": Sample(
        "EURUSD_Candlestick_1_M_BID_04.04.2018-05.04.2018.csv",
        "Gmt time,Open,High,Low,Close,Volume\n"
        + lines("04.04.2018 00:0{ts}:00.000,{v0},{v1},{v2},{v3},{v4}", "012"),
        {"EUR/USD": bars(MINUTES)},
        symbol="EUR/USD",
    ),
    "bitfinex-trades": Sample(
        "BTCUSD.json",
        json.dumps([[8, T0 + SECOND, -0.25, 101], [7, T0, 2, 100.5]]),
        {"BTC/USD": TRADES},
        symbol="BTC/USD",
        kind="trades",
    ),
    "bitfinex-trades with names": Sample(
        "BTCUSD.csv",
        f"ID,MTS,AMOUNT,PRICE\n7,{T0},2,100.5\n8,{T0 + SECOND},-0.25,101\n",
        {"BTC/USD": TRADES},
        symbol="BTC/USD",
        kind="trades",
    ),
    "bitfinex-candles": Sample(
        "BTCUSD.csv",
        "MTS,OPEN,CLOSE,HIGH,LOW,VOLUME\n" + lines("{ts},{v0},{v1},{v2},{v3},{v4}", MINUTES, "ochlv"),
        {"BTC/USD": bars(MINUTES)},
        symbol="BTC/USD",
    ),
}  # fmt: skip


def failing(row: InvalidRow) -> None:
    pytest.fail(row.reason)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_vendors_layout(tmp_path: Path, name: str) -> None:
    sample = SAMPLES[name]
    (tmp_path / sample.name).write_text(sample.text)
    at = {"path": sample.name} | ({} if sample.symbol is None else {"symbol": sample.symbol})
    spec = {"exchange": "x", "interval": sample.interval, "sets": [at]}
    for format_ in ("auto", name.partition(" ")[0]):
        files = Files.model_validate(spec | {"format": format_})
        found = find_files(files, FilesAccess(tmp_path))
        [source] = [each for sources in found.values() for each in sources]
        recognized = recognize_file(files, source, sample.symbol)
        assert (recognized.layout, recognized.kind) == (name.partition(" ")[0], sample.kind)
        assert recognized.interval == (sample.interval if sample.kind == "bars" else None)
        bad: list[InvalidRow] = []
        rows: dict[str, list[tuple[Any, ...]]] = {}
        fields = ("ts", *PRICES) if sample.kind == "bars" else ("ts", "id", "price", "amount", "side")
        for series in SeriesReader(files, bad.append).series(found):
            records = [json.loads(row.value) for row in single_rows(series.rows)]
            rows[series.symbol] = sorted(tuple(record[field] for field in fields) for record in records)
        assert (rows, bad) == (sample.rows, [])


@pytest.mark.parametrize("header", ["Gmt time,Ask,Bid,AskVolume,BidVolume", "Local time,Ask,Bid,AskVolume,BidVolume"])
def test_dukascopys_ticks_are_quotes(tmp_path: Path, header: str) -> None:
    """They are refused, since no trade is in them; one side can be declared as trades."""
    (tmp_path / "EURUSD_Ticks.csv").write_text(f"{header}\n04.04.2018 00:00:00.123,1.25,1.2,0.75,1.5\n")
    spec: dict[str, Any] = {"exchange": "x", "sets": [{"symbol": "EUR/USD", "path": "*"}], "format": "auto"}
    found = find_files(Files.model_validate(spec), FilesAccess(tmp_path))
    with pytest.raises(InvalidFiles, match=r"holds quotes \(bid and ask\), expected bars or trades"):
        list(SeriesReader(Files.model_validate(spec), failing).series(found))
    files = Files.model_validate(spec | {"columns": {"price": "Bid", "amount": "BidVolume"}, "kind": "trades",
                                         "time": {"format": "%d.%m.%Y %H:%M:%S.%f"}})  # fmt: skip
    [series] = SeriesReader(files, failing).series(found)
    [row] = [json.loads(row.value) for row in single_rows(series.rows)]
    assert (row["ts"], row["price"], row["amount"]) == (T0 + 123, 1.2, 1.5)
