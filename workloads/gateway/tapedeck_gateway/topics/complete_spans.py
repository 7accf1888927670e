"""Which bars of a replay a view has without a gap: after a seek forward it lacks what was passed over."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Span:
    """The bars that open in [start, end), milliseconds UTC, of which none is missing."""

    start: int
    end: int


class CompleteSpans:
    """The complete spans in order. The last one ends at the replay's position."""

    def __init__(self) -> None:
        self._spans = [Span(0, 0)]

    @property
    def start(self) -> int:
        """The open from which on the view has every bar up to the position."""
        return self._spans[-1].start

    def begin(self, start: int) -> None:
        """The replay begins with the bar that opens at ``start``."""
        self._spans = [Span(start, start)]

    def reach(self, position: int) -> None:
        """Everything up to a later position has been read."""
        self._spans[-1] = replace(self._spans[-1], end=max(position, self._spans[-1].end))

    def seek(self, kept_until: int, resumed_from: int) -> None:
        """Bars that open at ``kept_until`` or later were dropped; those from ``resumed_from`` on follow."""
        kept = [replace(span, end=min(span.end, kept_until)) for span in self._spans if span.start < kept_until]
        if not kept or kept[-1].end != resumed_from:
            kept.append(Span(resumed_from, resumed_from))
        self._spans = kept

    def drop_before(self, start: int) -> None:
        """Bars that open before ``start`` were dropped."""
        *earlier, last = self._spans
        kept = [replace(span, start=max(span.start, start)) for span in earlier if span.end > start]
        self._spans = [*kept, replace(last, start=max(last.start, start))]

    def cover(self, start: int, end: int) -> bool:
        """Whether no bar that opens in [start, end) is missing."""
        return any(span.start <= start and end <= span.end for span in self._spans)
