"""The page's transport bar on a running deck: what its buttons, keys and handles do to a real replay."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import Page, expect

from decks.process import Deck, apply, eventually, phase, reaches
from pods.browser import BROWSER_TESTS, PHONE, WIDE, open_browser, save_screenshot, shown, wait_for
from pods.replay import MINUTE, T0, insert_minutes
from tapedeck_crds.base import format_ms, time_ms
from tapedeck_crds.json import Json
from tapedeck_deck.cli.deck import page_address
from tapedeck_deck.embedded.objects import Objects

MINUTES = 240
SYMBOL = "BTC/USD"

pytestmark = [*BROWSER_TESTS, pytest.mark.slow]


@pytest.fixture(scope="module")
def page(shared_deck: Deck) -> Iterator[Page]:
    home, _, objects = shared_deck
    insert_minutes((home.migrate / "store_dsn").read_text().strip(), "x", [SYMBOL], MINUTES)
    source = {"store": {"exchange": "x", "symbols": [SYMBOL]}}
    apply(objects, "Replay", "tape", {"source": source, "paused": True, "speed": 60, "atEnd": "hold"})
    with open_browser() as page:
        page.goto(page_address(home))
        expect(page.locator("#deck-state")).to_contain_text("PAUSED")
        yield page


@pytest.fixture
def objects(shared_deck: Deck) -> Objects:
    return shared_deck[2]


def spec(objects: Objects) -> Json:
    found: Json = objects.get("Replay", "default", "tape")["spec"]
    return found


def is_at(page: Page, minute: int) -> None:
    """Wait until virtual time is at a minute of the range, and check that nothing is right of it in any pane."""
    expect(page.locator("[data-figure='Virtual time']")).to_have_text(f"2018-04-04 {minute // 60:02}:{minute % 60:02}")
    wait_for(page, "latest", T0 + (minute - 1) * MINUTE)
    assert shown(page, "last") == T0 + (minute - 1) * MINUTE


def test_steps_seeks_and_their_undo(page: Page, objects: Objects) -> None:
    for _ in range(3):
        page.get_by_label("One bar forward").click()
    is_at(page, 3)
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    is_at(page, 23)
    page.keyboard.press("ArrowLeft")
    is_at(page, 22)
    page.keyboard.press("g")
    page.locator("#jump").fill("2018-04-04 02:00")
    page.keyboard.press("Enter")
    expect(page.locator("[data-figure='Virtual time']")).to_have_text("2018-04-04 02:00")
    page.keyboard.press("Control+z")
    is_at(page, 22)
    page.get_by_role("radio", name="5m", exact=True).click()
    wait_for(page, "last", T0 + 20 * MINUTE)  # the bar that has begun
    page.keyboard.press("ArrowRight")
    expect(page.locator("[data-figure='Virtual time']")).to_have_text("2018-04-04 00:25")
    page.get_by_role("radio", name="1m", exact=True).click()
    is_at(page, 25)


def test_a_drag_on_the_strip_seeks(page: Page) -> None:
    strip = page.locator(".strip").bounding_box()
    assert strip is not None
    middle = strip["y"] + strip["height"] / 2
    page.mouse.move(strip["x"] + strip["width"] * 0.2, middle)
    page.mouse.down()
    page.mouse.move(strip["x"] + strip["width"] * 0.4, middle, steps=4)
    page.mouse.move(strip["x"] + strip["width"] * 0.5, middle)
    page.mouse.up()
    reached = "2018-04-04 0(1:59|2:00)"
    expect(page.locator("[data-figure='Virtual time']")).to_have_text(re.compile(reached))
    # The line of prices ends at the furthest position that was played, which a seek forward does not play.
    assert int(page.locator(".strip").get_attribute("data-furthest") or 0) <= T0 + 120 * MINUTE


def test_speeds_and_states(page: Page, objects: Objects) -> None:
    page.get_by_label("To the start").click()
    expect(page.locator("[data-figure='Virtual time']")).to_have_text("2018-04-04 00:00")
    page.keyboard.press("]")
    eventually(lambda: spec(objects).get("speed") == 120)
    expect(page.locator("#speed")).to_have_value("120")
    page.locator("#speed").select_option("600")
    eventually(lambda: spec(objects).get("speed") == 600)
    expect(page.locator("#deck-state")).to_contain_text("PAUSED")
    page.keyboard.press("Space")
    expect(page.locator("#deck-state")).to_contain_text("PLAYING")
    eventually(lambda: shown(page, "bars") > 10)
    page.keyboard.press("Space")
    expect(page.locator("#deck-state")).to_contain_text("PAUSED")
    save_screenshot(page, "transport-paused")
    page.get_by_label("To the end").click()
    page.keyboard.press("Space")
    expect(page.locator("#deck-state")).to_contain_text("HELD")


def test_a_loop_from_a_to_b(page: Page, objects: Objects) -> None:
    objects.patch_spec("Replay", "default", "tape", {"spec": {"paused": True, "speed": 600}})
    url = page.url.split("?")[0]
    page.goto(f"{url}?a={T0 + 60 * MINUTE}&b={T0 + 80 * MINUTE}")
    expect(page.get_by_label("Point A of the loop")).to_be_visible()
    page.keyboard.press("l")
    expect(page.locator("#deck-state")).to_contain_text("PLAYING")
    before = objects.get("Replay", "default", "tape")["status"]["epoch"]
    eventually(lambda: objects.get("Replay", "default", "tape")["status"]["epoch"] != before, timeout=60)
    # After a seek the chart is empty for a moment.
    eventually(lambda: T0 + 59 * MINUTE <= shown(page, "last") <= T0 + 80 * MINUTE, timeout=60)
    page.keyboard.press("l")
    eventually(lambda: "until" not in spec(objects))
    objects.patch_spec("Replay", "default", "tape", {"spec": {"paused": True}})
    expect(page.locator("#deck-state")).to_contain_text("PAUSED")


def test_a_seek_asks_before_it_ends_a_run_and_restarts_it(page: Page, objects: Objects) -> None:
    source = {"store": {"exchange": "x", "symbols": [SYMBOL]}}
    apply(
        objects, "Replay", "fresh", {"source": source, "paused": True}
    )  # a run fails where there was a seek before it
    apply(objects, "Backtest", "cross", {"strategy": {"builtin": "sma-cross"}, "data": {"replay": {"name": "fresh"}}})
    reaches(objects, "Replay", "fresh", "Paused")
    page.goto(f"{page.url.split('?')[0]}?replay=default/fresh")
    expect(page.locator("#deck-state")).to_contain_text("PAUSED")
    page.get_by_label("One bar forward").click()  # what the run trades first
    reaches(objects, "Backtest", "cross", "Running", timeout=120)
    expect(page.locator("[data-name='cross']")).to_contain_text("Running")
    page.get_by_label("To the start").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("cross")
    dialog.get_by_role("button", name="Cancel").click()
    assert phase(objects, "Backtest", "cross") == "Running"
    page.get_by_label("To the start").click()
    dialog.get_by_role("button", name="Seek and restart").click()
    eventually(lambda: phase(objects, "Backtest", "cross") == "Failed", timeout=60)
    eventually(lambda: objects.get("Replay", "default", "fresh")["status"]["position"] == format_ms(T0))
    page.get_by_label("One bar forward").click()
    reaches(objects, "Backtest", "cross-2", "Running")
    assert objects.get("Backtest", "default", "cross-2")["spec"]["data"]["replay"]["onSeek"] == "restart"
    page.goto(page.url.split("?")[0] + "?replay=default/tape")


def test_an_ended_replay_is_played_again_in_its_place(page: Page, objects: Objects) -> None:
    """Although another one has not ended."""
    source = {"store": {"exchange": "x", "symbols": [SYMBOL]}}
    apply(objects, "Replay", "over", {"source": source, "unpaced": True})
    reaches(objects, "Replay", "over", "Complete")
    apply(objects, "Replay", "beside", {"source": source, "paused": True})
    reaches(objects, "Replay", "beside", "Paused")
    expect(page.locator("[data-name='beside']")).to_contain_text("Paused")
    page.goto(f"{page.url.split('?')[0]}?replay=default/over&interval=5m")
    wait_for(page, "last", T0 + (MINUTES - 5) * MINUTE)
    expect(page.locator("#ended")).to_have_text("Ended: Play again plays it from the start")
    page.get_by_role("button", name="Play again").click()
    expect(page.locator(".lists [data-current='true']")).to_have_attribute("data-name", "over-2")
    uid = objects.get("Replay", "default", "over-2")["metadata"]["uid"]
    shows = {"replay": uid, "symbol": f"replay/{uid}/x:{SYMBOL}", "interval": "5m"}

    def address() -> dict[str, list[str]]:
        return parse_qs(str(page.evaluate("location.search")).removeprefix("?"))

    eventually(lambda: all(address().get(name) == [value] for name, value in shows.items()))
    query = address()
    assert int(query["from"][0]) < int(query["to"][0]) == T0 + (MINUTES - 5) * MINUTE
    wait_for(page, "sight-first", query["from"][0])  # in sight as soon as it is played
    wait_for(page, "sight-last", query["to"][0])
    page.goto(page.url.split("?")[0] + "?replay=default/tape")


def test_an_hour_of_an_ended_replay_is_played_by_one_click(page: Page, objects: Objects) -> None:
    source = {"store": {"exchange": "x", "symbols": [SYMBOL]}}
    apply(objects, "Replay", "past", {"source": source, "unpaced": True})
    reaches(objects, "Replay", "past", "Complete")
    page.goto(f"{page.url.split('?')[0]}?replay=default/past&interval=5m")
    wait_for(page, "last", T0 + (MINUTES - 5) * MINUTE)
    expect(page.locator("#ended")).to_have_text("Ended: Play again plays it from the start")
    strip = page.locator(".strip")
    width = strip.evaluate("strip => strip.getBoundingClientRect().width")
    strip.click(position={"x": width / 2, "y": 10})
    expect(page).to_have_url(re.compile("interval=1m"))
    expect(page.locator("#deck-state")).to_contain_text("PLAYING")
    made = objects.get("Replay", "default", "past-hour")
    (from_, to), speed = (made["spec"]["source"]["store"][name] for name in ("from", "to")), made["spec"]["speed"]
    hour = time_ms(to) - time_ms(from_)
    assert (hour, speed, (time_ms(from_) - T0) // MINUTE in range(115, 126)) == (60 * MINUTE, 10, True)
    uid = made["metadata"]["uid"]
    expect(page.locator(".lists [data-current='true']")).to_have_attribute("data-name", "past-hour")
    assert parse_qs(str(page.evaluate("location.search")).removeprefix("?")) == {
        "replay": [uid],
        "symbol": [f"replay/{uid}/x:{SYMBOL}"],
        "interval": ["1m"],
    }
    page.goto(page.url.split("?")[0] + "?replay=default/tape")


def test_a_phone_has_the_chart_first_and_the_transport_at_the_thumb(page: Page) -> None:
    page.set_viewport_size(PHONE)
    page.goto(f"{page.url.split('?')[0]}?replay=default/tape")
    expect(page.locator("#deck-state")).to_contain_text("PAUSED")
    eventually(lambda: page.evaluate("document.documentElement.scrollWidth") == PHONE["width"])
    chart, play = (
        page.locator("#chart").bounding_box(),
        page.get_by_role("button", name="Play", exact=True).bounding_box(),
    )
    assert chart is not None
    assert play is not None
    assert min(play["width"], play["height"]) >= 44
    assert chart["y"] < play["y"]
    assert play["y"] + play["height"] <= PHONE["height"]
    save_screenshot(page, "transport-controls")
    page.set_viewport_size(WIDE)


def test_an_embedded_chart_has_the_transport_and_nothing_else(page: Page) -> None:
    page.goto(f"{page.url.split('?')[0]}?embed=chart&indicators=sma:5,rsi:14")
    wait_for(page, "indicators", 2)
    expect(page.locator("#deck-state")).to_be_visible()
    expect(page.locator("header.head, aside")).to_have_count(0)
    save_screenshot(page, "embedded")
