"""What a run's analyzers and observers result in, as JSON for the store."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from tapedeck_backtest.report.equity_curve import kept_steps
from tapedeck_backtest.text import storable
from tapedeck_common.records import RunAnalyses
from tapedeck_common.store.bars import Floats, Ints

POINTS_MAX = 1_000  # of an observer's line
BYTES_MAX = 512 * 1024  # of all results: the broker accepts messages of up to 1 MiB


def analyses_of(
    strategy: Any, observers: list[type[Any]], analyzers: list[type[Any]], events: Sequence[int]
) -> tuple[RunAnalyses, list[str]]:
    """The results of these classes after a run, and a note for each left out.

    ``events`` are the event times (ms UTC) of the measured steps, which follow those of the warm-up history.
    """
    found = {
        "observers": _observed(strategy, observers, np.array(events, dtype=np.int64)),
        "analyzers": _analyzed(strategy, analyzers),
    }
    kept: dict[str, dict[str, Any]] = {"observers": {}, "analyzers": {}}
    notes, left = [], BYTES_MAX
    for field, results in found.items():
        for name, result in results.items():
            size = len(msgspec.json.encode(result))
            if size > left:
                notes.append(f"{field}: {name} is not kept: got {size:,} bytes of results, {left:,} are left for it")
            else:
                kept[field][name] = result
                left -= size
    return RunAnalyses(**kept), notes


def _analyzed(strategy: Any, analyzers: list[type[Any]]) -> dict[str, Any]:
    by_class = {type(each): each for each in strategy.analyzers}
    return {cls.__name__: plain(by_class[cls].get_analysis()) for cls in analyzers}


def _observed(strategy: Any, observers: list[type[Any]], events: Ints) -> dict[str, Any]:
    """Of each observer its lines; of one for each feed, by feed."""
    result: dict[str, Any] = {}
    for cls in observers:
        found = getattr(strategy.stats, cls.__name__.lower())
        if isinstance(found, list):
            result[cls.__name__] = {each.data._name: _lines(strategy, each, events) for each in found}
        else:
            result[cls.__name__] = _lines(strategy, found, events)
    return result


def _lines(strategy: Any, observer: Any, events: Ints) -> dict[str, Any]:
    """An observer has a value for each step of the strategy, or for each bar of its feed."""
    count, times = len(observer), events
    if count != len(strategy):
        times = np.asarray(observer.data.events)[:count]
        times = times[times >= events[:1]]
    return {
        alias: _points(times, np.array(line.array[:count])[count - len(times) :])
        for alias, line in zip(observer.getlinealiases(), observer.lines, strict=False)
    }


def _points(times: Ints, values: Floats) -> list[list[float]]:
    """[time (ms UTC), value] where there is one: all, or of each stretch the lowest, the highest and the last."""
    valid = np.isfinite(values)
    times, values = times[valid], values[valid]
    every = 1 if len(values) <= POINTS_MAX else -(-len(values) * 3 // POINTS_MAX)
    kept = kept_steps(0, every, [values])
    return [[int(ts), value] for ts, value in zip(times[kept].tolist(), values[kept].tolist(), strict=True)]


def plain(value: Any) -> Any:
    """As JSON can have it: times as text, NaN and infinity as null, other objects by their text."""
    match value:
        case Mapping():
            return {_key(key): plain(each) for key, each in value.items()}
        case bool() | int() | None:
            return value
        case float():
            return value if math.isfinite(value) else None
        case np.generic():
            return plain(value.item())
        case datetime.date():
            return value.isoformat()
        case list() | tuple() | set() | np.ndarray():
            return [plain(each) for each in value]
    return storable(str(value))


def _key(key: Any) -> str:
    return key.isoformat() if isinstance(key, datetime.date) else storable(str(key))
