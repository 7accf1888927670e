"""Feeds of an exchange on a cluster: live across the end of a pod, and history."""

from __future__ import annotations

import os

import pytest

from decks.runs import GRACE_SECONDS, delete_pod, ended, pods, running
from exchange import Exchange, recorded
from exchange.binance import Binance
from exchange.candles import MINUTE, CandleMarket
from kube.operator import PATHS
from release import Deck

HOST = os.environ.get("TAPEDECK_E2E_HOST", "")  # an address of this machine that pods can reach
TRADES = {"BTC/USDT": 9_757, "ETH/USDT": 6_106}  # of the recording; ids without gaps
END = 1_735_689_600_000  # 2025
BARS = 3_000
GAP = 30
pytestmark = pytest.mark.skipif(not HOST, reason="pods reach no exchange of this machine: TAPEDECK_E2E_HOST")


def spec(exchange: Exchange, *symbols: str) -> dict[str, object]:
    endpoints = {"rest": exchange.rest, "websocket": exchange.websocket}
    return {"exchange": "binance", "symbols": list(symbols), "endpoints": endpoints}


def test_a_live_pod_ends_on_sigterm_and_its_successor_misses_no_trade(deck: Deck) -> None:
    things = deck.things()
    with Exchange(Binance(), recorded(), host=HOST) as exchange:
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key", "namespace": things.namespace}}
        things.apply(secret | {"stringData": {"apiKey": exchange.key}})  # else 1,000 trades
        made = things.resource("Feed", "live", {**spec(exchange, *TRADES), "apiKeySecret": "key"})
        exchange.subscribed(channels=2, timeout=90)
        exchange.play(5_000)
        things.status(made, lambda s: s.get("trades", 0) >= 5_000, seconds=60)
        assert delete_pod(things, running(things, made)["metadata"]["name"]) < GRACE_SECONDS - 5
        exchange.play()  # the successor requests the trades before its start
        query = (
            "SELECT symbol, count(*), count(DISTINCT id), max(id::bigint) - min(id::bigint) + 1 FROM trades "
            "WHERE exchange = 'binance' GROUP BY symbol ORDER BY symbol"
        )
        expected = [[symbol, *[str(count)] * 3] for symbol, count in TRADES.items()]
        things.until(lambda: deck.sql(query) == expected, 120)
        things.delete(made)
        things.until(lambda: not exchange.clients, GRACE_SECONDS)


def test_history_is_downloaded_by_a_job_of_several_pods(deck: Deck) -> None:
    things = deck.things()
    first = END - BARS * MINUTE
    hole = (END - 500 * MINUTE, END - (500 - GAP) * MINUTE)
    market = CandleMarket("LTC", "USDT", [], first=first, gaps=[hole])
    with Exchange(Binance(), [market], clock_offset=END + MINUTE // 2, host=HOST) as exchange:
        backfill = {"from": "2024-12-29T22:00:00Z", "to": "2025-01-01T00:00:00Z", "shards": 2, "only": True}
        made = things.resource("Feed", "past", {**spec(exchange, "LTC/USDT"), "backfill": backfill})
        status = ended(things, made)
        assert status["progress"] == f"{BARS}/{BARS}"
        bars = "SELECT count(*) FROM bars WHERE exchange = 'binance' AND symbol = 'LTC/USDT'"
        things.until(lambda: deck.sql(bars) == [[str(BARS - GAP)]], 30)
        job = things.must(
            things.client.get(
                PATHS["Job"].format(things.namespace),
                params={"labelSelector": f"tapedeck.dev/uid={made['metadata']['uid']}"},
            )
        )["items"][0]
        assert (job["spec"]["completionMode"], job["status"]["succeeded"]) == ("Indexed", 2)
        gaps = "SELECT extract(epoch FROM start_ts), extract(epoch FROM end_ts) FROM gaps WHERE state = 'unfillable'"
        assert [(float(a), float(b)) for a, b in deck.sql(gaps)] == [(hole[0] / 1000, hole[1] / 1000)]
        assert pods(things, made)
        things.delete(made)
