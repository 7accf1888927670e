"""What /api/v1 gives of a replay: bars, points and trades up to its position."""

from __future__ import annotations

import csv
import io
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import chain

import psycopg
import pyarrow as pa
import pytest

from pods.api_client import ApiClient
from pods.expected_bars import T0
from pods.gateway import FILE_SPEC, MINUTE, Gateway, ReplayTopic, insert_bars, walk
from tapedeck_common.market import Point, Trade
from tapedeck_common.settings import Connections
from waits import eventually

HOUR = 60 * MINUTE
BTC = "coinbase:BTC/USD"
NAMES = ("ts", "open", "high", "low", "close", "volume")


@pytest.fixture
def api(gateway: Gateway) -> ApiClient:
    return ApiClient(gateway)


def test_a_replays_bars_end_at_its_position(api: ApiClient, store: str, connections: Connections) -> None:
    bars = walk(1, 300, T0)
    insert_bars(store, bars)
    replay = ReplayTopic(connections, range_from=T0 + 40 * MINUTE, range_to=T0 + 300 * MINUTE)
    replay.play(bars[40:100])
    for limit in (7, 5_000):
        found = list(chain(*api.pages("/bars", "bars", symbol=replay.ticker, from_=T0, limit=limit)))
        assert [tuple(row[name] for name in NAMES) for row in found] == [
            (b.ts, b.open, b.high, b.low, b.close, b.volume) for b in bars[:100]
        ]
    answer = api.send("GET", "/bars", {"symbol": replay.ticker, "interval": "1h", "format": "arrow"})
    assert answer.table.column("ts").cast(pa.int64()).to_pylist() == [T0]
    assert api.send("GET", "/bars", {"symbol": replay.ticker, "to": T0 + HOUR}).headers["cache-control"] == "no-store"
    assert api.get("/bars", symbol=replay.ticker)["replay"] == {
        "position": T0 + 100 * MINUTE, "epoch": "0.0", "epoch_start": None, "ended": False,
    }  # fmt: skip
    assert "replay" not in api.get("/bars", symbol=BTC)
    back = T0 + 80 * MINUTE
    replay.seek(back)
    eventually(lambda: api.get("/bars", symbol=replay.ticker)["replay"]["epoch"] == "1.0")
    seen = api.get("/bars", symbol=replay.ticker)
    assert seen["replay"] == {"position": back, "epoch": "1.0", "epoch_start": back, "ended": False}
    assert seen["bars"][-1]["ts"] == back - MINUTE


def test_a_replay_without_a_start_has_its_whole_range(api: ApiClient, store: str, connections: Connections) -> None:
    bars = walk(6, 52_000, T0)
    columns = "exchange, symbol, interval, ts, open, high, low, close, volume, rev, source"
    with (
        psycopg.connect(store) as connection,
        connection.cursor() as cursor,
        cursor.copy(f"COPY bars ({columns}) FROM STDIN") as copied,
    ):
        for b in bars[:-40]:
            moment = datetime.fromtimestamp(b.ts / 1000, UTC).isoformat()
            values = (b.exchange, b.symbol, "1m", moment, b.open, b.high, b.low, b.close, b.volume, 0, "backfill")
            copied.write_row(values)
    insert_bars(store, [])
    replay = ReplayTopic(connections, range_from=bars[-100].ts, range_to=bars[-1].ts + MINUTE)
    replay.play(bars[-100:])
    expected = [(b.ts, b.open, b.high, b.low, b.close, b.volume) for b in bars]
    table = api.send("GET", "/bars", {"symbol": replay.ticker, "format": "arrow"}).table
    ts, *others = (table.column(name) for name in NAMES)
    assert list(zip(ts.cast(pa.int64()).to_pylist(), *(each.to_pylist() for each in others), strict=True)) == expected
    text = api.send("GET", "/bars", {"symbol": replay.ticker, "format": "csv"}).body.decode()
    assert [int(row[0]) for row in list(csv.reader(io.StringIO(text)))[1:]] == [b.ts for b in bars]
    pages = list(api.pages("/bars", "bars", symbol=replay.ticker, limit=20_000))
    assert [len(page) for page in pages] == [20_000, 20_000, 12_000]
    assert [tuple(row[name] for name in NAMES) for row in chain(*pages)] == expected
    hours = list(chain(*api.pages("/bars", "bars", symbol=replay.ticker, interval="1h", limit=500)))
    assert [row["ts"] for row in hours] == sorted({b.ts // HOUR * HOUR for b in bars})[: len(hours)]
    assert len(hours) == 52_000 // 60
    early = list(chain(*api.pages("/bars", "bars", symbol=replay.ticker, from_=0, to=T0 + 3 * MINUTE)))
    assert [row["ts"] for row in early] == [b.ts for b in bars[:3]]


def test_a_replay_of_a_file_without_a_start_has_all_that_was_played(api: ApiClient, connections: Connections) -> None:
    bars = walk(7, 300, T0)
    replay = ReplayTopic(connections, spec=FILE_SPEC, range_from=T0, range_to=T0 + 300 * MINUTE)
    replay.play(bars)
    for limit in (70, 5_000):
        found = list(chain(*api.pages("/bars", "bars", symbol=replay.ticker, limit=limit)))
        assert [row["ts"] for row in found] == [b.ts for b in bars]


def test_a_replays_points_are_as_they_were_published(api: ApiClient, connections: Connections) -> None:
    replay = ReplayTopic(connections, range_from=T0, range_to=T0 + 300 * MINUTE)
    replay.play(walk(1, 10, T0))
    of_trades = [
        Point("coinbase", "BTC/USD", "", "mine", T0 + n // 4, float(n), id=str(n + 98), seq=n) for n in range(40)
    ]
    of_bars = [
        Point("coinbase", "BTC/USD", "1m", "band", T0 + n * MINUTE, n + 0.5, open=1.0, high=n + 1.0) for n in range(12)
    ]
    replay.publish_points([*of_trades, *of_bars])
    for limit in (3, 5_000):
        found = list(chain(*api.pages("/points", "points", symbol=replay.ticker, series="mine", limit=limit)))
        assert [(row["ts"], row["id"], row["value"], row["open"]) for row in found] == [
            (each.ts, each.id, each.value, None) for each in of_trades
        ]
        found = list(chain(*api.pages("/points", "points", symbol=replay.ticker, series="band", limit=limit)))
        assert [(row["ts"], row["value"], row["open"], row["high"], row["low"], row["volume"]) for row in found] == [
            (each.ts, each.value, each.open, each.high, None, None) for each in of_bars[:10]
        ]
    for series, has in (("band", "1m"), ("mine", "'' (those of trades)")):
        refused = api.get("/points", status=404, symbol=replay.ticker, series=series, interval="1h")
        assert (refused["field"], refused["detail"].rpartition(": ")[2]) == ("interval", has)


def test_a_replay_is_known_as_soon_as_it_has_started(api: ApiClient, connections: Connections) -> None:
    """Also where the list of replays was read a moment before, for another one that is not there."""
    started = threading.Event()

    def ask_for_others() -> None:
        while not started.wait(0.02):
            api.get("/trades", status=404, symbol=f"replay/{uuid.uuid4()}/x:A")

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask_for_others)
        try:
            for _ in range(5):
                replay = ReplayTopic(connections, channel="trades", range_from=T0)
                replay.play_trades([Trade("coinbase", "BTC/USD", T0, "1", 10.0, 1.0, "buy")], T0 + 1)
                assert len(api.get("/trades", symbol=replay.ticker)["trades"]) == 1
        finally:
            started.set()
        asking.result(60)


def test_trades_of_a_replay_up_to_its_position(api: ApiClient, connections: Connections) -> None:
    replay = ReplayTopic(connections, channel="trades", range_from=T0, range_to=T0 + 300 * MINUTE)
    trades = [Trade("coinbase", "BTC/USD", T0 + n // 3, str(n + 95), 10.0 + n, 1.0, "buy") for n in range(60)]
    replay.play_trades(trades[:50], T0 + 16)
    for limit in (7, 5_000):
        found = list(chain(*api.pages("/trades", "trades", symbol=replay.ticker, limit=limit)))
        assert [(row["ts"], row["id"], row["price"], row["side"]) for row in found] == [
            (each.ts, each.id, each.price, each.side) for each in trades[:50]
        ]
    some = api.get("/trades", symbol=replay.ticker, from_=T0 + 2, to=T0 + 4)["trades"]
    assert [row["id"] for row in some] == [each.id for each in trades if T0 + 2 <= each.ts < T0 + 4]
    bars_only = ReplayTopic(connections, range_from=T0)
    bars_only.play(walk(1, 3, T0))
    assert api.get("/trades", status=400, symbol=bars_only.ticker)["field"] == "symbol"
