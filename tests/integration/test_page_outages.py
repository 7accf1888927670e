"""The page while broker and database are killed and started again: it says so, and goes on by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pods.browser import BROWSER_TESTS, open_browser, wait_for
from pods.outage import NOTICED_SECONDS, killed, outage_stage
from waits import eventually

pytestmark = [*BROWSER_TESTS, pytest.mark.slow]


def test_the_page_says_what_is_down_and_goes_on_by_itself(tmp_path: Path) -> None:
    def says(text: str) -> Callable[[], bool]:
        return lambda: page.locator("#connection").text_content() == text

    with outage_stage(tmp_path) as stage, open_browser() as page:
        stage.play(20)
        page.goto(f"{stage.gateway.url}/?replay={stage.replay.uid}")
        wait_for(page, "bars", 20)
        eventually(says("live"), timeout=NOTICED_SECONDS)
        with killed(stage.services.broker):
            eventually(says("no broker"), timeout=NOTICED_SECONDS)
        eventually(says("live"), timeout=NOTICED_SECONDS)
        stage.play(10)
        wait_for(page, "bars", 30)
        with killed(stage.services.postgres):
            eventually(says("no database"), timeout=NOTICED_SECONDS)
            stage.play(10)
            wait_for(page, "bars", 40)
        eventually(says("live"), timeout=NOTICED_SECONDS)
        stage.play(10)
        wait_for(page, "bars", 50)
