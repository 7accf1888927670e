"""What a run was made of, so that it can be done again."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import msgspec

from tapedeck_backtest.engine.feeds import Columns
from tapedeck_common import wire
from tapedeck_common.records import RunOrigin
from tapedeck_common.settings import PodSettings
from tapedeck_common.version import VERSION

NO_REPLAY = msgspec.Raw(b"null")


def origin_of_store(settings: PodSettings, series: Mapping[str, Columns]) -> RunOrigin:
    """Of a run over stored bars: their numbers and a checksum of each symbol's."""
    parts = (f"{symbol}={len(columns.event)}:{_check(columns):08x}" for symbol, columns in sorted(series.items()))
    return RunOrigin(settings.uid, NO_REPLAY, "", ";".join(parts), None, {"backtest": settings.image}, VERSION)


def origin_of_replay(settings: PodSettings, start: wire.Start, run_id: str, begin: int | None) -> RunOrigin:
    """Of a run over a Replay's stream, by what that said at its start, and where it went on from."""
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


def _check(columns: Columns) -> int:
    check = 0
    for values in (columns.event, columns.open, columns.high, columns.low, columns.close, columns.volume):
        check = zlib.crc32(values.tobytes(), check)
    return check
