"""The page's view that makes resources, on a running deck: forms, their YAML, the check, and what is made of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from playwright.sync_api import Locator, Page, expect

from decks.process import Deck, phase, reaches
from pods.browser import BROWSER_TESTS, PHONE, open_browser, save_screenshot
from pods.replay import insert_minutes
from tapedeck_deck.cli.deck import page_address
from tapedeck_deck.embedded.objects import Objects
from waits import eventually

MINUTES = 240
SYMBOL = "BTC/USD"

pytestmark = [*BROWSER_TESTS, pytest.mark.slow]


@pytest.fixture
def page(shared_deck: Deck) -> Iterator[Page]:
    """The page with the token of the deck's owner."""
    with open_browser() as page:
        page.goto(page_address(shared_deck[0]))
        page.get_by_role("link", name="New").click()
        yield page


@pytest.fixture
def objects(shared_deck: Deck) -> Objects:
    return shared_deck[2]


def outcome(page: Page) -> Locator:
    return page.locator("#outcome")


def text_of(page: Page) -> str:
    """The text of the editor."""
    lines = page.locator(".cm-line").all_text_contents()
    return "\n".join(lines)


def is_written(page: Page, *path: str, value: object) -> None:
    """Wait until the YAML of the editor has a value: it follows what is filled in."""

    def has_value() -> bool:
        found: Any = yaml.safe_load(text_of(page))
        for name in path:
            found = (found or {}).get(name)  # none while it is that of another kind
        return bool(found == value)

    eventually(has_value, what=f"{'.'.join(path)} of {value}")


def test_a_replay_with_a_scenario_and_a_backtest_of_it(shared_deck: Deck, page: Page, objects: Objects) -> None:
    home = shared_deck[0]
    insert_minutes((home.migrate / "store_dsn").read_text().strip(), "x", [SYMBOL], MINUTES)
    page.get_by_label("Name").fill("crash")
    page.get_by_label("Exchange").fill("x")
    page.get_by_label("Speed").fill("0.01")
    expect(outcome(page)).to_contain_text("spec.speed")  # as `apply` says it
    expect(page.locator("[data-field=speed] .wrong")).to_contain_text("0.01")
    expect(page.get_by_label("Speed")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Speed").fill("60")
    page.get_by_label("As fast as possible").check()
    page.get_by_label("Kind of change").select_option("shock")
    page.get_by_role("button", name="Add the change").click()
    expect(outcome(page)).to_contain_text("expected from")
    shock = page.locator("[data-change=shock]")
    shock.get_by_label("From").fill("2018-04-04T01:00:00Z")
    expect(outcome(page)).to_have_attribute("data-outcome", "fits")
    spec = {
        "source": {"store": {"exchange": "x", "symbols": [SYMBOL], "interval": "1m"}},
        "speed": 60,
        "unpaced": True,
        "atEnd": "finish",
        "scenario": [{"shock": {"percent": -20, "duration": 600}, "from": "2018-04-04T01:00:00Z"}],
    }
    is_written(page, "spec", value=spec)
    save_screenshot(page, "new-replay")
    assert not objects.list("Replay", "default")
    page.get_by_role("button", name="Apply").click()
    expect(outcome(page)).to_contain_text("Replay default/crash was created")
    reaches(objects, "Replay", "crash", "Complete")
    (change,) = objects.get("Replay", "default", "crash")["spec"]["scenario"]
    assert (change["shock"]["percent"], change["from"]) == (-20, "2018-04-04T01:00:00Z")
    page.get_by_role("button", name="Apply").click()
    expect(outcome(page)).to_contain_text("crash exists already: choose another name")

    page.get_by_role("button", name="Backtest").click()
    page.get_by_label("Name").fill("on-it")
    page.get_by_label("Built-in").select_option("rsi")
    page.get_by_label("period").fill("seven")
    expect(page.locator("[data-field='param period'] .wrong")).to_contain_text("got seven, expected a number")
    expect(page.get_by_role("button", name="Apply")).to_be_disabled()
    page.get_by_label("period").fill("7")
    page.get_by_label("Symbols").fill("DOGE/USD")
    expect(page.locator("[data-field=symbols] .warned")).to_have_text("coinbase has no bars of DOGE/USD in the store")
    expect(outcome(page)).to_have_attribute("data-outcome", "fits")
    page.get_by_label("Trades", exact=True).select_option("replay")
    page.get_by_label("Replay", exact=True).fill("crash")
    expect(outcome(page)).to_have_attribute("data-outcome", "fits")
    is_written(page, "spec", "strategy", value={"builtin": "rsi", "params": {"period": 7}})
    is_written(page, "spec", "data", value={"replay": {"name": "crash", "symbols": [SYMBOL], "onSeek": "stop"}})
    page.get_by_role("button", name="Apply").click()
    expect(outcome(page)).to_contain_text("Backtest default/on-it was created")
    page.get_by_role("link", name="Open its report").click()
    expect(page.locator(".run-title")).to_contain_text("rsi on")
    expect(page.locator("[aria-label=Params]")).to_contain_text("lower30 (default)")
    reaches(objects, "Backtest", "on-it", "Complete")
    assert phase(objects, "Backtest", "on-it") == "Complete"


def test_yaml_is_edited_by_hand_and_written_again(page: Page, objects: Objects) -> None:
    page.get_by_role("button", name="Feed").click()
    editor = page.get_by_role("textbox", name="YAML of the resource")
    editor.click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(
        "apiVersion: tapedeck.dev/v1alpha1\nkind: Feed\nmetadata: {name: by-hand}\n"
        "spec:\n  source: {files: {exchange: y, sets: [{path: none/x.csv, symbol: A/B}]}}\n"
    )
    expect(outcome(page)).to_have_attribute("data-outcome", "fits")
    expect(page.get_by_label("Name")).to_be_disabled()
    page.get_by_role("button", name="Apply").click()
    expect(outcome(page)).to_contain_text("Feed default/by-hand was created")
    assert objects.get("Feed", "default", "by-hand")["spec"]["source"]["files"]["exchange"] == "y"
    page.get_by_role("button", name="Write it by the form again").click()
    expect(page.get_by_label("Name")).to_be_enabled()
    is_written(page, "metadata", value={"name": "my-feed"})
    page.set_viewport_size(PHONE)
    eventually(lambda: page.evaluate("document.documentElement.scrollWidth") == PHONE["width"])
    save_screenshot(page, "new-feed")


def test_without_a_token_nothing_is_asked_until_it_is_wanted(shared_deck: Deck, page: Page) -> None:
    page.evaluate("sessionStorage.clear()")
    page.reload()
    expect(page.get_by_role("textbox", name="YAML of the resource")).to_be_visible()
    page.get_by_label("Name").fill("mine")
    expect(page.locator(".cm-line").nth(3)).to_contain_text("mine")
    expect(outcome(page)).to_have_attribute("data-outcome", "none")
    page.get_by_role("button", name="Check").click()
    expect(page.locator("#login")).to_contain_text("Changes need a token")
    page.get_by_role("button", name="Only watch").click()
    expect(page.get_by_label("Name")).to_have_value("mine")
