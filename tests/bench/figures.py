"""What a benchmark says: a value beside the value of a reference measured in the same run."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One line of the results. ``ratio`` is value / reference; both are None where there is no reference.

    Units: msg/s, rows/s, bars/s; ms for latencies, s for durations, MB for memory, B for a row or record, % for shares.
    """

    name: str
    value: float
    unit: str
    reference: float | None = None
    ratio: float | None = None


def against(name: str, values: Sequence[float], references: Sequence[float], unit: str) -> Figure:
    """A figure of medians: runs of the subject and of the reference that alternated."""
    value, reference = statistics.median(values), statistics.median(references)
    return Figure(name, value, unit, reference, value / reference)


def alternate(
    subject: Callable[[], float], reference: Callable[[], float], runs: int
) -> tuple[list[float], list[float]]:
    """Run both in turn, so that a noisy neighbour hits both."""
    values: list[float] = []
    references: list[float] = []
    for _ in range(runs):
        references.append(reference())
        values.append(subject())
    return values, references
