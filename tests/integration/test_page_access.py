"""Whether everybody can use the page: axe over all its views, and controls of a phone as high as a thumb needs them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import psycopg
import pytest
from playwright.sync_api import Page, expect

import tapedeck_gateway
from pods.browser import BROWSER_TESTS, PHONE, WIDE, wait_for
from pods.expected_bars import T0
from pods.gateway import (
    MINUTE,
    Gateway,
    ReplayTopic,
    insert_bars,
    insert_equity,
    insert_fills,
    insert_run,
    insert_trades,
    walk,
)
from tapedeck_common.market import event_time
from tapedeck_common.settings import Connections

AXE = Path(tapedeck_gateway.__file__).parents[1] / "web" / "node_modules" / "axe-core" / "axe.min.js"
THUMB = 44
# What a finger can hit. A link within a sentence is as high as its line (WCAG 2.5.8 leaves it out).
CONTROLS = "button, select, input, textarea, summary, a, [role=button], [role=radio], tr[role=row][aria-selected]"
TOO_LOW = f"""() => [...document.querySelectorAll("{CONTROLS}")]
    .filter((each) => each.checkVisibility({{ visibilityProperty: true }}) && each.closest("p, [disabled]") === null)
    .map((each) => [(each.closest("label") ?? each), each])
    .map(([hit, each]) => [Math.max(hit.getBoundingClientRect().height, each.getBoundingClientRect().height), each])
    .filter(([height]) => height > 0 && height < {THUMB} - 0.5)
    .map(([height, each]) => `${{Math.round(height)}} px: ${{each.outerHTML.slice(0, 160)}}`)"""
SERIOUS = ("moderate", "serious", "critical")
GRID = [(5, 20), (5, 50), (10, 20), (10, 50)]
VIEWS = {
    "deck": "/", "run": "/run/run-a", "sweep": "/run/sweep?trial=3",
    "forward": "/run/forward?trial=1", "compare": "/compare?run=run-a&run=run-b",
    "choose": "/compare",
    "markets": "/markets", "feed": "/new?kind=feed", "replay": "/new?kind=replay", "backtest": "/new?kind=backtest",
    "unknown": "/elsewhere-on-the-page",
}  # fmt: skip

pytestmark = [*BROWSER_TESTS, pytest.mark.skipif(not AXE.exists(), reason="no axe-core: run `make lint-page`")]


def store_runs(store: str, replay: str) -> None:
    """Two runs with trades, a sweep, and a walk-forward."""
    bars = walk(7, 400, T0)
    eth = walk(8, 400, T0, symbol="ETH/USD")
    insert_bars(store, [*bars, *eth[:100], *eth[120:]])
    order = {"symbol": "BTC/USD", "ts": T0, "side": "buy", "kind": "Limit", "size": 1, "price": 6_543.21, "reason": ""}
    position = {"symbol": "BTC/USD", "size": 1.0, "price": 7_000.0, "close": 7_010.0, "unrealised": 10.0}
    for run_id, trades in (("run-a", 8), ("run-b", 9), ("sweep", 0), ("forward", 0)):
        insert_run(store, run_id, replay_uid=replay if run_id == "run-a" else "")
        insert_equity(store, run_id, [(n, event_time(bar), 3_000 + bar.close, 1.0) for n, bar in enumerate(bars)])
        pairs = [(bars[n], bars[n + 12]) for n in range(0, 20 * trades, 20)]
        rows = [(n, 1.0, event_time(a), a.open, event_time(b), b.open) for n, (a, b) in enumerate(pairs)]
        insert_trades(store, run_id, rows)
        insert_fills(store, run_id, [(2 * n, ts, "buy", 1.0, price) for n, _, ts, price, _, _ in rows])
        with psycopg.connect(store) as connection:
            connection.execute(
                "UPDATE runs SET state = 'complete', bars = 400, ended_at = now(), metrics = %(metrics)s,"
                " undefined = '{}', periods = '[]', drawdowns = '[]', positions = %(positions)s, orders = %(orders)s,"
                " trials = %(trials)s WHERE run_id = %(run)s",
                {
                    "run": run_id, "trials": 0 if trades else 4, "positions": json.dumps([position]),
                    "orders": json.dumps([order]),
                    "metrics": json.dumps({"return_percent": 1.5, "trades": trades, "sharpe": 1.0}),
                },
            )  # fmt: skip
    with psycopg.connect(store) as connection:
        connection.cursor().executemany(
            "INSERT INTO run_trials VALUES (%s, 0, %s, %s, to_timestamp(0), to_timestamp(1), %s, %s, true, '', '')",
            [
                (run_id, n, json.dumps({"fast": fast, "slow": slow}), json.dumps({"sharpe": n / 4}), n / 4)
                for run_id, params in (("sweep", GRID), ("forward", [GRID[0], *GRID]))
                for n, (fast, slow) in enumerate(params, len(GRID) - len(params))
            ],
        )
        strategy = {"builtin": "sma-cross", "params": {}}
        spec = {
            "strategy": strategy,
            "data": {"store": {"exchange": "coinbase", "symbols": ["BTC/USD"], "interval": "1m"}},
        }
        connection.execute("UPDATE runs SET spec = %s WHERE trials > 0", (json.dumps(spec),))


@pytest.fixture
def filled(gateway: Gateway, store: str, connections: Connections) -> Gateway:
    """A gateway with something in every view."""
    replay = ReplayTopic(connections, name="tape", range_from=T0, range_to=T0 + 400 * MINUTE)
    store_runs(store, replay.uid)
    replay.play(walk(7, 300, T0))
    return gateway


def open_view(page: Page, gateway: Gateway, name: str) -> None:
    page.goto(f"{gateway.url}{VIEWS[name] if name != 'unknown' else '/'}")
    if name == "unknown":
        page.evaluate("history.pushState(null, '', '/nowhere'); dispatchEvent(new PopStateEvent('popstate'))")
    if name == "deck":
        wait_for(page, "bars", 300)
    expect(page.locator("main")).to_be_visible()
    expect(page.locator(".loading")).to_have_count(0)
    expect(page.locator("#connection")).to_have_text("live")


def violations(page: Page) -> list[str]:
    """What axe finds, but for what is minor."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(AXE.read_text())
    found: list[dict[str, Any]] = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    return [
        f"{each['id']} ({each['impact']}): {node['html'][:160]}: {node['failureSummary'][:300]}"
        for each in found
        for node in each["nodes"]
        if each["impact"] in SERIOUS
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_any_view(filled: Gateway, page: Page, scheme: Literal["light", "dark"]) -> None:
    page.emulate_media(color_scheme=scheme)
    found: list[str] = []
    for size in (WIDE, PHONE):
        page.set_viewport_size(size)
        for name in VIEWS:
            open_view(page, filled, name)
            found += [f"{name} {size['width']}: {each}" for each in violations(page)]
    page.set_viewport_size(WIDE)
    open_view(page, filled, "deck")
    for key in ("?", "g", "/"):
        page.keyboard.press(key)
        expect(page.locator("dialog[open]")).to_be_visible()
        found += [f"dialog {key}: {each}" for each in violations(page)]
        page.keyboard.press("Escape")
        expect(page.locator("dialog")).to_have_count(0)
    assert not found, "\n".join(found)


def test_every_control_of_a_phone_is_as_high_as_a_thumb(filled: Gateway, page: Page) -> None:
    page.set_viewport_size(PHONE)
    found: list[str] = []
    for name in VIEWS:
        open_view(page, filled, name)
        found += [f"{name}: {each}" for each in page.evaluate(TOO_LOW)]
    open_view(page, filled, "deck")
    for button in ("Lists", "Run"):
        page.get_by_role("button", name=button, exact=True).click()
        found += [f"{button}: {each}" for each in page.evaluate(TOO_LOW)]
        page.get_by_role("button", name=button, exact=True).click()
    assert not found, "\n".join(sorted(set(found)))


def test_the_chart_of_a_trade_is_in_sight_on_a_phone(filled: Gateway, page: Page) -> None:
    """A drawer that was left open covers no chart that somebody goes to."""
    page.set_viewport_size(PHONE)
    open_view(page, filled, "deck")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("complementary", name="Run")).to_be_visible()
    open_view(page, filled, "run")
    page.locator(".panel[aria-label=Trades] tbody tr[role=row]").first.click()
    page.get_by_role("link", name="Show trade").click()
    wait_for(page, "trade", f"{T0} {T0 + 12 * MINUTE}")
    expect(page.get_by_role("complementary", name="Run")).to_have_count(0)
    middle = page.evaluate(
        "() => { const { x, y, width, height } = document.getElementById('chart').getBoundingClientRect();"
        " return document.elementFromPoint(x + width / 2, y + height / 2).closest('.canvas') !== null }"
    )
    assert middle
