"""A backfill's pods as real processes, killed on the way: exchange through ccxt's client, broker, recorder, store.

TAPEDECK_FAULTS is the number of kills at seeded instants. More than three kills run over three years of bars.
"""

from __future__ import annotations

import os
import random
import time
import uuid
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from exchange import Exchange
from exchange.binance import Binance
from exchange.candles import MINUTE, CandleMarket, candle
from metrics_page.exposed import documented, exposed
from metrics_page.sections import BACKFILL
from pods.feed import FeedPod
from pods.recorder import caught_up, eventually, recorders, select
from pods.services import Services

KILLS = int(os.environ.get("TAPEDECK_FAULTS", "3"))
DAY = 1440 * MINUTE
NOW = 1_735_689_600_000 + 31_234  # half a minute into 2025
KLINES = "/api/v3/klines"
PER_SECOND = 50  # requests for candles within ccxt's limits for Binance
pytestmark = pytest.mark.slow


def iso(ms: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ms // 1000))


def random_gaps(rng: random.Random, start: int, end: int, count: int) -> list[tuple[int, int]]:
    """Gaps that neither touch nor overlap, from a minute to two days long."""
    places = sorted(rng.sample(range(start // MINUTE + 10, end // MINUTE - 3000, 3000), count))
    return [(at * MINUTE, (at + rng.choice((1, 2, 59, 1000, 2880))) * MINUTE) for at in places]


@contextmanager
def an_exchange(*markets: CandleMarket, halted: Iterable[str] = ()) -> Iterator[Exchange]:
    with Exchange(Binance(halted=set(halted)), list(markets), clock_offset=NOW) as exchange:
        yield exchange


def market(start: int, missing: list[tuple[int, int]] | None = None) -> CandleMarket:
    return CandleMarket(f"B{uuid.uuid4().hex[:6]}".upper(), "USDT", [], first=start, gaps=missing or [])


def pod(services: Services, store: str, folder: Path, exchange: Exchange, start: int, **backfill: Any) -> FeedPod:
    symbols = [market.symbol for market in exchange.markets]
    spec = {
        "exchange": "binance", "symbols": symbols, "endpoints": {"rest": exchange.rest},
        "backfill": {"from": iso(start), "only": True, **backfill},
    }  # fmt: skip
    return FeedPod(services.broker.bootstrap, folder, folder, spec, store=store, until=int(time.time() * 1000))


def stored(store: str, symbol: str) -> dict[int, tuple[float, ...]]:
    query = """SELECT (extract(epoch FROM ts) * 1000)::int8, open, high, low, close, volume FROM bars
               WHERE symbol = %s AND exchange = 'binance' AND interval = '1m' AND source = 'backfill' ORDER BY ts"""
    return {row[0]: row[1:] for row in select(store, query, symbol)}


def gaps(store: str, symbol: str, state: str) -> list[tuple[int, int]]:
    query = """SELECT (extract(epoch FROM start_ts) * 1000)::int8, (extract(epoch FROM end_ts) * 1000)::int8
               FROM gaps WHERE symbol = %s AND state = %s ORDER BY start_ts"""
    return [(start, end) for start, end in select(store, query, symbol, state)]


def existing_bars(start: int, end: int, missing: list[tuple[int, int]]) -> dict[int, tuple[float, ...]]:
    """The bars that exist, computed one by one."""
    without = {ts for gap in missing for ts in range(*gap, MINUTE)}
    return {ts: tuple(map(float, candle(ts)[1:])) for ts in range(start, end, MINUTE) if ts not in without}


def busiest_second(times: list[float]) -> int:
    return max(sum(1 for other in times[i : i + 200] if other - at < 1.0) for i, at in enumerate(times))


def has_requested(exchange: Exchange, requests: int, worker: FeedPod) -> bool:
    assert worker.process is not None
    return exchange.requests[KLINES] >= requests or worker.process.poll() is not None


@pytest.mark.faults
def test_killed_at_any_instant_it_downloads_what_exists_and_records_what_does_not(
    services: Services, store: str, tmp_path: Path
) -> None:
    rng = random.Random(KILLS)
    days = 40 if KILLS <= 3 else 3 * 365
    end = NOW // MINUTE * MINUTE
    start = end - days * DAY
    missing = random_gaps(rng, start, end, min(days // 4, 60))
    with (
        an_exchange(market(start, missing)) as exchange,
        recorders(tmp_path, services.broker.bootstrap, store) as (recorder,),
    ):
        symbol = exchange.markets[0].symbol
        worker = pod(services, store, tmp_path, exchange, start)
        recorder.start()
        worker.start()
        for _ in range(KILLS):
            ((stored_count,),) = select(store, "SELECT count(*) FROM bars")
            left = (days * 1440 - stored_count) // 1000
            requests = exchange.requests[KLINES] + rng.randrange(1, max(2 * left // KILLS, 3))
            eventually(partial(has_requested, exchange, requests, worker))
            worker.kill()
            worker.start()
        assert worker.wait(240) == 0, worker.log_tail()
        caught_up(services.broker.bootstrap, store, timeout=240)
        assert stored(store, symbol) == existing_bars(start, end, missing), "the unfinished minute is not among them"
        assert gaps(store, symbol, "unfillable") == missing
        assert gaps(store, symbol, "open") == []
        listed = select(store, "SELECT base, quote, price_step, amount_step FROM listings WHERE symbol = %s", symbol)
        assert listed == [(*symbol.split("/"), 0.01, 0.00001)], "as the exchange's filters say"
        assert busiest_second(exchange.requested_at) <= PER_SECOND + 5
        before = exchange.requests[KLINES]
        code, report = worker.run()
        assert (code, report["backfill"]["rows"], report["state"]) == (0, 0, "complete")
        assert report["backfill"]["done"] == report["backfill"]["total"] == days * 1440
        assert exchange.requests[KLINES] == before, "neither stored bars nor unfillable gaps are requested again"


def test_two_pods_share_range_and_rate_through_any_fault(services: Services, store: str, tmp_path: Path) -> None:
    """Error responses, junk, empty and short pages; then a gap in the store is filled."""
    end = NOW // MINUTE * MINUTE
    start = end - 30 * DAY
    mid = (start + end) // 2 // MINUTE * MINUTE
    missing = [(start + 100 * MINUTE, start + 130 * MINUTE), (mid - 20 * MINUTE, mid + 35 * MINUTE)]
    with (
        an_exchange(market(start, missing), market(start)) as exchange,
        recorders(tmp_path, services.broker.bootstrap, store) as (recorder,),
    ):
        recorder.start()
        workers = [pod(services, store, tmp_path / str(n), exchange, start, shards=2) for n in range(2)]
        for number, worker in enumerate(workers):
            worker.spec["symbols"] = ["*"]  # every symbol of the exchange
            worker.shard = number
            worker.start()
        eventually(lambda: exchange.requests[KLINES] >= 3)
        exchange.rest_faults.extend(
            [
                (429, {"Retry-After": "1"}, '{"code": -1003, "msg": "Too many requests."}'),
                (500, {}, "oops"),
                (200, {}, "[]"),
                (200, {}, '[["noon", 1, 2], [null], 7]'),
                (418, {"Retry-After": "1"}, '{"code": -1003, "msg": "banned"}'),
            ]
        )
        for one in exchange.markets:
            assert isinstance(one, CandleMarket)
            one.short = 5
        assert [worker.wait(120) for worker in workers] == [0, 0], "\n".join(worker.log_tail() for worker in workers)
        caught_up(services.broker.bootstrap, store)
        reports = [worker.last_report()["backfill"] for worker in workers]
        lacking = []
        for one, its in zip(exchange.markets, (missing, []), strict=True):
            found, expected = stored(store, one.symbol), existing_bars(start, end, its)
            lacking.append(sorted(expected.keys() ^ found.keys()))
            assert all(found[ts] == expected[ts] for ts in found)
        assert lacking == [[], []]
        union = {ts for gap in gaps(store, exchange.markets[0].symbol, "unfillable") for ts in range(*gap, MINUTE)}
        assert union == {ts for gap in missing for ts in range(*gap, MINUTE)}
        assert gaps(store, exchange.markets[1].symbol, "unfillable") == []
        assert sum(report["rows"] for report in reports) == sum(len(stored(store, m.symbol)) for m in exchange.markets)
        assert sum(report["retries"] for report in reports) >= 3
        assert any(report["last_error"] for report in reports)
        assert busiest_second(exchange.requested_at) <= PER_SECOND + 5

        lost = (mid + 200 * MINUTE, mid + 230 * MINUTE)
        select(
            store,
            "DELETE FROM bars WHERE symbol = %s AND ts >= to_timestamp(%s) AND ts < to_timestamp(%s) RETURNING 1",
            exchange.markets[1].symbol, lost[0] / 1000, lost[1] / 1000,
        )  # fmt: skip
        before = exchange.requests[KLINES]
        codes = [worker.run()[0] for worker in workers]
        caught_up(services.broker.bootstrap, store)
        assert codes == [0, 0]
        assert exchange.requests[KLINES] == before + 1, "only the gap is requested"
        assert stored(store, exchange.markets[1].symbol) == existing_bars(start, end, [])
        assert lost in gaps(store, exchange.markets[1].symbol, "filled")


def test_a_failed_page_is_recorded_and_requested_again_by_the_next_pod(
    services: Services, store: str, tmp_path: Path
) -> None:
    end = NOW // MINUTE * MINUTE
    start = end - 4 * DAY
    with (
        an_exchange(market(start)) as exchange,
        recorders(tmp_path, services.broker.bootstrap, store) as (recorder,),
    ):
        symbol = exchange.markets[0].symbol
        exchange.faulty_path = KLINES
        illegal: tuple[int, dict[str, str], str] = (
            400,
            {},
            '{"code": -1100, "msg": "Illegal characters found in a parameter."}',
        )
        exchange.faulty_query = f"startTime={end - 1000 * MINUTE}"
        exchange.rest_faults.extend([illegal] * 6)  # all attempts of one page
        recorder.start()
        worker = pod(services, store, tmp_path, exchange, start)
        code, report = worker.run()
        assert (code, report["reason"], report["errors"]) == (1, "Incomplete", 1)
        assert "Illegal characters" in report["backfill"]["last_error"]
        caught_up(services.broker.bootstrap, store)
        ((place,),) = select(store, "SELECT place FROM ingest_errors WHERE symbol = %s", symbol)
        lacking = sorted(existing_bars(start, end, []).keys() - stored(store, symbol).keys())
        assert lacking == list(range(lacking[0], lacking[0] + 1000 * MINUTE, MINUTE))
        assert place == f"bars 1m opened in [{iso(lacking[0])}, {iso(lacking[-1] + MINUTE)})"
        assert (gaps(store, symbol, "open"), gaps(store, symbol, "unfillable")) == ([(start, end)], [])
        assert worker.run()[0] == 0
        caught_up(services.broker.bootstrap, store)
        assert stored(store, symbol) == existing_bars(start, end, [])
        assert (gaps(store, symbol, "open"), gaps(store, symbol, "unfillable")) == ([], [])


def test_the_clock_is_requested_until_it_is_known(services: Services, store: str, tmp_path: Path) -> None:
    """By this machine's clock two more years are over, which would be recorded as unfillable."""
    end = NOW // MINUTE * MINUTE
    with (
        an_exchange(market(end - 60 * MINUTE)) as exchange,
        recorders(tmp_path, services.broker.bootstrap, store) as (recorder,),
    ):
        symbol = exchange.markets[0].symbol
        exchange.faulty_path = "/api/v3/time"
        exchange.rest_faults.extend([(503, {}, "not yet")] * 1_000)
        recorder.start()
        worker = pod(services, store, tmp_path, exchange, end - 60 * MINUTE)
        worker.start()
        assert exposed(worker.get("/metrics")) == documented(BACKFILL)  # it does not end before
        exchange.rest_faults = deque([(500, {}, "oops"), (200, {}, "[]"), (200, {}, '{"serverTime": "noon"}')])
        code, report = worker.wait(), worker.last_report()
        assert (code, report["backfill"]["total"], report["backfill"]["missing"]) == (0, 60, 0)
        assert not exchange.rest_faults
        caught_up(services.broker.bootstrap, store)
        assert stored(store, symbol) == existing_bars(end - 60 * MINUTE, end, [])
        assert gaps(store, symbol, "unfillable") == []


def test_a_backfill_of_a_delisted_market(services: Services, store: str, tmp_path: Path) -> None:
    """By its name; the range after its end is requested once."""
    end = NOW // MINUTE * MINUTE
    start, gone = end - 3000 * MINUTE, end - 1700 * MINUTE
    old, traded = market(start, [(gone, end + DAY)]), market(start)
    with (
        an_exchange(old, traded, halted={old.base}) as exchange,
        recorders(tmp_path, services.broker.bootstrap, store) as (recorder,),
    ):
        recorder.start()
        worker = pod(services, store, tmp_path, exchange, start)
        worker.spec["symbols"] = [old.symbol]
        code, report = worker.run()
        assert (code, report["backfill"]["missing"]) == (0, 1700), worker.log_tail()
        caught_up(services.broker.bootstrap, store)
        assert stored(store, old.symbol) == existing_bars(start, gone, [])
        assert gaps(store, old.symbol, "unfillable") == [(gone, end)]
        assert select(store, "SELECT base FROM listings WHERE symbol = %s", old.symbol) == [(old.base,)]
        before = exchange.requests[KLINES]
        assert worker.run()[0] == 0
        assert exchange.requests[KLINES] == before
        worker.spec["symbols"] = ["*"]
        code, report = worker.run()
    assert (code, report["symbols"]) == (0, 1), "a pattern selects traded markets only"


@pytest.mark.parametrize(
    ("wrong", "reason", "words"),
    [
        ({"backfill": {"from": "2100-01-01T00:00:00Z"}}, "BadRange", ["backfill.from", "2100-01-01T00:00:00Z"]),
        ({"symbols": ["BTC/USTD"]}, "UnknownSymbol", ["'BTC/USTD'", "near matches: BTC/USDT"]),
    ],
)
def test_invalid_input_fails_the_pod_at_once(
    services: Services, store: str, tmp_path: Path, wrong: dict[str, Any], reason: str, words: list[str]
) -> None:
    with an_exchange(CandleMarket("BTC", "USDT", [], first=NOW - NOW % MINUTE - 600 * MINUTE)) as exchange:
        worker = pod(services, store, tmp_path, exchange, NOW - DAY)
        worker.spec |= wrong
        code, report = worker.run()
    assert (code, report["reason"]) == (64, reason)
    assert all(word in report["message"] for word in words), report["message"]
