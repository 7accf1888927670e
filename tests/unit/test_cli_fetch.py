"""The Feeds that `tapedeck fetch` creates, and how long it says that they take."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tapedeck_crds.parse import parse_resource
from tapedeck_deck.cli.fetch import ExchangeAccess, fetch_specs, parse_range
from tapedeck_deck.cli.moments import parse_moment, parse_span
from tapedeck_deck.cli.offers import duration, size
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_feed.backfill.estimate import estimate
from tapedeck_feed.exchanges.adapter import ExchangeMarkets

NOW = datetime(2024, 3, 10, 12, 30, tzinfo=UTC)
SPAN = ("2024-01-01T00:00:00Z", "2024-02-01T02:00:00+02:00")
DAY = 86_400_000


def test_the_options_become_a_feed_of_each_exchange() -> None:
    specs = fetch_specs(["kraken,coinbase", "kraken"], ["A/B,*/EUR", "C/D"], SPAN, ["1m", "1h"], 3, ExchangeAccess())
    assert [spec["exchange"] for spec in specs] == ["kraken", "coinbase"]
    for spec in specs:
        feed: Any = parse_resource(
            {"apiVersion": "tapedeck.dev/v1alpha1", "kind": "Feed", "metadata": {"name": "x"}, "spec": spec}
        )
        assert feed.spec.symbols == ["A/B", "*/EUR", "C/D"]
        backfill = feed.spec.backfill
        assert (backfill.from_, backfill.to) == SPAN
        assert (backfill.intervals, backfill.shards, backfill.only) == (["1m", "1h"], 3, True)
        assert feed.spec.endpoints is None
    [spec] = fetch_specs(["cryptocompare"], ["A/B"], SPAN, ["1d"], 1, ExchangeAccess("http://localhost:1", "the-key"))
    assert (spec["apiKeySecret"], spec["endpoints"]) == ("the-key", {"rest": "http://localhost:1"})


RANGES = {
    ("2024-01-01", None, None): ("2024-01-01T00:00:00Z", None),
    (None, "30d", None): ("2024-02-09T12:30:00Z", None),
    (None, "1y", "2024-03-01"): ("2023-03-02T00:00:00Z", "2024-03-01T00:00:00Z"),  # over a leap day
    (None, "90m", "2024-03-01T02:00:00+02:00"): ("2024-02-29T22:30:00Z", "2024-03-01T02:00:00+02:00"),
}


@pytest.mark.parametrize("options", RANGES)
def test_ranges(options: tuple[str | None, str | None, str | None]) -> None:
    assert parse_range(*options, NOW) == RANGES[options]


@pytest.mark.parametrize("text", ["yesterday", "2024-13-01", "2024-01-01T00:00:00", ""])
def test_an_invalid_time_is_reported_with_its_option(text: str) -> None:
    with pytest.raises(
        DeckError, match=rf"--end: got '{text}', expected (a time|an existing date).* or a day like 2018-04-04"
    ):
        parse_moment("--end", text)


@pytest.mark.parametrize("text", ["30", "0d", "-1d", "1.5d", "30 d", "99999y", "d", ""])
def test_an_invalid_length_is_reported_with_its_option(text: str) -> None:
    with pytest.raises(DeckError, match=rf"--last: got '{text}', expected a length of up to 50 years such as 90m"):
        parse_span("--last", text)


def test_a_range_needs_one_beginning_before_now() -> None:
    with pytest.raises(DeckError, match="--start: got 2100-01-01, expected a time before now"):
        parse_range("2100-01-01", None, None, NOW)
    for start, last in ((None, None), ("2024-01-01", "30d")):
        with pytest.raises(DeckError, match="expected --start, the first open time, or --last, such as 30d"):
            parse_range(start, last, None, NOW)


def markets(symbols: int, page: int, seconds: float, **fields: Any) -> ExchangeMarkets:
    names = tuple(f"S{n}/USD" for n in range(symbols))
    return ExchangeMarkets(
        names, frozenset(), frozenset(("1m", "15m", "1d")), contiguous_ids=False, page=page, request_seconds=seconds,
        **fields,
    )  # fmt: skip


def test_how_large_a_download_is() -> None:
    """30 days are 43,200 minutes: 43.2 pages of a thousand, for each of two symbols, and 30 days on one page."""
    whole = (19_000 * DAY, 19_030 * DAY)
    found = estimate(markets(2, 1_000, 0.05), ("1m", "1d"), whole, whole[1], 1)
    assert (found.bars, found.requests) == (2 * (43_200 + 30), 2 * (44 + 1))
    assert found.seconds == pytest.approx(90 * 0.05)
    # Three pods: 14,400 minutes each, 15 pages; 10 days each.
    assert estimate(markets(2, 1_000, 0.05), ("1m", "1d"), whole, whole[1], 3).requests == 2 * (3 * 15 + 3)
    # The newest bars are not closed yet: half a day is missing.
    assert estimate(markets(1, 1_000, 0.05), ("1m",), whole, whole[1] - DAY // 2, 1).bars == 43_200 - 720
    # Aggregated bars: of 2,880 quarters of an hour 2,000 are a page of 16 requests of 133, and 880 take 7.
    of_units = markets(1, 2_000, 0.05, bars_per_request={"15m": 133})
    assert estimate(of_units, ("15m",), whole, whole[1], 1).requests == 16 + 7


def test_what_is_said_before_a_download() -> None:
    offer = {
        "exchange": "kraken", "symbols": [{}, {}], "secondsPerRequest": 0.05,
        "estimate": {"bars": 86_460, "requests": 3_600, "seconds": 180.0},
    }  # fmt: skip
    assert size(offer) == (
        "kraken: 86,460 bars of 2 symbols: 3,600 requests, about 3 minutes at 20 requests a second; fewer where bars "
        "are stored"
    )
    assert [duration(seconds) for seconds in (0.2, 45, 600, 4 * 3600, 3 * 86_400)] == [
        "1 s", "45 s", "10 minutes", "4.0 hours", "3.0 days",
    ]  # fmt: skip
