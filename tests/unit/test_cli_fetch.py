"""What `tapedeck fetch` asks for."""

from __future__ import annotations

from typing import Any

import pytest

from tapedeck_crds.parse import parse_resource
from tapedeck_deck.cli.fetch import moment, spec_of
from tapedeck_deck.embedded.errors import DeckError


def test_the_options_become_a_feed() -> None:
    spec = spec_of("kraken", ["A/B,*/EUR", "C/D"], "2024-01-01", "2024-02-01T02:00:00+02:00", ["1m", "1h"], 3, None)
    feed: Any = parse_resource(
        {"apiVersion": "tapedeck.dev/v1alpha1", "kind": "Feed", "metadata": {"name": "x"}, "spec": spec}
    )
    assert feed.spec.symbols == ["A/B", "*/EUR", "C/D"]
    past = feed.spec.backfill
    assert (past.from_, past.to) == ("2024-01-01T00:00:00Z", "2024-02-01T02:00:00+02:00")
    assert (past.intervals, past.shards, past.only) == (["1m", "1h"], 3, True)
    assert feed.spec.endpoints is None
    spec = spec_of("cryptocompare", ["A/B"], "2024-01-01", None, ["1d"], 1, "http://localhost:1", "the-key")
    assert (spec["apiKeySecret"], spec["endpoints"]) == ("the-key", {"rest": "http://localhost:1"})


@pytest.mark.parametrize("text", ["yesterday", "2024-13-01", "2024-01-01T00:00:00", ""])
def test_what_is_no_time_is_named_with_its_option(text: str) -> None:
    with pytest.raises(DeckError, match=rf"--end: got '{text}', expected a time .* or a day like 2018-04-04"):
        moment("--end", text)


def test_what_begins_later_than_now_is_refused_at_once() -> None:
    with pytest.raises(DeckError, match="--start: got 2100-01-01, expected a time before now"):
        spec_of("kraken", ["A/B"], "2100-01-01", None, ["1m"], 1, None)
