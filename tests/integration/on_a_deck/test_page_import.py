"""Files that are dropped on the page of a running deck, or chosen there, end in the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from decks.process import Deck
from decks.uploads import uploaded
from layouts.small_files import BARS, HEADER, ROWS
from pods.browser import BROWSER_TESTS, PHONE, open_browser, save_screenshot
from tapedeck_deck.cli.deck import page_address
from tapedeck_deck.cli.store_query import rows_of
from waits import eventually

pytestmark = [*BROWSER_TESTS, pytest.mark.slow]
DROP = """
(files) => {
  const data = new DataTransfer();
  for (const [name, text] of Object.entries(files)) data.items.add(new File([text], name));
  const target = document.querySelector("main");
  for (const type of ["dragover", "drop"])
    target.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
}
"""


@pytest.fixture
def page(shared_deck: Deck) -> Iterator[Page]:
    """The page with the token of the deck's owner."""
    with open_browser() as page:
        page.goto(page_address(shared_deck[0]))
        page.get_by_role("link", name="New").click()
        expect(page.get_by_label("Name")).to_be_visible()
        yield page


def state(page: Page) -> Locator:
    return page.locator("#file-import")


def test_a_dropped_file_ends_in_the_store(shared_deck: Deck, page: Page) -> None:
    page.evaluate(DROP, {"BTCUSD.csv": HEADER + ROWS})  # on the form of a Replay
    expect(state(page)).to_have_attribute("data-state", "looked")
    row = page.get_by_role("region", name="What the files hold").locator("tbody tr")
    expect(row).to_contain_text("BTCUSD.csv")
    expect(row).to_contain_text("2018-04-04 00:02")
    expect(state(page)).to_contain_text("assumed: exchange is files")
    panel = page.get_by_label("Import files")
    panel.get_by_label("Symbol").fill("no symbol!")
    expect(panel.locator("[data-field=symbol] .wrong")).to_contain_text("no symbol!")
    panel.get_by_label("Symbol").fill("TAP/USD")
    panel.get_by_label("Exchange").fill("dropped")
    expect(row).to_contain_text("TAP/USD")
    expect(row).to_contain_text("dropped")
    save_screenshot(page, "new-import")
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]  # type: ignore[index]
    panel.get_by_role("button", name="Import", exact=True).click()
    expect(state(page)).to_contain_text("Complete, 3 bars")
    statement = (
        "SELECT (extract(epoch FROM ts) * 1000)::int8, open, high, low, close, volume FROM bars "
        "WHERE exchange = %(exchange)s AND symbol = 'TAP/USD' ORDER BY ts"
    )
    eventually(lambda: rows_of(shared_deck[1]["dsn"], statement, {"exchange": "dropped"}) == BARS)


def test_what_is_no_market_data_is_said(shared_deck: Deck, page: Page, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("dear diary\n" * 50)
    page.get_by_role("button", name="Feed", exact=True).click()
    page.get_by_label("Files to import").set_input_files(tmp_path / "notes.txt")
    expect(state(page)).to_contain_text("notes.txt")
    expect(page.get_by_role("button", name="Import", exact=True)).to_be_disabled()
    page.set_viewport_size(PHONE)
    eventually(lambda: page.evaluate("document.documentElement.scrollWidth") == PHONE["width"])
    page.get_by_role("button", name="Discard").click()
    expect(state(page)).to_have_attribute("data-state", "none")
    eventually(lambda: not uploaded(shared_deck[0], "notes.txt"))


def test_without_a_token_the_page_says_what_to_do(shared_deck: Deck, page: Page) -> None:
    page.evaluate("sessionStorage.clear()")
    page.reload()
    page.evaluate(DROP, {"BTCUSD.csv": HEADER + ROWS})
    expect(page.locator("#login")).to_contain_text("`tapedeck page` prints an address with a token")
    expect(state(page)).to_have_attribute("data-state", "refused")
