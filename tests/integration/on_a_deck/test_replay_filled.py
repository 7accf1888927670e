"""source.fill on a running deck: missing bars are backfilled from the exchange, live bars are not replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from decks.process import Deck, apply, broker_of, eventually, phase, reaches
from exchange import Exchange
from exchange.binance import Binance
from exchange.candles import MINUTE, CandleMarket, candle
from pods.recorder import publish
from pods.replay import bars, committed
from tapedeck_common import topics
from tapedeck_common.market import Bar
from tapedeck_common.wire import encode, market_headers
from tapedeck_deck.cli import changes
from tapedeck_deck.embedded import documents

EXAMPLE = Path(__file__).parents[3] / "examples" / "more" / "replay-filled.yaml"
pytestmark = pytest.mark.slow
START = 1_735_603_200_000  # 2024-12-31T00:00:00Z
MINUTES = 600
GAP = range(200, 230)
LIVE = range(100, 120)
LATER = range(MINUTES, MINUTES + 50)  # after the range
DAY = 1_723_075_200_000  # 2024-08-08T00:00:00Z, of the example
DAY_MINUTES = 1_440


def live_bar(minute: int) -> Bar:
    """A bar that differs from the exchange's history."""
    return Bar("binance", "BTC/USDT", "1m", START + minute * MINUTE, 7.0, 9.0, 6.0, 8.0 + minute / 1000, 2.0)


def test_stored_bars_are_kept_and_missing_ones_are_backfilled(shared_deck: Deck) -> None:
    home, facts, objects = shared_deck

    def live(minutes: range) -> None:
        for minute in minutes:
            value = encode(live_bar(minute))
            publish(broker_of(facts), [(topics.MARKET_BARS, value, "binance:BTC/USDT", market_headers("live"))])

    def rows_by_source() -> dict[str, int]:
        with psycopg.connect((home.migrate / "store_dsn").read_text().strip()) as connection:
            query = "SELECT source, count(*) FROM bars WHERE exchange = 'binance' GROUP BY 1"
            return dict(connection.execute(query).fetchall())

    live(LIVE)
    eventually(lambda: rows_by_source() == {"live": len(LIVE)})
    gap = (START + GAP.start * MINUTE, START + GAP.stop * MINUTE)
    market = CandleMarket("BTC", "USDT", [], first=START, gaps=[gap])
    with Exchange(Binance(), [market], clock_offset=START + 2 * MINUTES * MINUTE) as exchange:
        store = {"exchange": "binance", "symbols": ["BTC/USDT"]}
        store |= {"from": "2024-12-31T00:00:00Z", "to": "2024-12-31T10:00:00Z"}
        endpoints = {"rest": exchange.rest, "websocket": exchange.websocket}
        spec: dict[str, Any] = {"source": {"fill": True, "endpoints": endpoints, "store": store}, "unpaced": True}
        apply(objects, "Replay", "filled", spec)
        live(LATER)
        eventually(lambda: phase(objects, "Replay", "filled") in ("Complete", "Failed"), 90)
        unknown = spec["source"] | {"store": store | {"symbols": ["BTC/USTD"]}}
        apply(objects, "Replay", "unknown", {"source": unknown})
        eventually(lambda: phase(objects, "Replay", "unknown") in ("Complete", "Failed"), 40)
    rejected = objects.get("Replay", "default", "unknown")["status"]
    assert (rejected["phase"], rejected["conditions"][0]["reason"]) == ("Failed", "FillFailed")
    assert "near matches: BTC/USDT" in rejected["message"]
    status = objects.get("Replay", "default", "filled")["status"]
    assert (status["phase"], status["published"]) == ("Complete", MINUTES - len(GAP)), status

    expected = []
    for minute in (m for m in range(MINUTES) if m not in GAP):
        bar = live_bar(minute)
        ts, *values = candle(bar.ts)
        given = (bar.open, bar.high, bar.low, bar.close, bar.volume) if minute in LIVE else map(float, values)
        expected.append((ts, "BTC/USDT", *given))
    assert bars(committed(broker_of(facts), status["topic"])) == expected
    eventually(lambda: rows_by_source().get("live") == len(LIVE) + len(LATER))
    assert rows_by_source()["backfill"] == MINUTES - len(GAP) - len(LIVE)
    assert sorted(feed["status"]["phase"] for feed in objects.list("Feed")) == ["Complete", "Failed"]


def test_the_example_downloads_a_day_plays_it_and_waits(shared_deck: Deck) -> None:
    """As the file says, but for the exchange's hosts."""
    _, facts, objects = shared_deck
    for replay in objects.list("Replay"):  # the test before has one of this name
        objects.delete("Replay", "default", replay["metadata"]["name"])
    (example,) = documents.read([str(EXAMPLE)])
    markets = [CandleMarket(base, "USDT", [], first=DAY) for base in ("BTC", "ETH")]
    with Exchange(Binance(), list(markets), clock_offset=DAY + 2 * DAY_MINUTES * MINUTE) as exchange:
        endpoints = {"rest": exchange.rest, "websocket": exchange.websocket}
        example.content["spec"]["source"]["endpoints"] = endpoints
        changes.apply(objects, [example], "default")
        uid = objects.get("Replay", "default", "filled")["metadata"]["uid"]

        def owned() -> list[str]:
            feeds = [each["metadata"] for each in objects.list("Feed")]
            return [each["name"] for each in feeds if uid in [by["uid"] for by in each.get("ownerReferences", ())]]

        (feed,) = eventually(owned)
        assert feed.startswith("fill-")
        eventually(lambda: phase(objects, "Replay", "filled") in ("Running", "Failed"))
        assert phase(objects, "Feed", feed) == "Complete"
        eventually(lambda: objects.get("Replay", "default", "filled")["status"]["conditions"][0]["reason"] == "Holding")
    status = objects.get("Replay", "default", "filled")["status"]
    assert (status["phase"], status["progress"]) == ("Running", f"{2 * DAY_MINUTES}/{2 * DAY_MINUTES}")
    assert status["anchor"]["speed"] * 24 == DAY_MINUTES * 60  # a day in 24 s
    objects.patch_spec("Replay", "default", "filled", {"spec": {"atEnd": "finish"}})
    reaches(objects, "Replay", "filled", "Complete")
    played = bars(committed(broker_of(facts), status["topic"]))
    assert [(ts, symbol) for ts, symbol, *_ in played] == [
        (DAY + minute * MINUTE, symbol) for minute in range(DAY_MINUTES) for symbol in ("BTC/USDT", "ETH/USDT")
    ]
