"""The page's views of runs in a real browser: a report, its file, a comparison by keyboard, and a sweep."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import psycopg
from playwright.sync_api import Page, expect

from pods.browser import BROWSER_TESTS, PHONE, WIDE, save_screenshot, wait_for
from pods.expected_bars import T0
from pods.gateway import Gateway, insert_bars, insert_equity, insert_fills, insert_run, insert_trades, walk
from tapedeck_common.market import event_time

pytestmark = BROWSER_TESTS
HELD = 12  # bars of a trade
HOUR = 3_600_000
DAY = 24 * HOUR
LAYOUT = "%Y-%m-%dT%H:%M:%SZ"


def store_run(store: str, run_id: str, *, trades: int, fast: int) -> list[float]:
    """A complete run of 240 bars with a trade on every 20th; returns the profits."""
    bars = walk(7, 240, T0)
    insert_run(store, run_id)
    insert_equity(
        store, run_id, [(n, event_time(bar), 10_000 + bar.close - bars[0].close, 1.0) for n, bar in enumerate(bars)]
    )
    pairs = [(bars[n], bars[n + HELD]) for n in range(0, 20 * trades, 20)]
    insert_trades(
        store, run_id, [(n, 1.0, event_time(a), a.open, event_time(b), b.open) for n, (a, b) in enumerate(pairs)]
    )
    period = {"start_value": 1, "end_value": 1, "return_percent": 1.25, "max_drawdown_percent": 0, "trades": 1}
    order = {"symbol": "BTC/USD", "ts": T0, "side": "buy", "kind": "Limit", "size": 1, "price": 6_543.21, "reason": ""}
    values: dict[str, Any] = {
        "run": run_id,
        "params": json.dumps({"fast": fast}),
        "metrics": json.dumps(
            {"return_percent": float(fast), "trades": trades, "wins": 1, "losses": 0, "sharpe": None}
        ),
        "undefined": json.dumps({"sharpe": "got 1 daily returns, expected at least 30"}),
        "periods": json.dumps([{"period": "2018-04", "wins": 1, "profit": 1.0, **period}]),
        "orders": json.dumps([order]),
    }
    with psycopg.connect(store) as connection:
        connection.execute(
            "UPDATE runs SET state = 'complete', bars = 240, ended_at = now(), params = %(params)s,"
            " metrics = %(metrics)s, undefined = %(undefined)s, periods = %(periods)s, drawdowns = '[]',"
            " positions = '[]', orders = %(orders)s WHERE run_id = %(run)s",
            values,
        )
    return [b.open - a.open for a, b in pairs]


def panel(page: Page, title: str) -> Any:
    return page.locator(f".panel[aria-label='{title}']")


def check_report(page: Page, profits: list[float]) -> None:
    """What the page and the file of a report both show."""
    expect(page.locator(".headline")).to_contain_text("240 bars")
    expect(page.locator(".headline")).to_contain_text("got 1 daily returns, expected at least 30")
    expect(page.locator(".equity canvas")).to_have_count(2)
    expect(page.locator(".report")).to_have_css("display", "grid")  # it has its style
    expect(panel(page, "Months and years")).to_contain_text("1.3")
    expect(panel(page, "Open at the end")).to_contain_text("6,543.21")
    expect(panel(page, "Returns of trades").locator("rect")).not_to_have_count(0)
    expect(panel(page, "Excursions").locator("circle")).to_have_count(2 * len(profits))  # against, for
    rows = panel(page, "Trades").locator("tbody tr[role=row]")
    expect(rows).to_have_count(len(profits))
    page.get_by_role("columnheader", name="Profit").get_by_role("button").click()
    expect(rows.first).to_contain_text(f"{min(profits):,.2f}")
    grid = page.get_by_role("grid")
    grid.focus()
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    expect(page.locator("tr[aria-selected=true]")).to_contain_text(f"{max(profits):,.2f}")
    page.get_by_label("Filter trades").fill("short")
    expect(panel(page, "Trades").get_by_role("status")).to_contain_text("0 of")


def test_a_run_and_its_file_show_the_same(gateway: Gateway, page: Page, store: str, tmp_path: Path) -> None:
    insert_bars(store, walk(7, 240, T0))
    profits = store_run(store, "run-a", trades=8, fast=5)
    page.goto(f"{gateway.url}/run/run-a")
    check_report(page, profits)
    best, worst = (profits.index(extreme(profits)) for extreme in (max, min))
    for name, trade in ((f"Show trade {best} on the chart", best), ("Show on the chart", worst)):
        link = page.get_by_role("link", name=name, exact=True)
        expect(link).to_have_attribute("href", f"/?run=run-a&symbol=coinbase%3ABTC%2FUSD&trade={trade}")
    save_screenshot(page, "run")
    with page.expect_download() as saved:
        page.get_by_role("button", name="trades.csv").click()
    assert saved.value.suggested_filename == "trades.csv"
    assert len(Path(saved.value.path()).read_text().splitlines()) == len(profits) + 1
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save report").click()
    file = tmp_path / saved.value.suggested_filename
    saved.value.save_as(file)
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    page.set_viewport_size(WIDE)

    page.goto("about:blank")  # the page of before asks no more
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    expect(page).to_have_title("bt-run-a: report")
    check_report(page, profits)
    save_screenshot(page, "report-file")
    assert asked == [file.as_uri()]


def test_a_trade_is_shown_on_the_chart(gateway: Gateway, page: Page, store: str) -> None:
    """Also one that is older than the bars that a chart begins with."""
    bars = walk(7, 1_440, T0)
    insert_bars(store, bars)
    store_run(store, "run-a", trades=8, fast=5)
    page.goto(f"{gateway.url}/run/run-a")
    panel(page, "Trades").locator("tbody tr[role=row]").first.click()
    page.get_by_role("link", name="Show trade").click()
    seq = page.url.partition("trade=")[2]
    ends = " ".join(str(bars[20 * int(seq) + n].ts) for n in (0, HELD))
    wait_for(page, "trade", ends)
    expect(page.locator("#trade")).to_contain_text(f"Trade {seq}: long")
    save_screenshot(page, "trade")
    page.reload()
    wait_for(page, "trade", ends)
    page.get_by_role("button", name="Hide the trade").click()
    wait_for(page, "trade", "")
    page.go_back()
    wait_for(page, "trade", ends)


def test_the_entry_of_an_open_trade_is_shown_on_the_chart(gateway: Gateway, page: Page, store: str) -> None:
    bars = walk(7, 240, T0)
    insert_bars(store, bars)
    store_run(store, "run-a", trades=2, fast=5)
    sides = [(10, "buy"), (30, "sell"), (200, "buy")]
    insert_fills(
        store, "run-a", [(n, event_time(bars[at]), side, 1.0, bars[at].open) for n, (at, side) in enumerate(sides)]
    )
    position = {"symbol": "BTC/USD", "size": 1.0, "price": bars[200].open, "close": 1.0, "unrealised": 0.0}
    with psycopg.connect(store) as connection:
        connection.execute("UPDATE runs SET positions = %s WHERE run_id = 'run-a'", (json.dumps([position]),))
    page.goto(f"{gateway.url}/run/run-a")
    panel(page, "Open at the end").get_by_role("link", name="Show the entry").click()
    wait_for(page, "trade", str(bars[200].ts))
    expect(page.locator("#trade")).to_contain_text("Open trade: long, since the bar of 2018-04-04 03:20")
    save_screenshot(page, "open-trade")
    page.get_by_role("button", name="Hide the trade").click()
    wait_for(page, "trade", "")


def test_two_runs_are_compared_by_keyboard_alone(gateway: Gateway, page: Page, store: str) -> None:
    store_run(store, "run-a", trades=8, fast=5)
    profits = store_run(store, "run-b", trades=9, fast=7)
    page.goto(f"{gateway.url}/compare")
    expect(page.locator(".chooser input")).to_have_count(2)
    for n in range(2):
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement?.type") == "checkbox":
                break
        if n == 0:
            page.keyboard.press("Space")
            expect(page.locator(".chooser input:checked")).to_have_count(1)
    page.keyboard.press("Space")
    expect(panel(page, "Trades that differ")).to_contain_text("not made")
    expect(panel(page, "Trades that differ")).to_contain_text(f"{profits[-1]:,.2f}")
    expect(panel(page, "Trades that differ")).to_contain_text("1 trade was not made by all runs")
    expect(panel(page, "Inputs that differ")).to_contain_text("fast")
    expect(panel(page, "Figures")).to_contain_text("Return")
    expect(page.locator(".plot canvas")).to_have_count(1)
    assert page.url.count("run=") == 2
    save_screenshot(page, "compare")


def test_a_sweep_shows_what_is_around_its_best_trial(gateway: Gateway, page: Page, store: str) -> None:
    insert_run(store, "sweep")
    grid = [(fast, slow) for fast in (5, 10, 15) for slow in (20, 50, 100)]
    with psycopg.connect(store) as connection, connection.cursor() as cursor:
        cursor.execute(
            "UPDATE runs SET state = 'complete', ended_at = now(), trials = 9, metrics = %s WHERE run_id = 'sweep'",
            (
                json.dumps(
                    {"deflated_sharpe": 0.31, "best_sharpe": 1.5, "best_sharpe_error": 0.6, "trials_with_sharpe": 9.0}
                ),
            ),
        )
        cursor.executemany(
            "INSERT INTO run_trials VALUES"
            " ('sweep', 0, %s, %s, to_timestamp(0), to_timestamp(1), %s, %s, true, '', '')",
            [
                (
                    n,
                    json.dumps({"fast": fast, "slow": slow}),
                    json.dumps({"sharpe": fast / slow, "return_percent": -fast}),
                    fast / slow,
                )
                for n, (fast, slow) in enumerate(grid)
            ],
        )
    page.goto(f"{gateway.url}/run/sweep")
    luck = panel(page, "Is the best trial luck?")
    expect(luck).to_contain_text("31.00 %")
    expect(luck).to_contain_text("probably luck")
    expect(luck).to_contain_text("return -15.00 %; fast 15, slow 20")
    expect(luck).to_contain_text("All 9 trials lost money; the best -5.00 %")
    expect(panel(page, "Heat map").locator("tbody td")).to_have_count(9)
    expect(panel(page, "Heat map")).to_contain_text("0.75")
    page.get_by_label("Across").select_option("slow")
    page.get_by_label("Down").select_option("fast")
    expect(panel(page, "Heat map").locator("thead th").first).to_have_text("fast \\ slow")
    expect(panel(page, "Trials by params").locator("polyline")).to_have_count(9)
    expect(panel(page, "Trials by sharpe").locator("tbody tr[role=row]")).to_have_count(9)
    save_screenshot(page, "sweep")
    expect(panel(page, "Heat map").locator("td[data-tone=heat]")).to_have_count(9)
    page.get_by_label("Colour").select_option("return_percent")
    expect(panel(page, "Heat map").locator("td[data-tone=down]")).to_have_count(9)


def store_walk_forward(store: str) -> None:
    """Two windows of a grid of 2 × 2 over fast and slow; the best of the first is 5 by 50, of the second 10 by 50."""
    insert_run(store, "forward")
    grid = [(fast, slow) for fast in (5, 10) for slow in (20, 50)]
    spec = {
        "strategy": {"builtin": "sma-cross", "params": {"fast": 10, "slow": 30}},
        "data": {
            "store": {"exchange": "coinbase", "symbols": ["BTC/USD"], "interval": "1m", "from": at(T0, LAYOUT)},
            "warmupBars": 20,
        },
        "broker": {"cash": 10_000.0, "commissionPercent": 0.25, "shorts": False},
        "sweep": {"search": "grid", "params": [], "walkForward": {"trainDays": 1, "testDays": 1}},
    }
    rows: list[tuple[int, int, tuple[int, int], float]] = []
    for window, objectives in enumerate([(1.0, 4.0, 2.0, 3.0), (1.0, 2.0, 3.0, 4.0)]):
        rows += [(window, n, params, objectives[n]) for n, params in enumerate(grid)]
        rows.append((window, -1, grid[objectives.index(4.0)], 0.5 + window))
    with psycopg.connect(store) as connection, connection.cursor() as cursor:
        cursor.execute(
            "UPDATE runs SET state = 'complete', ended_at = now(), trials = 8, spec = %s, metrics = '{}'"
            " WHERE run_id = 'forward'",
            (json.dumps(spec),),
        )
        cursor.executemany(
            "INSERT INTO run_trials VALUES ('forward', %s, %s, %s, to_timestamp(%s), to_timestamp(%s), %s, %s, true,"
            " '', '')",
            [
                (
                    window, number, json.dumps({"fast": fast, "slow": slow}), (T0 + begin * DAY) // 1_000,
                    (T0 + (begin + 1) * DAY) // 1_000,
                    json.dumps({"sharpe": objective, "return_percent": objective * 2, "trades": 7}), objective,
                )
                for window, number, (fast, slow), objective in rows
                for begin in [window + (number < 0)]
            ],
        )  # fmt: skip


def test_a_trial_is_opened_from_every_picture_and_run(gateway: Gateway, page: Page, store: str) -> None:
    store_walk_forward(store)
    page.goto(f"{gateway.url}/run/forward?window=1")
    opened = panel(page, "Opened trial")
    grid = page.get_by_role("grid", name="Trials: arrow keys move, Enter opens a trial")
    expect(grid.locator("tbody tr[role=row]")).to_have_count(4)
    grid.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")  # the second best of the window: 10 by 20
    expect(opened.get_by_role("heading").first).to_have_text("Trial 2 of window 1")
    expect(opened).to_be_focused()
    assert "trial=2" in page.url
    expect(opened).to_contain_text("so a trial has no report of its own")
    expect(opened).to_contain_text("Sharpe 3: place 2 of 4")
    expect(opened.get_by_label("Params of the trial")).to_have_text("fast10slow20")
    expect(opened.get_by_label("Metrics of the trial")).to_contain_text("6.00 %")
    around = opened.get_by_label("Neighbours of the trial").locator("tbody tr")
    expect(around).to_have_text(
        [
            f"Trial {n}fast {fast}, slow {slow}{n + 1}+{2 * n + 2}.00 %"
            for n, fast, slow in [(3, 10, 50), (1, 5, 50), (0, 5, 20)]
        ]
    )
    expect(opened).to_contain_text(
        "Its params were chosen for 0 of 2 test windows; after its own window others were traded"
    )
    save_screenshot(page, "trial")

    opened.get_by_role("button", name="Trial 1").click()
    expect(opened).to_contain_text("Its params were chosen for 1 of 2 test windows")
    tests = opened.get_by_label("Test windows of the trial").locator("tbody tr")
    expect(tests).to_have_count(2)
    expect(tests.first).to_contain_text(f"{at(T0 + DAY, '%Y-%m-%d %H:%M')}")
    opened.get_by_role("button", name="Close the trial").click()
    expect(opened).to_have_count(0)
    expect(grid).to_be_focused()

    panel(page, "Heat map").locator("tbody tr").nth(1).locator("td").nth(0).get_by_role("button").click()
    expect(opened.get_by_label("Params of the trial")).to_have_text("fast5slow50")
    panel(page, "Trials by params").scroll_into_view_if_needed()
    box = panel(page, "Trials by params").locator("polyline.best").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] - 2, box["y"] + 2)  # where the line of the best ends
    expect(opened.get_by_label("Params of the trial")).to_have_text("fast10slow50")

    opened.get_by_role("link", name="Run this trial").click()
    for name, value in {
        "Name": "bt-forwar-w1-t3",
        "Built-in": "sma-cross",
        "fast": "10",
        "slow": "50",
        "Exchange": "coinbase",
        "Symbols": "BTC/USD",
        "From": at(T0 + DAY, LAYOUT),
        "To": at(T0 + 2 * DAY, LAYOUT),
        "Cash": "10000",
        "Commission, percent": "0.25",
        "Size of an order, percent of cash": "",
    }.items():
        expect(page.get_by_label(name, exact=True)).to_have_value(value)
    yaml = page.locator("section[aria-label='YAML']")
    for line in ("shorts: false", "warmupBars: 20"):
        expect(yaml).to_contain_text(line)


def test_a_lost_hour_is_found_played_and_shared(gateway: Gateway, page: Page, store: str) -> None:
    store_run(store, "run-l", trades=3, fast=5)
    trough = T0 + 3 * HOUR
    drawdown = {"percent": 3.5, "amount": 350.0, "peak": T0, "trough": trough, "end": None, "days": 0.5}
    with psycopg.connect(store) as connection:
        connection.execute(
            "UPDATE runs SET drawdowns = %s, metrics = %s WHERE run_id = 'run-l'",
            (json.dumps([drawdown]), json.dumps({"return_percent": -2.0, "max_drawdown_percent": 3.5})),
        )
    page.goto(f"{gateway.url}/run/run-l")
    expect(page.locator(".headline")).to_contain_text(f"lowest at {at(trough, '%Y-%m-%d %H:%M')}")
    drawdowns = panel(page, "Deepest drawdowns")
    expect(drawdowns.get_by_role("button", name="Hour before the trough at 10×")).to_be_enabled()
    drawdowns.get_by_role("link", name="Change first…").click()
    yaml = page.locator("section[aria-label='YAML']")
    for line in ("kind: Replay", "exchange: coinbase", "speed: 10"):
        expect(yaml).to_contain_text(line)
    for name, ts in (("From", trough - HOUR), ("To", trough)):
        expect(page.get_by_label(name, exact=True)).to_have_value(at(ts, LAYOUT))

    page.go_back()
    bars = walk(7, 240, T0)
    begin, end = min(zip(bars, bars[60:], strict=False), key=lambda hour: hour[1].close - hour[0].close)
    worst = page.get_by_label("Where it lost most")
    expect(worst).to_contain_text(f"Worst hour: {end.close - begin.close:,.2f}")
    expect(worst.get_by_role("button", name="Play at 10×")).to_be_enabled()
    worst.get_by_role("link", name="Change first…").click()
    for name, ts in (("From", event_time(begin)), ("To", event_time(end))):
        expect(page.get_by_label(name, exact=True)).to_have_value(at(ts, LAYOUT))

    page.go_back()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Share").click()
    expect(page.get_by_text("Link copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == page.url


def at(ms: int, layout: str) -> str:
    return time.strftime(layout, time.gmtime(ms / 1_000))
