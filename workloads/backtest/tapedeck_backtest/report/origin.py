"""The inputs of a run, recorded so that it can be repeated."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import msgspec

from tapedeck_backtest.bars.arrays import BarArrays
from tapedeck_common import wire
from tapedeck_common.records import RunOrigin
from tapedeck_common.settings import PodSettings
from tapedeck_common.version import VERSION

NO_REPLAY = msgspec.Raw(b"null")


def origin_of_store(settings: PodSettings, series: Mapping[str, BarArrays]) -> RunOrigin:
    """The origin of a run over stored bars: the number and a checksum of each symbol's bars."""
    parts = (f"{symbol}={len(columns.event)}:{_crc32(columns):08x}" for symbol, columns in sorted(series.items()))
    return RunOrigin(settings.uid, NO_REPLAY, "", ";".join(parts), None, {"backtest": settings.image}, VERSION)


def origin_of_replay(settings: PodSettings, start: wire.ReplayStart, run_id: str, begin: int | None) -> RunOrigin:
    """The origin of a run over a Replay: its ``start`` record, and the virtual time (ms UTC) of the run's epoch."""
    source = msgspec.json.decode(start.spec).get("source") or {}
    return RunOrigin(
        run_id,
        start.spec,
        start.name,
        start.fingerprint,
        (source.get("synthetic") or {}).get("seed"),
        {"backtest": settings.image, "replay": start.image},
        VERSION,
        begin=begin,
    )


def _crc32(columns: BarArrays) -> int:
    checksum = 0
    for values in (columns.event, columns.open, columns.high, columns.low, columns.close, columns.volume):
        checksum = zlib.crc32(values.tobytes(), checksum)
    return checksum
