"""A replay of trades from the store, files and a topic: each trade exactly once and in order, despite kills."""

from __future__ import annotations

import json
import random
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from pods.replay import T0, Record, ReplayProcess, committed, end_of
from tapedeck_common import wire
from tapedeck_common.kafka import producer
from tapedeck_common.market import Trade
from tapedeck_common.settings import Connections
from tapedeck_crds.json import Json

Make = Callable[..., ReplayProcess]
SYMBOLS = ["A/USD", "B/USD", "C/EUR"]


@pytest.fixture
def make(tmp_path: Path, connections: Connections) -> Iterator[Make]:
    made: list[ReplayProcess] = []

    def of_spec(spec: Json, shard: int = 0, uid: str = "") -> ReplayProcess:
        made.append(
            ReplayProcess(tmp_path, connections, spec, files=tmp_path, shard=shard, uid=uid or str(uuid.uuid4()))
        )
        return made[-1]

    yield of_spec
    for each in made:
        if each.process is not None and each.process.poll() is None:
            each.process.kill()


def some_trades(count: int, exchange: str = "x", *, unordered: str = "") -> list[Trade]:
    """Bursts, pauses of hours and many trades in one millisecond; ids count up from 8, so that 10 sorts after 9.

    Those of the symbol ``unordered`` have ids that do not, so they are numbered within their millisecond.
    """
    rng, ts, trades = random.Random(count), T0, []
    at: Counter[int] = Counter()
    for number in range(8, 8 + count):
        ts += rng.choice([0, 0, 0, 1, 2, 40, 900] if number % 500 else [7_200_000])
        price, amount = round(rng.uniform(90, 110), 2), round(rng.uniform(0.1, 5), 6)
        side = rng.choice(["buy", "sell"])
        symbol, id_, seq = rng.choice(SYMBOLS), str(number), 0
        if symbol == unordered:
            at[ts] += 1
            id_, seq = f"{number * 2_654_435_761 % 2**32:08x}-{number}", at[ts]
        trades.append(Trade(exchange, symbol, ts, id_, price, amount, side, seq))  # type: ignore[arg-type]
    return trades


def insert(dsn: str, trades: list[Trade]) -> None:
    with psycopg.connect(dsn) as connection:
        connection.cursor().executemany(
            "INSERT INTO trades VALUES (%s, %s, to_timestamp(%s / 1000.0), %s, %s, %s, %s, 'backfill', %s)",
            random.Random(1).sample(
                [(t.exchange, t.symbol, t.ts, t.id, t.price, t.amount, t.side, t.seq) for t in trades], len(trades)
            ),
        )


def order(value: Json) -> tuple[int, str, int]:
    """The order key of a value on the log."""
    return value["ts"], value["symbol"], int(value["id"])


def expected(trades: list[Trade]) -> list[Json]:
    """The values on the log, in order: of one time and symbol that of the given trades."""
    return [json.loads(wire.encode(t)) for t in sorted(trades, key=lambda trade: (trade.ts, trade.symbol))]


def values(records: list[Record]) -> list[Json]:
    return [record.value for record in records if record.kind == "bar"]


def played(replay: ReplayProcess, kills: int = 0) -> list[Json]:
    """The trades on the topic after a complete pass in which the pod is killed ``kills`` times."""
    replay.start()
    report = replay.until(lambda r: r["state"] in ("waiting", "failed"))
    assert report["state"] == "waiting", report["message"]
    span = report["last_event"] - report["range_from"]
    replay.anchor(v0=report["range_from"], speed=span / 20_000, unpaced=not kills, hold=bool(kills))
    for left in reversed(range(kills)):
        target = replay.status()["published"] + 1 + report["rows"] // 50
        replay.until(lambda r, target=target: r["published"] >= target)  # type: ignore[misc]
        replay.kill()
        replay.start()
        if not left:
            reached = replay.until(lambda r: r["state"] in ("running", "holding"))
            replay.anchor(2, v0=reached["position"], unpaced=True)
    assert replay.wait() == 0, replay.last_report()
    last = replay.last_report()
    records = committed(replay.connections.kafka_bootstrap, replay.topic, replay.shard)
    assert last["passed"] == last["rows"] == last["published"] == end_of(records).value["published"]
    low = 0
    for record in records:  # no trade follows a watermark that covers it
        if record.kind == "watermark":
            low = record.value["v"]
        elif record.kind == "bar":
            assert record.value["ts"] > low
    return values(records)


STORE = {"channel": "trades", "store": {"exchange": "x", "symbols": ["*"]}}


@pytest.mark.slow
def test_trades_of_the_store_are_published_exactly_once_and_in_order_after_kills(make: Make, store: str) -> None:
    trades = some_trades(12_000, unordered="C/EUR")
    insert(store, trades)
    replay = make({"source": STORE})
    assert played(replay, kills=2) == expected(trades)
    start = committed(replay.connections.kafka_bootstrap, replay.topic)[0].value
    assert (start["channel"], start["range_from"], start["range_to"]) == ("trades", trades[0].ts, trades[-1].ts + 1)


def test_a_selection_of_the_store(make: Make, store: str) -> None:
    trades = some_trades(3_000)
    insert(store, trades)
    part = {"symbols": ["?/USD"], "from": "2018-04-04T02:00:00Z", "to": "2018-04-04T06:00:00Z"}
    selected = [t for t in trades if t.symbol != "C/EUR" and T0 + 7_200_000 <= t.ts < T0 + 21_600_000]
    assert 300 < len(selected) < 1_500
    assert played(make({"source": STORE | {"store": {"exchange": "x"} | part}})) == expected(selected)


def test_seek_step_and_loop_use_the_times_of_trades(make: Make, store: str) -> None:
    trades = some_trades(1_200, unordered="B/USD")
    insert(store, trades)
    replay = make({"source": STORE})
    replay.start()
    report = replay.until(lambda r: r["state"] == "waiting")
    first, last = report["range_from"], report["last_event"]
    assert (first, last) == (trades[0].ts - 1, trades[-1].ts)
    # A step of a minute from the beginning, then a jump back to a time that has trades, then two rounds from there.
    replay.anchor(v0=first + 60_000, speed=0.0)
    stepped = [t for t in trades if t.ts <= first + 60_000]
    replay.until(lambda r: r["published"] == len(stepped))
    to = trades[100].ts
    replay.anchor(2, v0=to, speed=0.0, epoch=1, unpaced=True)
    replay.until(lambda r: r["epoch"] == "1.0")
    replay.anchor(3, v0=to, speed=1.0, unpaced=True, epoch=1, loop_rounds=2, loop_from=first, loop_to=last)
    assert replay.wait() == 0, replay.last_report()
    records = committed(replay.connections.kafka_bootstrap, replay.topic)
    bars = [r for r in records if r.kind == "bar"]
    by_epoch = {epoch: [r.value for r in bars if r.epoch == epoch] for epoch in ("0.0", "1.0", "1.1")}
    assert by_epoch["0.0"] == expected(stepped)
    assert by_epoch["1.0"] == expected([t for t in trades if t.ts > to])
    assert by_epoch["1.1"] == expected(trades)
    assert len(bars) == sum(map(len, by_epoch.values()))


@pytest.mark.slow
def test_shards_share_the_symbols(make: Make, store: str) -> None:
    trades = some_trades(1_500)
    insert(store, trades)
    spec, uid = {"source": STORE, "shards": 2}, str(uuid.uuid4())
    shards = [make(spec, shard, uid) for shard in (0, 1)]
    for shard in shards:
        shard.start()
    for shard in shards:
        report = shard.until(lambda r: r["state"] == "waiting")
        shard.anchor(v0=report["range_from"], unpaced=True)
    assert [shard.wait() for shard in shards] == [0, 0]
    parts = [values(committed(shards[0].connections.kafka_bootstrap, shards[0].topic, n)) for n in (0, 1)]
    symbols = [{value["symbol"] for value in part} for part in parts]
    assert not symbols[0] & symbols[1]
    assert parts == [expected([t for t in trades if t.symbol in mine]) for mine in symbols]
    assert sum(map(len, parts)) == len(trades)


def binance_message(trade: Trade) -> str:
    message = {"e": "trade", "s": trade.symbol.replace("/", ""), "t": int(trade.id), "p": str(trade.price)}
    return json.dumps(message | {"q": str(trade.amount), "T": trade.ts, "m": trade.side == "sell"})


@pytest.mark.slow
def test_trades_of_files(make: Make, tmp_path: Path) -> None:
    trades = some_trades(4_000)
    for symbol in SYMBOLS:
        lines = [binance_message(t) for t in trades if t.symbol == symbol]
        (tmp_path / symbol.replace("/", "")).write_text("\n".join(lines))
    sets = [{"symbol": symbol, "path": symbol.replace("/", "")} for symbol in SYMBOLS]
    source = {"channel": "trades", "files": {"format": "binance-messages", "exchange": "x", "sets": sets}}
    assert played(make({"source": source}), kills=1) == expected(trades)


@pytest.mark.slow
def test_trades_of_the_market_topic_are_mirrored_and_recorded(make: Make, connections: Connections) -> None:
    exchange = f"x{uuid.uuid4().hex[:8]}"
    trades = some_trades(800, exchange)
    to = producer(connections, "tests")
    for trade in random.Random(2).sample(trades, len(trades)) + trades[:50]:  # a restarted Feed repeats some
        key = f"{exchange}:{trade.symbol}"
        to.produce("market.trades", wire.encode(trade), key, headers=wire.market_headers("live"))
    assert to.flush(30) == 0
    topic = {"channel": "trades", "topic": {"name": "market.trades", "exchange": exchange}}
    first = make({"source": topic, "record": True, "target": {"topic": "market.trades", "shared": True}})
    assert played(first) == expected(trades)
    shared: list[Record] = []
    for partition in range(12):
        shared += committed(connections.kafka_bootstrap, "market.trades", partition, [exchange, first.recorded])
    copies = [r.value for r in shared if r.header == f"1;replay;{first.uid};0.0"]
    assert sorted(copies, key=order) == expected(trades)
    recorded = [r.value for r in shared if r.header == f"1;replay;{first.uid}"]
    assert {value["exchange"] for value in recorded} == {first.recorded}
    assert sorted((v | {"exchange": exchange} for v in recorded), key=order) == expected(trades)
    # Replayed trades on the shared topic are ignored: the next Replay of it publishes each trade once again.
    assert played(make({"source": topic})) == expected(trades)
    assert played(make({"source": {"channel": "trades", "topic": {"name": first.topic}}})) == expected(trades)


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ({"exchange": "y"}, "source.store.exchange: got y, expected an exchange with trades in the store"),
        ({"symbols": ["A/UDS"]}, "symbols: got A/UDS, expected a symbol of x with trades in the store, such as A/USD"),
        (
            {"to": "2017-01-01T00:00:00Z"},
            "where A/USD has no trades, expected a range that overlaps 2018-04-04T00:00:00",
        ),
    ],
    ids=["exchange", "symbol", "range"],
)
def test_the_message_names_what_the_store_has_instead(make: Make, store: str, selection: Json, message: str) -> None:
    insert(store, some_trades(50))
    replay = make({"source": {"channel": "trades", "store": {"exchange": "x", "symbols": ["A/USD"]} | selection}})
    replay.start()
    assert replay.wait() == 64
    assert replay.last_report()["reason"] == "NoTrades"
    assert message in replay.last_report()["message"]
