"""The page in a real browser, served by a real gateway, during a replay and a backtest."""

from __future__ import annotations

import gzip
import hashlib
import re
import time
from pathlib import Path

import psycopg
import pytest
from PIL import Image, ImageStat
from playwright.sync_api import Page, Response, ViewportSize, expect

from pods import browser
from pods.browser import BROWSER_TESTS, PHONE, WIDE, save_screenshot, shown, wait_for
from pods.gateway import (
    MINUTE,
    Gateway,
    ReplayTopic,
    insert_bars,
    insert_equity,
    insert_fills,
    insert_run,
    insert_trades,
    running_gateway,
    walk,
)
from tapedeck_common.market import Bar, event_time
from tapedeck_common.settings import Connections

T0 = 1_522_800_000_000
FIRST_VIEW_BYTES = 300_000
# What is drawn with the next frame is drawn.
DRAWN = "() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))"

pytestmark = BROWSER_TESTS


def picture_hash(page: Page) -> str:
    """A hash of the chart's pixels."""
    return hashlib.sha256(page.locator("#chart").screenshot()).hexdigest()


class CrossoverRun:
    """Stores fills, trades and equity of a run that trades crosses of two moving averages."""

    def __init__(self, store: str, run_id: str, bars: list[Bar]) -> None:
        self._store, self._run, self._bars = store, run_id, bars
        self._cash, self._size, self._fills = 10_000.0, 0.0, 0
        self._done = 0
        self._entry = (0, 0.0)

    def trade(self, upto: int) -> None:
        fills, points, trades = [], [], []
        closes = [bar.close for bar in self._bars]
        for i in range(self._done, upto):
            bar = self._bars[i]
            if i > 60:
                above = sum(closes[i - 15 : i]) / 15 > sum(closes[i - 60 : i]) / 60
                if above != (self._size > 0):
                    size = (self._cash * 0.95 / bar.open) if above else -self._size
                    self._cash -= size * bar.open
                    self._size += size
                    if above:
                        self._entry = (event_time(bar), bar.open)
                    else:
                        trades.append((self._fills // 2, -size, *self._entry, event_time(bar), bar.open))
                    fills.append((self._fills, event_time(bar), "buy" if above else "sell", abs(size), bar.open))
                    self._fills += 1
            points.append((i, event_time(bar), self._cash + self._size * bar.close, self._cash))
        self._done = upto
        insert_fills(self._store, self._run, fills)
        insert_trades(self._store, self._run, trades)
        insert_equity(self._store, self._run, points)


def current_replay(page: Page) -> str:
    """The name of the replay that the lists show as the current one."""
    return page.locator("[data-current='true']").get_attribute("data-name") or ""


@pytest.mark.slow
def test_candles_move_while_the_replay_plays(
    gateway: Gateway, page: Page, store: str, connections: Connections
) -> None:
    bars = walk(21, 1_400, T0, gaps=0.01)
    insert_bars(store, bars)
    ReplayTopic(connections, name="older").play(bars[:1])
    replay = ReplayTopic(connections, name="april-2018", range_from=T0, range_to=T0 + 1_400 * MINUTE)
    insert_run(store, "run-1", replay_uid=replay.uid)
    run = CrossoverRun(store, "run-1", bars)
    replay.play(bars[:900])
    run.trade(900)
    page.goto(gateway.url)
    wait_for(page, "bars", 900)
    wait_for(page, "last", bars[899].ts)
    before = picture_hash(page)
    for upto in range(903, 1_103, 20):
        replay.play(bars[upto - 20 if upto > 903 else 900 : upto])
        run.trade(upto)
        wait_for(page, "last", bars[upto - 1].ts)
    wait_for(page, "bars", 1_083)
    wait_for(page, "close", f"{bars[1_082].close:g}" if bars[1_082].close % 1 else int(bars[1_082].close))
    wait_for(page, "equity", 1_083)
    expect(page.locator("[data-figure='Virtual time']")).to_have_text(
        time.strftime("%Y-%m-%d %H:%M", time.gmtime(event_time(bars[1_082]) / 1000))
    )
    assert shown(page, "markers") > 5
    assert picture_hash(page) != before
    expect(page.locator("#connection")).to_have_text("live")
    save_screenshot(page, "playing")

    page.get_by_role("radio", name="15m", exact=True).click()
    first = -(-bars[0].ts // (15 * MINUTE)) * 15 * MINUTE
    wait_for(page, "first", first)
    wait_for(page, "last", bars[1_082].ts - bars[1_082].ts % (15 * MINUTE))  # the unclosed bar
    with psycopg.connect(store) as connection:
        lowest = connection.execute("SELECT min(value) FROM run_equity WHERE ts > to_timestamp(%s)", (first / 1000,))
        wait_for(page, "lowest-equity", f"{lowest.fetchall()[0][0]!r}")
    save_screenshot(page, "fifteen")
    page.get_by_role("radio", name="1m", exact=True).click()
    wait_for(page, "last", bars[1_082].ts)

    replay.seek(event_time(bars[499]))  # later bars must disappear
    replay.play(bars[500:510])
    played = [bar for bar in bars if event_time(bar) <= event_time(bars[509])]
    wait_for(page, "last", played[-1].ts)
    wait_for(page, "latest", played[-1].ts)  # in no pane is anything right of it
    wait_for(page, "bars", len(played))
    wait_for(page, "equity", len(played))  # of 1,083 points that the run has
    expect(page.locator("[data-figure='Run']")).to_have_text("running, shown up to the replay's position")
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    page.set_viewport_size(WIDE)

    replay.play(bars[510:1_380])
    run.trade(1_380)
    replay.end(event_time(bars[1_379]))
    with psycopg.connect(store) as connection:
        connection.execute(
            "UPDATE runs SET state = 'complete', bars = 1380, ended_at = now(),"
            ' metrics = \'{"sharpe": 1.234, "win_rate_percent": 41.67, "open_positions": 1.0}\''
            " WHERE run_id = 'run-1'"
        )
    expect(page.locator("[data-figure='Run']")).to_have_text("complete")
    markers = shown(page, "markers")
    expect(page.locator("[data-figure='Trades']")).to_have_text(str(markers // 2))
    expect(page.locator("[data-figure='Win rate (closed trades)']")).to_have_text("41.67 %")
    expect(page.locator("[data-figure='Open positions']")).to_have_text("1")
    wait_for(page, "last", bars[1_379].ts)
    save_screenshot(page, "over")
    expect(page.locator("#deck-state")).to_contain_text("ENDED")
    assert current_replay(page) == "april-2018"  # although the older one still plays
    ReplayTopic(connections, name="newer").play(bars[:1])
    expect(page.locator("[data-current='true']")).to_have_attribute("data-name", "newer")


def test_an_empty_deck_shows_the_first_commands(gateway: Gateway, page: Page) -> None:
    page.goto(f"{gateway.url}/?replay=none-such")
    expect(page.locator("#empty")).to_contain_text("tapedeck apply -f examples/replay.yaml")
    save_screenshot(page, "empty")


def test_the_first_view_loads_little_code(gateway: Gateway, page: Page) -> None:
    """What a reader waits for before anything is drawn: scripts and styles, compressed as the gateway sends them."""
    loaded: dict[str, int] = {}

    def note(response: Response) -> None:
        if response.request.resource_type in ("script", "stylesheet"):
            loaded[response.url.rsplit("/", 1)[1]] = len(gzip.compress(response.body(), 6))

    page.on("response", note)
    page.goto(f"{gateway.url}/?replay=none-such")
    expect(page.locator("#empty")).to_contain_text("tapedeck apply")
    assert {name.rsplit(".", 1)[1] for name in loaded} == {"js", "css"}
    assert sum(loaded.values()) <= FIRST_VIEW_BYTES, loaded


def test_ci_keeps_pictures_of_each_width_and_scheme(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.set_content("<meta name=color-scheme content='light dark'><h1>View</h1>")
    monkeypatch.setattr(browser, "SHOTS", tmp_path / "build" / "shots")
    monkeypatch.delenv("TAPEDECK_SHOTS", raising=False)
    monkeypatch.delenv("CI", raising=False)
    save_screenshot(page, "view")
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv("CI", "true")
    save_screenshot(page, "view")
    kept = {path.name: picture(path) for path in (tmp_path / "build" / "shots").iterdir()}
    assert kept == {
        f"view-{width}-{scheme}.png": (width, height, scheme == "light")
        for width, height in [(1280, 800), (375, 812)]
        for scheme in ["light", "dark"]
    }
    assert page.viewport_size == WIDE
    assert not page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")


def picture(path: Path) -> tuple[int, int, bool]:
    """Width and height of a picture, and whether most of it is light."""
    with Image.open(path) as image:
        return (*image.size, ImageStat.Stat(image.convert("L")).mean[0] > 127)


def test_stored_bars_are_shown_without_a_replay(gateway: Gateway, page: Page, store: str) -> None:
    bars = walk(22, 8_000, T0, exchange="bitstamp")  # replays of other tests have symbols of Coinbase
    insert_bars(store, [*bars, *walk(23, 10, T0, exchange="bitstamp", symbol="ETH/USD")])
    page.goto(f"{gateway.url}/?replay=&symbol=bitstamp:BTC/USD")
    wait_for(page, "last", bars[-1].ts)
    page.locator("#chart").hover()
    for _ in range(60):  # scroll back until older bars are requested
        page.mouse.wheel(-2_000, 0)
        page.wait_for_timeout(30)
        if shown(page, "bars") == len(bars):
            break
    wait_for(page, "first", bars[0].ts)
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Symbol")).to_be_focused()  # else it does not get what is typed
    page.keyboard.type("bitstamp:")
    expect(page.locator("#found li")).to_have_count(2)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    wait_for(page, "bars", 10)
    expect(page.locator("#symbol")).to_have_text("bitstamp:ETH/USD")
    page.go_back()
    expect(page.locator("#symbol")).to_have_text("bitstamp:BTC/USD")


def test_a_chart_stays_where_it_is_scrolled_to_and_shares_its_drawings(
    gateway: Gateway, page: Page, store: str
) -> None:
    bars = walk(26, 900, T0, exchange="bitstamp", symbol="LTC/USD")
    insert_bars(store, bars)
    page.goto(f"{gateway.url}/?replay=&symbol=bitstamp:LTC/USD")
    wait_for(page, "last", bars[-1].ts)
    newest = picture_hash(page)
    page.locator("#chart").hover()
    page.mouse.wheel(-2_000, 0)
    page.locator("#connection").hover()  # no crosshair
    scrolled = picture_hash(page)
    assert scrolled != newest
    for address in ("log", ""):  # a change of the address, and back
        page.get_by_role("button", name="log", exact=True).click()
        expect(page).to_have_url(re.compile("scale=log" if address else r"^(?!.*scale).*$"))
    page.locator("#connection").hover()
    expect(page.locator("#chart")).to_be_visible()
    page.wait_for_function(DRAWN)
    assert picture_hash(page) == scrolled

    page.get_by_role("button", name="Charts: 1").click()
    removes = page.get_by_label("Remove the last drawing")
    expect(removes).to_have_count(2)
    wait_for(page, "last", bars[-1].ts)
    for chart in (0, 1):
        page.get_by_label("Level: click a price").nth(chart).click()
        page.locator(".chart .place").nth(chart).click(position={"x": 300, "y": 200})
        for each in (0, 1):
            expect(removes.nth(each)).to_be_enabled()
    removes.nth(1).click()
    removes.nth(0).click()  # both were kept
    for each in (0, 1):
        expect(removes.nth(each)).to_be_disabled()


def test_a_shared_link_has_the_range_in_sight(gateway: Gateway, page: Page, store: str) -> None:
    """One of older bars than those that a chart begins with."""
    bars = walk(27, 4_000, T0, exchange="bitstamp", symbol="XRP/USD")
    insert_bars(store, bars)
    page.goto(f"{gateway.url}/?replay=&symbol=bitstamp:XRP/USD")
    wait_for(page, "last", bars[-1].ts)
    page.locator("#chart").hover()
    while shown(page, "sight-last") >= bars[2_500].ts:
        page.mouse.wheel(-2_000, 0)
        page.evaluate(DRAWN)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Share").click()
    expect(page.get_by_text("Link copied: it opens on this computer only")).to_be_visible()
    link = page.evaluate("navigator.clipboard.readText()")
    sight = {name: shown(page, f"sight-{name}") for name in ("first", "last")}
    page.goto("about:blank")
    page.goto(link)
    for name, ts in sight.items():
        wait_for(page, f"sight-{name}", ts)


def test_no_tool_is_cut_off_at_1280_pixels(gateway: Gateway, page: Page, store: str, connections: Connections) -> None:
    replay = ReplayTopic(connections, name="tools", range_from=T0, range_to=T0 + 60 * MINUTE)
    insert_run(store, "run-tools", replay_uid=replay.uid)
    replay.play(walk(28, 10, T0))
    page.set_viewport_size(ViewportSize(width=1280, height=800))
    page.goto(f"{gateway.url}/?replay={replay.uid}")
    wait_for(page, "bars", 10)
    for name in (".toolbar", ".intervals", ".chart"):
        assert page.evaluate(
            f"[...document.querySelectorAll('{name}')].every((e) => e.scrollWidth <= e.clientWidth)"
        ), name
    chosen = page.locator("#run")
    expect(chosen).to_have_attribute("title", re.compile("sma-cross"))
    needed = page.evaluate(
        "() => { const [select] = document.querySelectorAll('#run'), copy = select.cloneNode(true);"
        " copy.style.width = 'auto'; copy.replaceChildren(new Option(select.title)); select.after(copy);"
        " const { width } = copy.getBoundingClientRect(); copy.remove(); return width; }"
    )
    box = chosen.bounding_box()
    assert box is not None
    assert box["width"] >= needed


@pytest.mark.slow
def test_the_page_reconnects_after_the_gateway_was_down(
    tmp_path: Path, page: Page, store: str, connections: Connections
) -> None:
    bars = walk(24, 120, T0)
    replay = ReplayTopic(connections, range_from=T0, range_to=T0 + 120 * MINUTE)
    replay.play(bars[:50])
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    with running_gateway(tmp_path / "first", connections) as gateway:
        page.goto(f"{gateway.url}/?replay={replay.uid}")
        wait_for(page, "bars", 50)
    expect(page.locator("#connection")).to_have_text("reconnecting")
    replay.play(bars[50:90])
    with running_gateway(tmp_path / "second", connections, port=gateway.port):
        wait_for(page, "bars", 90)
        replay.play(bars[90:])
        wait_for(page, "bars", 120)
        expect(page.locator("#connection")).to_have_text("live")


def test_the_page_asks_for_a_token(tmp_path: Path, page: Page, connections: Connections, store: str) -> None:
    insert_bars(store, walk(25, 30, T0))
    token = "page-" + "t" * 32
    with running_gateway(tmp_path, connections, tokens={"page.read": token}) as gateway:
        page.goto(f"{gateway.url}/?symbol=coinbase:BTC/USD")  # the broker may have replays of other tests
        expect(page.locator("#login")).to_contain_text("This gateway asks for a token.")
        page.get_by_label("Token").fill("not-" + token)
        page.get_by_role("button", name="Open").click()
        expect(page.locator("#login")).to_contain_text("does not know this token")
        page.get_by_label("Token").fill(token)
        page.get_by_role("button", name="Open").click()
        expect(page.locator("#connection")).to_have_text("live")
        expect(page.locator("#symbol")).to_have_text("coinbase:BTC/USD")
        expect(page.locator("#login")).to_be_hidden()

        other = page.context.browser
        assert other is not None
        tab = other.new_page()  # with a storage of its own
        tab.goto(f"{gateway.url}/?symbol=coinbase:BTC/USD#token={token}")
        expect(tab.locator("#connection")).to_have_text("live")
        expect(tab.locator("#login")).to_be_hidden()
        assert "token" not in tab.url
        tab.close()


def test_a_page_with_a_token_that_is_no_longer_known_goes_on_without(
    tmp_path: Path, page: Page, connections: Connections, store: str
) -> None:
    insert_bars(store, walk(25, 30, T0))
    with running_gateway(tmp_path, connections) as gateway:
        page.goto(f"{gateway.url}/?symbol=coinbase:BTC/USD#token={'former-' * 5}")
        expect(page.locator("#login")).to_contain_text("does not know this token")
        page.get_by_role("button", name="Without a token").click()
        expect(page.locator("#connection")).to_have_text("live")
        expect(page.locator("#login")).to_be_hidden()
