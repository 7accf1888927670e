"""The page of a running deck in Firefox and WebKit: its chart, its transport, a report, schemes and sizes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import psycopg
import pytest

from decks.process import Deck, apply, reaches, running_deck
from pods import firefox, webkit
from pods.browser import BUILT
from pods.driven_page import DrivenPage
from pods.gateway import MINUTE, insert_bars, walk
from pods.replay import T0
from tapedeck_crds.json import Json
from tapedeck_deck.cli.deck import page_address
from waits import eventually

MINUTES = 240
SYMBOL = "BTC/USD"
WIDE, PHONE = (1280, 800), (375, 812)
# A light page is wide and a dark one a phone's where a test does not give it both sizes.
VIEWS = [("light", WIDE), ("dark", PHONE)]
HAS_FIREFOX = pytest.mark.skipif(firefox.PROGRAM is None, reason="no Firefox on the path")
HAS_WEBKIT = pytest.mark.skipif(
    None in (webkit.PROGRAM, webkit.SCREEN), reason="no WebKitWebDriver or no Xvfb on the path"
)
OPENED = [
    pytest.param((running, scheme, size), marks=has, id=f"{name}-{scheme}")
    for name, running, has in [
        ("firefox", firefox.running_firefox, HAS_FIREFOX),
        ("webkit", webkit.running_webkit, HAS_WEBKIT),
    ]
    for scheme, size in VIEWS
]
# The colours behind the page: see colors.css.
GROUNDS = {"light": "rgb(255, 255, 255)", "dark": "rgb(11, 14, 20)"}
TIME = "[data-figure='Virtual time']"
STATE = "#deck-state"
# Whether the chart has pixels of a colour of the style sheet: that something is drawn cannot be read otherwise.
HAS_COLOR = """(name) => {
  const color = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const wanted = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
  const drawn = [...document.querySelectorAll("#chart canvas")].filter(({ width, height }) => width * height > 0);
  return drawn.some((canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    for (let at = 0; at < data.length; at += 4) if (wanted.every((value, i) => data[at + i] === value)) return true;
    return false;
  });
}"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not BUILT.exists(), reason="the page is not built: run `make page`"),
]


class View(NamedTuple):
    """A browser's page, with the scheme and the size that it has."""

    page: DrivenPage
    scheme: str
    size: tuple[int, int]


@pytest.fixture(scope="module")
def deck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deck]:
    """A deck with a paused replay of four hours, and a complete run on the same bars."""
    source: Json = {"store": {"exchange": "x", "symbols": [SYMBOL]}}
    with running_deck(tmp_path_factory.mktemp("deck") / "home") as running:
        home, _, objects = running
        insert_bars((home.migrate / "store_dsn").read_text().strip(), walk(3, MINUTES, T0, exchange="x"))
        apply(objects, "Replay", "tape", {"source": source, "paused": True, "speed": 60, "atEnd": "hold"})
        apply(objects, "Backtest", "cross", {"strategy": {"builtin": "sma-cross"}, "data": source})
        reaches(objects, "Replay", "tape", "Paused")
        reaches(objects, "Backtest", "cross", "Complete", timeout=120)
        yield running


@pytest.fixture(scope="module", params=OPENED)
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, deck: Deck) -> Iterator[View]:
    """A browser that the page has given its token."""
    running, scheme, size = request.param
    with running(tmp_path_factory.mktemp("browser"), dark=scheme == "dark") as driver:
        page = DrivenPage(driver)
        page.open(page_address(deck[0]))
        yield View(page, scheme, size)


@pytest.fixture
def view(opened: View, deck: Deck) -> Iterator[View]:
    """The page on the replay; fails if it complains."""
    opened.page.resize(*opened.size)
    opened.page.open(f"{address(deck)}?replay=default/tape&indicators=sma:5,rsi:14")
    opened.page.has("#connection", "live")
    yield opened
    assert opened.page.problems() == []


def address(deck: Deck) -> str:
    """The page's address, for a browser that has its token."""
    return page_address(deck[0]).partition("#")[0]


def is_at(page: DrivenPage, minute: int) -> None:
    """Wait until virtual time is at a minute of the range, and nothing is right of it in any pane."""
    last = str(T0 + (minute - 1) * MINUTE)
    page.has(TIME, f"2018-04-04 {minute // 60:02}:{minute % 60:02}")
    eventually(lambda: (page.chart("last"), page.chart("latest")) == (last, last), what=f"the bar of minute {minute}")


def speed(deck: Deck) -> object:
    return deck[2].get("Replay", "default", "tape")["spec"].get("speed")


def test_the_chart_follows_the_transport(view: View, deck: Deck) -> None:
    page = view.page
    page.click("[aria-label='To the start']")
    page.has(TIME, "2018-04-04 00:00")
    for minute in (1, 2, 3):
        page.click("[aria-label='One bar forward']")
        is_at(page, minute)
    page.press("Shift+ArrowRight")
    is_at(page, 13)
    page.press("ArrowLeft")
    is_at(page, 12)
    assert (page.chart("bars"), page.chart("indicators")) == ("12", "2")

    page.press("g")
    page.click("#jump")
    page.press("Control+a")
    for key in "2018-04-04 02:00":
        page.press(key)
    page.press("Enter")
    page.has(TIME, "2018-04-04 02:00")
    page.press("Control+z")
    is_at(page, 12)

    assert speed(deck) == 60
    page.press("]")
    eventually(lambda: speed(deck) == 120)
    eventually(lambda: page.of("#speed", "e.value") == "120")
    page.press("[")
    eventually(lambda: page.of("#speed", "e.value") == "60")

    page.click("button.play")
    page.has(STATE, "PLAYING")
    eventually(lambda: int(page.chart("bars")) > 14)
    page.press(" ")
    page.has(STATE, "PAUSED")


def test_a_report_shows_its_run(view: View, deck: Deck) -> None:
    page, (home, _, objects) = view.page, deck
    run = objects.get("Backtest", "default", "cross")["status"]["runId"]
    with psycopg.connect((home.migrate / "store_dsn").read_text().strip()) as connection:
        found = connection.execute("SELECT pnl_net FROM run_trades WHERE run_id = %s ORDER BY 1", (run,)).fetchall()
    profits = [profit for (profit,) in found]
    if view.size == WIDE:
        page.click("[data-name='cross'] a[href^='/run/']")
    else:  # where the lists are closed
        page.open(f"{address(deck)}run/{run}")
    page.has(".headline", f"{MINUTES} bars")
    page.has(".headline", f"{len(profits)} closed trades")
    eventually(lambda: page.count(".equity canvas") == 2)
    assert page.of(".equity canvas", "e.getBoundingClientRect().width") > view.size[0] / 2
    table = ".panel[aria-label='Trades']"
    page.has(f"{table} thead", "Profit")
    titles = page.evaluate(f"""[...document.querySelectorAll("{table} thead button")].map((e) => e.textContent)""")
    profit = f"{table} thead tr > :nth-child({titles.index('Profit') + 1}) button"
    for each in (profits[0], profits[-1]):  # worst first
        page.click(profit)
        page.has(f"{table} tbody tr[role=row]", f"{each:,.2f}")


def test_each_scheme_and_size_is_drawn(view: View) -> None:
    page = view.page
    page.click("[aria-label='To the start']")
    page.has(TIME, "2018-04-04 00:00")
    for minute in (10, 20):
        page.press("Shift+ArrowRight")
        is_at(page, minute)
    for width, height in (WIDE, PHONE):
        page.resize(width, height)
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == GROUNDS[view.scheme]
        for color in ("--up", "--down"):
            eventually(partial(page.evaluate, f"({HAS_COLOR})('{color}')"), what=f"candles in {color} at {width} px")
        assert page.evaluate("document.documentElement.scrollWidth") == width
        chart, play = page.box("#chart"), page.box("button.play")
        assert chart["height"] > 150
        assert chart["bottom"] <= play["top"]
        assert play["bottom"] <= height
        assert play["height"] >= 44 or width > PHONE[0]


def test_what_the_page_complains_of_is_kept(opened: View, deck: Deck) -> None:
    page = opened.page
    page.open(address(deck))
    page.evaluate("void setTimeout(() => { console.error('said'); Promise.reject('broken'); missing() })")
    eventually(lambda: len(page.problems()) == 3)
    page.open(f"{address(deck)}markets")
    said, thrown, rejected = page.problems()
    assert (said, rejected) == ("said", "rejected: broken")
    assert "missing" in thrown
    page.forget_problems()
