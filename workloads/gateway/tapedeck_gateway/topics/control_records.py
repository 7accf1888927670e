"""Control records of a replay's topic, which other programs with the replays' Kafka user can write to, too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from tapedeck_common.json_text import json_decoder
from tapedeck_common.wire import ClockState, ControlRecord, ReplayStart, Watermark, decode_control
from tapedeck_crds.base import time_ms
from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_crds.replay import SPEED_MAX

LATEST = 253_402_300_799_000
"""The end of the year 9999, in milliseconds UTC: no time of a market is later."""


class _Source(msgspec.Struct, frozen=True):
    store: dict[str, Any] | None = None


class _Transform(msgspec.Struct, frozen=True):
    name: str


class PlayedSpec(msgspec.Struct, frozen=True):
    """What the gateway uses of a replay's spec."""

    source: _Source | None = None
    scenario: list[dict[str, Any]] | None = None
    record: bool = False
    transforms: list[_Transform] | None = None

    @property
    def plays_stored_bars(self) -> bool:
        """Whether the replay plays bars of the store unaltered."""
        return self.source is not None and self.source.store is not None and not self.scenario


@dataclass(frozen=True)
class ScenarioWindow:
    """A change of a scenario, such as a shock: the first open that it changes, and its symbols, empty for all."""

    kind: str
    start: int
    symbols: frozenset[str]


_decode_spec: Callable[[bytes | str], PlayedSpec] = json_decoder(PlayedSpec)


def control_record(value: bytes) -> ControlRecord:
    """The record. Raises InvalidInput and msgspec.DecodeError for one that no replay writes."""
    record: ControlRecord = decode_control(value)
    if isinstance(record, ReplayStart):
        for interval in (record.interval, *record.built_from.values()):
            if interval not in BAR_LENGTHS:
                raise InvalidInput(f"interval: got {interval[:80]!r}, expected one of {', '.join(BAR_LENGTHS)}")
        played_spec(record)
        times = (record.range_from, record.range_to)
    else:
        times = (record.v, record.v)
        if isinstance(record, Watermark) and record.clock is not None:
            _check_clock(record.clock)
    if not all(0 <= time <= LATEST for time in times):
        raise InvalidInput(f"{type(record).__name__}: got {max(times)}, expected times before the year 10000")
    return record


def _check_clock(clock: ClockState) -> None:
    """Raises InvalidInput for a clock that no replay has."""
    for name, value, limit in (
        ("speed", clock.speed, SPEED_MAX),
        ("until", clock.until or 0, LATEST),
        ("late_ms", clock.late_ms, LATEST),
    ):
        if not 0 <= value <= limit:
            raise InvalidInput(f"clock.{name}: got {value}, expected 0 to {limit:.0f}")


def scenario_windows(start: ReplayStart) -> list[ScenarioWindow]:
    """The changes of a replay's scenario; none where the record has a scenario that no replay writes."""
    try:
        return [_window(start, change) for change in played_spec(start).scenario or []]
    except ValueError:
        return []


def _window(start: ReplayStart, change: dict[str, Any]) -> ScenarioWindow:
    kind = next((name for name, value in change.items() if isinstance(value, dict)), "change")
    symbols = change.get("symbols")
    opened = time_ms(str(change["from"])) if "from" in change else start.range_from
    return ScenarioWindow(kind, opened, frozenset(map(str, symbols if isinstance(symbols, list) else ())))


def played_spec(start: ReplayStart) -> PlayedSpec:
    """What the gateway uses of the spec in a start record. Raises msgspec.DecodeError."""
    return _decode_spec(bytes(start.spec))
