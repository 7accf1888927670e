"""The Feed that `tapedeck fetch` creates."""

from __future__ import annotations

from typing import Any

import pytest

from tapedeck_crds.parse import parse_resource
from tapedeck_deck.cli.fetch import fetch_spec
from tapedeck_deck.cli.moments import parse_moment
from tapedeck_deck.embedded.errors import DeckError


def test_the_options_become_a_feed() -> None:
    spec = fetch_spec("kraken", ["A/B,*/EUR", "C/D"], "2024-01-01", "2024-02-01T02:00:00+02:00", ["1m", "1h"], 3, None)
    feed: Any = parse_resource(
        {"apiVersion": "tapedeck.dev/v1alpha1", "kind": "Feed", "metadata": {"name": "x"}, "spec": spec}
    )
    assert feed.spec.symbols == ["A/B", "*/EUR", "C/D"]
    backfill = feed.spec.backfill
    assert (backfill.from_, backfill.to) == ("2024-01-01T00:00:00Z", "2024-02-01T02:00:00+02:00")
    assert (backfill.intervals, backfill.shards, backfill.only) == (["1m", "1h"], 3, True)
    assert feed.spec.endpoints is None
    spec = fetch_spec("cryptocompare", ["A/B"], "2024-01-01", None, ["1d"], 1, "http://localhost:1", "the-key")
    assert (spec["apiKeySecret"], spec["endpoints"]) == ("the-key", {"rest": "http://localhost:1"})


@pytest.mark.parametrize("text", ["yesterday", "2024-13-01", "2024-01-01T00:00:00", ""])
def test_an_invalid_time_is_reported_with_its_option(text: str) -> None:
    with pytest.raises(
        DeckError, match=rf"--end: got '{text}', expected (a time|an existing date).* or a day like 2018-04-04"
    ):
        parse_moment("--end", text)


def test_a_start_in_the_future_is_rejected() -> None:
    with pytest.raises(DeckError, match="--start: got 2100-01-01, expected a time before now"):
        fetch_spec("kraken", ["A/B"], "2100-01-01", None, ["1m"], 1, None)
