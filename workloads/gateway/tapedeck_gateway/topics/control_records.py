"""Control records of a replay's topic, which other programs with the replays' Kafka user can write to, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tapedeck_common.json_text import json_decoder
from tapedeck_common.wire import ControlRecord, ReplayStart, decode_control
from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.intervals import BAR_LENGTHS

LATEST = 253_402_300_799_000
"""The end of the year 9999, in milliseconds UTC: no time of a market is later."""


class _Source(msgspec.Struct, frozen=True):
    store: dict[str, Any] | None = None


class _Transform(msgspec.Struct, frozen=True):
    name: str


class PlayedSpec(msgspec.Struct, frozen=True):
    """What the gateway uses of a replay's spec."""

    source: _Source | None = None
    scenario: msgspec.Raw | None = None
    record: bool = False
    transforms: list[_Transform] | None = None

    @property
    def plays_stored_bars(self) -> bool:
        """Whether the replay plays bars of the store unaltered."""
        changed = self.scenario is not None and bytes(self.scenario) not in (b"null", b"[]", b"{}")
        return self.source is not None and self.source.store is not None and not changed


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
    if not all(0 <= time <= LATEST for time in times):
        raise InvalidInput(f"{type(record).__name__}: got {max(times)}, expected times before the year 10000")
    return record


def played_spec(start: ReplayStart) -> PlayedSpec:
    """What the gateway uses of the spec in a start record. Raises msgspec.DecodeError."""
    return _decode_spec(bytes(start.spec))
