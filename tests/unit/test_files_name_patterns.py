"""Patterns of files' names fit as regular expressions do, in few steps."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapedeck_common.files.layouts.name_patterns import NamePattern

EXPRESSIONS = {
    "symbol": r"[A-Za-z0-9]+(?:[-_][A-Za-z0-9]+)*?",
    "interval": r"\d+(?:s|m|h|d|w|mo|M)",
    "date": r"\d{4}(?:-?\d{2}){0,2}",
    "minutes": r"\d{1,5}",
    "word": r"(?:intraday|daily|weekly|monthly)(?:_adjusted)?(?:_\d+min)?",
    "any": r".+?",
}
PARTS = st.sampled_from([f"{{{part}}}" for part in EXPRESSIONS] * 2 + ["-", "_", ".", "x", "1", "a"])
TEXTS = st.sampled_from(["A", "a1", "BTC", "-", "_", ".", "2024", "01", "-02"]) | st.sampled_from(
    ["1m", "1mo", "5M", "12345", "daily", "_adjusted", "_5min", "é", "٣", "x", ".csv", "\n"]
)


def by_expression(pattern: str, name: str) -> dict[str, str] | None:
    """The parts of a name by the expression that a pattern stands for."""
    expression, seen = "", set()
    for number, part in enumerate(re.split(r"\{(\w+)\}", pattern)):
        if number % 2 == 0:
            expression += re.escape(part)
        else:
            expression += f"(?:{EXPRESSIONS[part]})" if part in seen else f"(?P<{part}>{EXPRESSIONS[part]})"
            seen.add(part)
    found = re.match(expression + r"(?=\.|$)", name)
    return None if found is None else found.groupdict()


@given(st.lists(PARTS, min_size=1, max_size=6), st.lists(TEXTS, max_size=8))
def test_a_pattern_fits_as_its_expression_does(parts: list[str], texts: list[str]) -> None:
    pattern, name = "".join(parts), "".join(texts)
    assert NamePattern(pattern).match(name) == by_expression(pattern, name)


@pytest.mark.parametrize(
    "pattern", ["{any}x{any}x{any}x{symbol}Q", "{any}x" * 20 + "{any}Q", "{symbol}" * 15 + "!", "{any}" * 24 + "{date}"]
)
def test_a_name_that_fits_in_many_ways_but_for_its_end(pattern: str) -> None:
    before = time.process_time()
    assert NamePattern(pattern).match("x" * 1_024) is None
    assert time.process_time() - before < 1
