"""The layouts: what is in the files of each, and what is known of them. The files are the same every time."""

from __future__ import annotations

import bz2
import json
import lzma
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from layouts.binance import (
    AGGREGATE,
    BY_AGGREGATE,
    BY_KLINE,
    BY_TRADE,
    KLINE,
    TRADE,
    aggregates,
    as_futures,
    klines,
    spot,
)
from layouts.market import BARS, DAY, FIRST, FX, GONE, HOUR, MARKET, MINUTE, SYMBOL, TRADES, Bar, Trade, ms, walk
from layouts.write import (
    NAMELESS,
    OHLCV,
    Content,
    Files,
    feather,
    floats,
    gzipped,
    indexed,
    lines,
    parquet,
    table,
    twice,
    utc,
    zipped,
)

MINUTES, HOURS, DAYS = BARS["1m"], BARS["1h"], BARS["1d"]
Entry = dict[str, Any]
LAYOUTS: dict[str, tuple[Entry, Callable[[], Files]]] = {}


def layout(entry: Entry) -> Callable[[Callable[[], Files]], None]:
    """Registers a function that gives the files of the layout of its name."""
    return lambda files: LAYOUTS.update({files.__name__.replace("_", "-"): (entry, files)})


def of_bars(rows: str = "1m", **more: Any) -> Entry:
    return {"kind": "bars", "interval": "1m" if rows == "fx" else rows, "rows": f"bars-{rows}"} | more


def of_trades(rows: str = "trades", **more: Any) -> Entry:
    return {"kind": "trades", "interval": "1m", "rows": rows, "bars": "bars-of-trades"} | more


# --- Binance's public data


@layout(of_bars(unit="ms", **BY_KLINE))
def binance_klines_ms() -> Files:
    return {f"{MARKET}-1m-2024-12.csv": lines(klines(MINUTES))}


@layout(of_bars(unit="us", **BY_KLINE))
def binance_klines_us() -> Files:
    return {f"{MARKET}-1m-2025-01.csv": lines(klines(MINUTES, us=True))}


@layout(of_bars(unit="ms, us from 2025", files="*.zip", **BY_KLINE))
def binance_klines_zips() -> Files:
    files: dict[str, Content] = {}
    for day, us in (("2024-12-31", False), ("2025-01-01", True)):
        name = f"{MARKET}-1m-{day}"
        rows = [b for b in MINUTES if utc(b.ts, "%Y-%m-%d") == day]
        files |= {f"{name}.zip": zipped({f"{name}.csv": lines(klines(rows, us=us))})}
        files |= {f"{name}.zip.CHECKSUM": f"{'0' * 64}  {name}.zip\n"}
    return files


@layout(of_bars(unit="ms", files="*.zip", duplicates=5, **BY_KLINE))
def binance_klines_overlap() -> Files:
    """A month and a day of it."""
    files = {f"{MARKET}-1m-2024-12": MINUTES[:25], f"{MARKET}-1m-2024-12-31": MINUTES[20:]}
    return {f"{name}.zip": zipped({f"{name}.csv": lines(klines(rows))}) for name, rows in files.items()}


@layout(of_bars("1h", unit="ms"))
def binance_futures_klines() -> Files:
    return {f"{MARKET}-1h-2024-12.csv": lines(klines(HOURS, "1h"), KLINE)}


@layout(of_bars(unit="ms", duplicates=1))
def binance_futures_klines_zip() -> Files:
    return {f"{MARKET}-1m-2024-12.zip": zipped({f"{MARKET}-1m-2024-12.csv": lines(klines(twice(MINUTES)), KLINE)})}


def klines_of(length: str) -> Files:
    return {f"{MARKET}-{length}-2024.csv": lines(klines(BARS[length], length))}


for length in ("8h", "1d", "3d", "1w", "1M"):
    name = f"binance-klines-{length.replace('M', 'mo')}"
    LAYOUTS[name] = of_bars(length, unit="ms", **BY_KLINE), partial(klines_of, length)


@layout(of_trades(unit="ms", **BY_TRADE))
def binance_trades() -> Files:
    return {f"{MARKET}-trades-2024-12.csv": lines(spot(TRADES))}


@layout(of_trades(unit="us", duplicates=1, **BY_TRADE))
def binance_trades_us_zip() -> Files:
    text = lines(spot(twice(TRADES, 21), us=True))
    return {f"{MARKET}-trades-2025-01.zip": zipped({f"{MARKET}-trades-2025-01.csv": text})}


@layout(of_trades(unit="ms"))
def binance_futures_trades() -> Files:
    return {f"{MARKET}-trades-2024-12.csv": as_futures(spot(TRADES), TRADE)}


@layout(of_trades(unit="ms"))
def binance_futures_trades_zip() -> Files:
    return {f"{MARKET}-trades-2024-12.zip": zipped({f"{MARKET}-trades-2024-12.csv": as_futures(spot(TRADES), TRADE)})}


@layout(of_trades("trades-aggregated", unit="ms", **BY_AGGREGATE))
def binance_aggtrades() -> Files:
    return {f"{MARKET}-aggTrades-2024-12.csv": lines(aggregates())}


@layout(of_trades("trades-aggregated", unit="ms", **BY_AGGREGATE))
def binance_aggtrades_zip() -> Files:
    return {f"{MARKET}-aggTrades-2024-12.zip": zipped({f"{MARKET}-aggTrades-2024-12.csv": lines(aggregates())})}


@layout(of_trades("trades-aggregated", unit="ms"))
def binance_futures_aggtrades() -> Files:
    return {f"{MARKET}-aggTrades-2024-12.csv": as_futures(aggregates(), AGGREGATE)}


# --- CryptoDataDownload, Kraken, Kaggle, Yahoo, HistData, Coinbase

CDD = "https://www.CryptoDataDownload.com"


@layout(of_bars(unit="s", order="descending"))
def cdd_seconds() -> Files:
    rows = [[b.ts // 1000, utc(b.ts), SYMBOL, *b[1:], b.volume * b.close] for b in reversed(MINUTES)]
    return {"cdd_minute.csv": lines(rows, f"{CDD}\nunix,date,symbol,open,high,low,close,Volume TAP,Volume USDT")}


@layout(of_bars("1h", unit="ms", order="descending", duplicates=1))
def cdd_binance() -> Files:
    rows = [[b.ts, utc(b.ts), MARKET, *b[1:], b.volume * b.close, 4] for b in reversed(twice(HOURS))]
    return {"cdd_1h.csv": lines(rows, f"{CDD}\nUnix,Date,Symbol,Open,High,Low,Close,Volume TAP,Volume USDT,tradecount")}


@layout(of_bars("1h", unit="%Y-%m-%d %I-%p", order="descending"))
def cdd_old() -> Files:
    rows = [[utc(b.ts, "%Y-%m-%d %I-%p"), MARKET, *b[1:], b.volume * b.close] for b in reversed(HOURS)]
    header = f"Timestamps are UTC timezone,{CDD}\nDate,Symbol,Open,High,Low,Close,Volume TAP,Volume USDT"
    return {"cdd_1h.csv": lines(rows, header)}


@layout(of_bars(unit="s", columns=["time", *OHLCV, "trades"]))
def kraken_ohlcvt() -> Files:
    return {"TAPUSDT_1.csv": lines([b.ts // 1000, *b[1:], 6] for b in MINUTES)}


@layout(of_trades("trades-seconds", unit="s", columns=["time", "price", "volume"], lacks=["id", "side"]))
def kraken_trades() -> Files:
    return {"TAPUSDT.csv": lines([t.us // 1_000_000, t.price, t.amount] for t in TRADES)}


@layout(of_bars(unit="s", empty=len(GONE) + 400))
def kaggle_bitstamp() -> Files:
    """Every minute has a row, and most have nothing in it, as in the first years of the real ones."""
    there = {b.ts: [*b[1:], b.volume * b.close, b.close] for b in MINUTES}
    rows = [[ts // 1000, *there.get(ts, ["NaN"] * 7)] for ts in range(FIRST - 400 * MINUTE, MINUTES[-1].ts + 1, MINUTE)]
    return {"minutes.csv": lines(rows, "Timestamp,Open,High,Low,Close,Volume_(TAP),Volume_(Currency),Weighted_Price")}


@layout(of_bars(unit="s with a fraction"))
def kaggle_bitstamp_float() -> Files:
    rows = ([b.ts / 1000, *floats(b)] for b in MINUTES)
    return {"minutes.csv": lines(rows, "Timestamp,Open,High,Low,Close,Volume")}


@layout(of_bars("1d", unit="%Y-%m-%d", empty=1))
def yahoo_daily() -> Files:
    rows: list[list[Any]] = [[utc(b.ts, "%Y-%m-%d"), *b[1:5], b.close, b.volume] for b in DAYS]
    rows.insert(3, ["2024-02-27", *["null"] * 6])
    return {"TAP-USD.csv": lines(rows, "Date,Open,High,Low,Close,Adj Close,Volume")}


@layout(of_bars("fx", unit="%Y%m%d %H%M%S", zone="-05:00 all year", delimiter=";", columns=["time", *OHLCV]))
def histdata() -> Files:
    rows = ([utc(b.ts - 5 * HOUR, "%Y%m%d %H%M%S"), *(f"{price:.6f}" for price in b[1:5]), 0] for b in FX)
    return {"DAT_ASCII_TAPUSD_M1_202407.csv": lines(rows, sep=";")}


def candles() -> list[list[Any]]:
    """Newest first."""
    return [[b.ts // 1000, *map(float, (b.low, b.high, b.open, b.close, b.volume))] for b in reversed(MINUTES)]


@layout(of_bars(unit="s", order="descending"))
def coinbase_candles() -> Files:
    return {"TAP-USDT.csv": lines(candles(), "time,low,high,open,close,volume")}


@layout(of_bars(unit="s", order="descending", columns=["time", "low", "high", "open", "close", "volume"]))
def coinbase_candles_json() -> Files:
    return {"TAP-USDT.json": json.dumps(candles())}


# --- tables of pyarrow: freqtrade, pandas, and plain ones


@layout(of_bars(unit="ms", columns=["date", *OHLCV]))
def freqtrade_json() -> Files:
    return {"TAP_USDT-1m.json": json.dumps([[b.ts, *floats(b)] for b in MINUTES])}


@layout(of_bars(unit="ms"))
def freqtrade_feather() -> Files:
    return {"TAP_USDT-1m.feather": feather(table("date", pa.timestamp("ms", "UTC")))}


@layout(of_bars(unit="ns"))
def freqtrade_parquet() -> Files:
    return {"TAP_USDT-1m.parquet": parquet(table("date", pa.timestamp("ns", "UTC"), 1_000_000))}


@layout(of_trades(unit="ms"))
def freqtrade_trades_feather() -> Files:
    numbers = {"price": [t.price for t in TRADES], "amount": [t.amount for t in TRADES]}
    numbers["cost"] = [t.price * t.amount for t in TRADES]
    columns = {"timestamp": [t.us // 1000 for t in TRADES], "id": [str(t.id) for t in TRADES]}
    columns |= {"type": [""] * len(TRADES), "side": [t.side for t in TRADES]}
    columns |= {name: list(map(float, values)) for name, values in numbers.items()}
    return {"TAP_USDT-trades.feather": feather(pa.table(columns))}


@layout(of_bars(unit="ms", time=NAMELESS))
def parquet_index() -> Files:
    return {"tap.parquet": parquet(indexed(table(NAMELESS, pa.timestamp("ms", "UTC"))))}


@layout(of_bars(unit="us"))
def parquet_new_york() -> Files:
    return {"tap.parquet": parquet(table("timestamp", pa.timestamp("us", "America/New_York"), 1000))}


@layout(of_bars(unit="us", zone="UTC, which the file does not say"))
def parquet_naive() -> Files:
    return {"tap.parquet": parquet(table("timestamp", pa.timestamp("us"), 1000))}


def parquet_of_integers(factor: float) -> Files:
    return {"tap.parquet": parquet(table("timestamp", pa.int64(), factor))}


for unit, factor in (("s", 1 / 1000), ("us", 1000), ("ns", 1_000_000)):
    LAYOUTS[f"parquet-{unit}"] = of_bars(unit=unit), partial(parquet_of_integers, factor)


# --- trades of tardis and BitMEX, and trades that lack what others have


@layout(of_trades(unit="us"))
def tardis_trades() -> Files:
    rows = (["binance", MARKET, t.us, t.us + 4_321, t.id, t.side, t.price, t.amount] for t in TRADES)
    text = lines(rows, "exchange,symbol,timestamp,local_timestamp,id,side,price,amount")
    return {f"binance_trades_2024-12-31_{MARKET}.csv.gz": gzipped(text)}


@layout(of_trades("trades-uuid", unit="%Y-%m-%dD%H:%M:%S and nine digits"))
def bitmex_trades() -> Files:
    times = [utc(t.us // 1000, "%Y-%m-%dD%H:%M:%S") + f".{t.us % 1_000_000:06}000" for t in TRADES]
    rows = (
        [time, MARKET, t.side.title(), t.amount, t.price, "ZeroPlusTick", t.uuid, 0, t.amount, t.amount * t.price]
        for time, t in zip(times, TRADES, strict=True)
    )
    header = "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional"
    return {"20241231.csv.gz": gzipped(lines(rows, header))}


@layout(of_trades("trades-uuid", unit="ms", duplicates=1))
def uuid_trades() -> Files:
    rows = ([t.us // 1000, t.uuid, t.price, t.amount, t.side] for t in twice(TRADES, 21))
    return {"trades.csv": lines(rows, "ts,id,price,amount,side")}


@layout(of_trades("trades-no-id", unit="ISO 8601", lacks=["id"]))
def trades_without_id() -> Files:
    times = (utc(t.us // 1000, "%Y-%m-%dT%H:%M:%S") + f".{t.us % 1_000_000:06}Z" for t in TRADES)
    rows = ([time, t.price, t.amount, t.side] for time, t in zip(times, TRADES, strict=True))
    return {"trades.csv": lines(rows, "time,price,size,side")}


def plain_rows(trades: Iterable[Trade]) -> Files:
    rows = ([t.us // 1000, t.id, t.price, t.amount, t.side] for t in trades)
    return {"trades.csv": lines(rows, "ts,id,price,amount,side")}


LAYOUTS["plain-trades"] = of_trades(unit="ms"), partial(plain_rows, TRADES)
LAYOUTS["plain-trades-halves"] = (
    of_trades(unit="ms", order="the later half first"),
    partial(plain_rows, TRADES[27:] + TRADES[:27]),
)


# --- one plain table: dialects, containers, times at the close

HEADER = "ts," + ",".join(OHLCV)
TEXT = lines(([b.ts, *b[1:]] for b in MINUTES), HEADER)
ZONED = "%Y-%m-%d %H:%M:%S+00:00"
POLARS = "%Y-%m-%dT%H:%M:%S.000000+0000"


def plain(name: str, file: str, content: Content, **more: Any) -> None:
    LAYOUTS[name] = of_bars(**{"unit": "ms"} | more), lambda: {file: content}


plain("plain", "tap.csv", TEXT)
plain("tab", "tap.tsv", TEXT.replace(",", "\t"), delimiter="\t")
plain("pipe", "tap.csv", TEXT.replace(",", "|"), delimiter="|")
plain("decimal-comma", "tap.csv", TEXT.replace(",", ";").replace(".", ","), delimiter=";", decimal=",")
plain("comments", "tap.csv", f"# {SYMBOL}, minutes\n#\n{TEXT}# end\n")
plain("utf16", "tap.txt", "\ufeff".encode("utf-16-le") + TEXT.replace(",", "\t").encode("utf-16-le"), delimiter="\t")
plain("zst", "tap.csv.zst", pa.Codec("zstd").compress(TEXT.encode(), asbytes=True))
plain("xz", "tap.csv.xz", lzma.compress(TEXT.encode()))
plain("bz2", "tap.csv.bz2", bz2.compress(TEXT.encode()))
plain("gzip-without-suffix", "tap.csv", gzipped(TEXT))
plain("pandas-csv", "tap.csv", lines(([utc(b.ts, ZONED), *floats(b)] for b in MINUTES), HEADER[2:]), unit="ISO 8601")
plain("polars-csv", "tap.csv", lines(([utc(b.ts, POLARS), *floats(b)] for b in MINUTES), HEADER), unit="ISO 8601")
AT_CLOSE = {"stamp": "close"}
plain("close-stamped", "tap.csv", lines(([b.ts + MINUTE, *b[1:]] for b in MINUTES), HEADER), **AT_CLOSE)
plain("close-stamped-999", "tap.csv", lines(([b.ts + MINUTE - 1, *b[1:]] for b in MINUTES), HEADER), **AT_CLOSE)


@layout(of_bars(unit="ms"))
def zip_of_parts() -> Files:
    header, *rows = TEXT.splitlines(keepends=True)
    parts = {"tap/tap-2.csv": header + "".join(rows[20:]), "tap/tap-1.csv": header + "".join(rows[:20])}
    return {"tap.zip": zipped(parts | {"__MACOSX/tap/._tap-2.csv": "\0\5\26\7", "tap/.DS_Store": "\0\0\0\1Bud1"})}


# --- what has to be refused as a whole, in words that say why


def trap(name: str, word: str, content: str, file: str = "tap.csv", **more: Any) -> None:
    LAYOUTS[f"trap-{name}"] = (
        {"kind": "bars", "interval": "1m", "unit": "ms", "refused": word} | more,
        lambda: {file: content},
    )


def plain_lines(bars: Iterable[Bar]) -> str:
    return lines(([b.ts, *b[1:]] for b in bars), HEADER)


FORTY_DAYS = walk((ms("2024-01-01") + n * DAY for n in range(40)), 8)
MANY_MINUTES = walk((ms("2024-01-01") + n * MINUTE for n in range(150)), 9)
BAD = ([b.ts, *(b[1:] if n % 10 == 0 else ["n/a"] * 5)] for n, b in enumerate(MINUTES))
IN_SECONDS = ([t.us // 1_000_000, t.id, t.price, t.amount, t.side] for t in TRADES)
trap("days-as-1m", "interval", plain_lines(FORTY_DAYS))
trap("minutes-as-1h", "interval", plain_lines(MANY_MINUTES), interval="1h")
trap("bad-rows", "rows|lines", lines(BAD, HEADER))
trap("seconds-as-ms", "seconds", lines(([b.ts // 1000, *b[1:]] for b in MINUTES), HEADER))
trap("trades-seconds-as-ms", "seconds", lines(IN_SECONDS, "ts,id,price,amount,side"), kind="trades")
trap("no-close", "column|header", lines(([b.ts, *b[1:4], b.volume] for b in MINUTES), "ts,open,high,low,volume"))
trap("page-as-zip", "zip", '<?xml version="1.0"?>\n<Error><Code>NoSuchKey</Code></Error>\n', f"{MARKET}-1m.zip")


def write(name: str, folder: Path) -> None:
    """Write the files of a layout to a folder, which need not exist."""
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in LAYOUTS[name][1]().items():
        (folder / file).write_bytes(content.encode() if isinstance(content, str) else content)
