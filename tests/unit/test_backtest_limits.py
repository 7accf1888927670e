"""Output limit and parsing of quantities. The other limits are tested with real processes."""

from __future__ import annotations

import io
import logging
import sys

import pytest

from tapedeck_backtest.sandbox.output import BoundedStream, bounded_output
from tapedeck_crds.pod import parse_quantity


@pytest.mark.parametrize(
    ("text", "size"),
    [("512Mi", 536_870_912), ("2G", 2_000_000_000), ("1.5Gi", 1_610_612_736), ("900", 900), ("4096k", 4_096_000)],
)
def test_kubernetes_quantities(text: str, size: int) -> None:
    assert parse_quantity(text) == size


def test_output_stops_at_its_limit_with_one_notice() -> None:
    kept = io.StringIO()
    bounded = BoundedStream(kept, 10)
    for text in ("12345", "é7", "89012345", "more"):
        assert bounded.write(text) == len(text)
    assert kept.getvalue().splitlines()[0] == "12345é789"[:9]
    assert kept.getvalue().count("is dropped") == 1
    assert "more" not in kept.getvalue()


def test_logging_is_limited_and_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = io.StringIO()
    monkeypatch.setattr(sys, "stderr", kept)
    handler = logging.StreamHandler(kept)
    monkeypatch.setattr(logging.root, "handlers", [handler])
    with bounded_output(4):
        logging.getLogger("strategy").error("abcdefgh")
        print("more")
    assert kept.getvalue().startswith("abcd\n…")
    assert "more" not in kept.getvalue()
    assert handler.stream is kept
