"""The page's view of markets in a real browser: three thousand symbols, live prices, coverage and analytics."""

from __future__ import annotations

import math
import statistics
from datetime import UTC, datetime
from itertools import count, pairwise
from typing import Any

import psycopg
from playwright.sync_api import Locator, Page, expect

from pods.browser import BROWSER_TESTS, PHONE, save_screenshot, wait_for
from pods.expected_bars import T0
from pods.gateway import MINUTE, Gateway, insert_bars, walk
from tapedeck_common.kafka import producer
from tapedeck_common.market import Bar, Ticker, series_key
from tapedeck_common.settings import Connections
from tapedeck_common.topics import MARKET_BARS, MARKET_TICKERS
from tapedeck_common.wire import encode, market_headers
from waits import eventually

pytestmark = BROWSER_TESTS
DAY = 1_440 * MINUTE
MANY = 3_000
COVERAGE = "Coverage: what is missing"


def panel(page: Page, title: str) -> Locator:
    return page.locator(f".panel[aria-label='{title}']")


def row(page: Page, symbol: str) -> Locator:
    return page.locator(f"[id='row-{symbol}']")


def daily(exchange: str, symbol: str, closes: list[float]) -> list[Bar]:
    return [Bar(exchange, symbol, "1d", T0 + n * DAY, c, c, c, c, 1.0 + n) for n, c in enumerate(closes)]


def insert_ticker(store: str, symbol: str, price: float) -> None:
    with psycopg.connect(store) as connection:
        connection.execute(
            "INSERT INTO tickers (exchange, symbol, ts, price, source) VALUES ('x', %s, to_timestamp(%s), %s, 'live')",
            (symbol, T0 / 1000, price),
        )


def send(connections: Connections, topic: str, record: Bar | Ticker) -> None:
    """Publish a record as a Feed does."""
    kafka = producer(connections, "tests")
    key = series_key(record.exchange, record.symbol).encode()
    kafka.produce(topic, encode(record), key=key, headers=market_headers("live"))
    assert kafka.flush(10) == 0


def percent(share: float) -> str:
    """With two decimals, and three significant digits below 1 %."""
    value = abs(share * 100)
    decimals = 2 if value >= 1 else 2 - math.floor(math.log10(value))
    whole, _, rest = f"{value:,.{decimals}f}".partition(".")
    return f"{'+' if share > 0 else '-'}{whole}.{rest.rstrip('0').ljust(2, '0')} %"


def test_three_thousand_symbols_are_sorted_filtered_and_opened(
    gateway: Gateway, page: Page, store: str, connections: Connections
) -> None:
    changes = {f"S{n:04}/USD": 1 + ((n * 7_919) % 2_000 - 1_000) / 5_000 for n in range(MANY)}
    assert len(set(changes.values())) == 2_000
    insert_bars(store, [bar for name, change in changes.items() for bar in daily("x", name, [50.0, 50.0 * change])])
    live = walk(2, 5, T0 + DAY, exchange="x", symbol="LIVE/USD")
    insert_bars(store, live)
    insert_ticker(store, "TICK/USD", 7.25)
    page.goto(f"{gateway.url}/markets")
    grid = page.get_by_role("grid")
    expect(grid).to_have_attribute("aria-rowcount", str(MANY + 3))
    assert page.locator("tr[role=row]").count() < 80  # only those in sight are drawn
    best = max(changes.values())
    expect(row(page, "x:S0001/USD")).to_contain_text(percent(changes["S0001/USD"] - 1))
    grid.get_by_role("button", name="Day").click()
    first = page.locator("tbody tr[role=row]").first
    expect(first).to_contain_text(percent(best - 1))
    assert "sort=-day" in page.url
    page.get_by_label("Filter symbols").fill("s29")
    expect(panel(page, "Symbols").get_by_role("status").first).to_contain_text(f"100 of {MANY + 2:,} symbols")
    expect(first).to_contain_text(percent(max(change for name, change in changes.items() if name[:3] == "S29") - 1))

    page.get_by_label("Filter symbols").fill("tick")
    expect(row(page, "x:TICK/USD")).to_contain_text("7.25")  # of a symbol without bars
    send(connections, MARKET_TICKERS, Ticker("x", "TICK/USD", T0 + 5_000, 8.5))
    expect(row(page, "x:TICK/USD")).to_contain_text("8.50")
    page.get_by_label("Filter symbols").fill("live")
    expect(row(page, "x:LIVE/USD")).to_contain_text(f"{live[-1].close:,.2f}")
    following = count(live[-1].ts + MINUTE, MINUTE)

    def shows_a_later_bar() -> bool:
        """One that is published before the page follows the row is with the recorder, which does not run here."""
        send(connections, MARKET_BARS, Bar("x", "LIVE/USD", "1m", next(following), 9.0, 9.75, 8.5, 9.25, 3.0))
        page.wait_for_timeout(1_000)
        return "9.25" in row(page, "x:LIVE/USD").inner_text()

    eventually(shows_a_later_bar)
    page.get_by_label("Filter symbols").fill("S2999")
    expect(row(page, "x:S2999/USD")).to_contain_text(f"{50 * changes['S2999/USD']:.2f}")
    save_screenshot(page, "markets-many")
    row(page, "x:S2999/USD").click()  # one that the list of the Deck lacks
    wait_for(page, "last", T0 + DAY)
    assert "symbol=x%3AS2999%2FUSD" in page.url
    page.go_back()
    expect(page.get_by_label("Filter symbols")).to_have_value("S2999")


def test_chosen_symbols_are_shown_side_by_side(gateway: Gateway, page: Page, store: str) -> None:
    btc = [bar for bar in walk(3, 3 * 1_440, T0) if not 2_000 <= (bar.ts - T0) // MINUTE < 2_120]
    eth = walk(4, 3 * 1_440, T0, symbol="ETH/USD")
    insert_bars(store, btc + eth)
    insert_ticker(store, "TICK/USD", 7.25)
    page.goto(f"{gateway.url}/markets?interval=1h")

    coverage = panel(page, COVERAGE)
    whole = 3 * 1_440
    share = (whole - 120) / whole * 100
    expect(coverage).to_contain_text(f"1 hole of 2 h: 120 bars missing, {share:.2f} % of {whole:,} bars stored")
    expect(coverage).to_contain_text(f"No hole: 100.00 % of {whole:,} bars stored")
    expect(coverage.locator(".days[data-whole='2'][data-part='1']")).to_have_count(1)
    expect(coverage.locator(".days[data-whole='3'][data-part='0']")).to_have_count(1)

    days = [[bar.close for bar in bars if (bar.ts + MINUTE - T0) % DAY == 0] for bars in (btc, eth)]
    for closes in days:
        expect(panel(page, "Returns")).to_contain_text(percent(closes[1] / closes[0] - 1))
        expect(panel(page, "Returns")).to_contain_text(percent(closes[2] / closes[1] - 1))
    volume = sum(bar.volume for bar in eth if bar.ts < T0 + DAY)
    expect(panel(page, "Volume")).to_contain_text(f"{volume:,.2f}")
    expect(panel(page, "Top movers")).to_contain_text(percent(days[0][2] / days[0][1] - 1))
    deviation, together = hourly_statistics(btc, eth)
    expect(panel(page, "Volatility")).to_contain_text(f"{deviation * math.sqrt(365 * 24) * 100:,.2f} %")
    expect(panel(page, "Correlation")).to_contain_text(f"{together:.2f}")
    save_screenshot(page, "markets")

    panel(page, "Returns").get_by_role("combobox").select_option("month")
    expect(panel(page, "Returns")).to_contain_text("2018-04")
    page.get_by_role("grid").focus()
    page.keyboard.press("Home")
    page.keyboard.press("Space")  # BTC is chosen no more
    expect(panel(page, "Correlation")).to_contain_text("Choose two or more symbols")
    assert page.url.count("symbol=") == 1
    page.reload()
    expect(coverage.locator(".coverage li")).to_have_count(1)
    coverage.get_by_role("link", name="coinbase:ETH/USD, 1m").click()
    wait_for(page, "last", eth[-1].ts)
    page.go_back()
    page.set_viewport_size(PHONE)
    expect(coverage.locator(".coverage li")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def test_what_is_missing_is_found_opened_and_fetched(gateway: Gateway, page: Page, store: str) -> None:
    """Series of other spans on one axis; the series that lacks most is on top, and its longest hole."""
    lacks = {"BTC/USD": [(2_000, 2_120), (3_000, 3_001)], "ETH/USD": [(1_600, 3_040)], "LTC/USD": []}
    starts = {"BTC/USD": T0, "ETH/USD": T0 + DAY, "LTC/USD": T0}
    bars = {
        symbol: [bar for bar in walk(3, (T0 + 4 * DAY - starts[symbol]) // MINUTE, starts[symbol], symbol=symbol)
                 if not any(first <= (bar.ts - T0) // MINUTE < last for first, last in holes)]
        for symbol, holes in lacks.items()
    }  # fmt: skip
    insert_bars(store, [bar for each in bars.values() for bar in each])
    page.goto(f"{gateway.url}/markets")
    coverage = panel(page, COVERAGE)
    expect(coverage.locator(".lead")).to_have_text("2 of 3 series lack bars: 3 holes, 1.1 d in all")
    rows = coverage.locator(".coverage li")
    for n, (name, text) in enumerate(
        [
            ("ETH/USD", "1 hole of 1 d: 1,440 bars missing"),
            ("BTC/USD", "2 holes, 2 h in all, the longest 2 h: 121 bars missing"),
            ("LTC/USD", "No hole"),
        ]
    ):
        expect(rows.nth(n)).to_contain_text(f"coinbase:{name}, 1m")
        expect(rows.nth(n)).to_contain_text(text)
    axis = coverage.locator("[data-axis]")
    expect(axis).to_have_attribute("data-axis", f"{T0} 4 1")
    for n in range(4):
        expect(axis).to_contain_text(f"{datetime.fromtimestamp((T0 + n * DAY) / 1000, UTC):%Y-%m-%d}")
    expect(coverage).to_contain_text("2018-04-04 to 2018-04-07; a cell is a day")
    assert [
        rows.nth(n).locator(".days").evaluate("strip => Math.round(strip.getBoundingClientRect().left)")
        for n in range(3)
    ] == [axis.evaluate("ticks => Math.round(ticks.getBoundingClientRect().left)")] * 3
    save_screenshot(page, "coverage")

    links = coverage.get_by_role("list", name="Holes of coinbase:BTC/USD, 1m").get_by_role("link")
    expect(links).to_have_text(["2018-04-05 09:20–11:20, 120 bars missing", "2018-04-06 02:00–02:01, 1 bar missing"])
    links.first.focus()
    page.keyboard.press("Enter")
    chart = page.locator("#chart")
    first, last = T0 + (2_000 - 40) * MINUTE, T0 + (2_120 + 40) * MINUTE
    expect(chart).to_have_attribute("data-sight-first", str(first))
    expect(chart).to_have_attribute("data-sight-last", str(last))
    assert "symbol=coinbase%3ABTC%2FUSD&interval=1m" in page.url
    page.go_back()
    coverage.locator(".series-holes", has_text="coinbase:BTC/USD").get_by_role(
        "link", name="Fetch what is missing"
    ).click()
    for name, value in {
        "Name": "fill-coinbase-btc-usd-1m",
        "Exchange": "coinbase",
        "Symbols": "BTC/USD",
        "Bars of": "1m",
        "History from": "2018-04-05T09:20:00Z",
        "History to": "2018-04-06T02:01:00Z",
    }.items():
        expect(page.get_by_label(name, exact=True)).to_have_value(value)
    expect(page.get_by_label("History alone")).to_be_checked()
    page.go_back()
    expect(rows.nth(0)).to_contain_text("coinbase:ETH/USD, 1m")  # the order follows what is loaded
    rows.nth(0).locator(".days").click()  # in the middle: its hole
    expect(chart).to_have_attribute("data-sight-first", str(T0 + (1_600 - 40) * MINUTE))


def hourly_statistics(btc: list[Bar], eth: list[Bar]) -> tuple[float, float]:
    """The deviation of BTC's hourly returns, and their correlation with ETH's over the hours that both have."""
    hours: list[dict[int, float]] = [{bar.ts // (60 * MINUTE): bar.close for bar in bars} for bars in (btc, eth)]
    common = sorted(hours[0].keys() & hours[1].keys())
    returns = [[math.log(b / a) for a, b in pairwise(closes[hour] for hour in common)] for closes in hours]
    return statistics.stdev(returns[0]), statistics.correlation(*returns)


def test_a_store_without_symbols_says_how_to_fill_it(gateway: Gateway, page: Page, store: str) -> None:
    page.goto(f"{gateway.url}/markets")
    expect(panel(page, "Symbols")).to_contain_text("tapedeck import")
    expect(panel(page, "Top movers")).to_contain_text("No exchange has bars of its own")
    expect(panel(page, COVERAGE)).to_contain_text("None of the chosen symbols has bars")


def test_each_panel_says_what_it_cannot_load(gateway: Gateway, page: Page, store: str) -> None:
    insert_bars(store, walk(3, 300, T0))
    answers: dict[str, Any] = {"status": 503, "json": {"detail": "the database does not answer"}}
    page.route("**/api/v1/coverage*", lambda route: route.fulfill(**answers))
    page.route("**/api/v1/analytics/movers*", lambda route: route.fulfill(**answers))
    page.goto(f"{gateway.url}/markets")
    expect(panel(page, "Symbols")).to_contain_text("coinbase:BTC/USD")
    expect(panel(page, COVERAGE)).to_contain_text("the database does not answer")
    expect(panel(page, "Top movers")).to_contain_text("the database does not answer")
    expect(panel(page, "Volatility")).to_contain_text("Of a year")
    moment = datetime.fromtimestamp((T0 + 300 * MINUTE) / 1000, UTC)
    expect(row(page, "coinbase:BTC/USD")).to_contain_text(f"{moment:%Y-%m-%d %H:%M}")
    page.unroute_all()
    expect(panel(page, COVERAGE)).to_contain_text("No hole")
