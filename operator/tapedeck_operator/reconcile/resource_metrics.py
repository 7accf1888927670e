"""Prometheus metrics of the resources, from their statuses: a short Job's own metrics may never be scraped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tapedeck_crds.base import time_ms
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import KINDS

LABELS = ("kind", "namespace", "name")
Family: TypeAlias = CounterMetricFamily | GaugeMetricFamily
# The fields of the status whose sum is the number of rows.
_TAKEN = {"Feed": ("bars", "trades", "tickers"), "Replay": ("published",), "Backtest": ("bars",)}


class _Number(NamedTuple):
    """A metric that is one number of a resource; ``read`` returns None where it is not known."""

    name: str
    about: str
    kinds: tuple[str, ...]
    read: Callable[[Json], float | None]

    def family(self) -> Family:
        """The metric without samples."""
        family = CounterMetricFamily if self.name.endswith("_total") else GaugeMetricFamily
        return family(f"tapedeck_resource_{self.name}", self.about, labels=LABELS)


def _field(name: str, factor: float = 1.0) -> Callable[[Json], float | None]:
    """A number of the status."""

    def read(document: Json) -> float | None:
        value = _status(document).get(name)
        return value * factor if isinstance(value, (int, float)) else None

    return read


def _time(*path: str) -> Callable[[Json], float | None]:
    """A time of the document as seconds since 1970."""

    def read(document: Json) -> float | None:
        value: object = document
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        try:
            return time_ms(value) / 1000 if isinstance(value, str) else None
        except ValueError:
            return None

    return read


def _progress(document: Json) -> tuple[float, float] | None:
    """The two numbers of ``status.progress``; None where one is not known."""
    done, _, whole = str(_status(document).get("progress") or "").partition("/")
    return (float(done), float(whole)) if done.isdigit() and whole.isdigit() else None


def _progress_ratio(document: Json) -> float | None:
    progress = _progress(document)
    return min(progress[0] / progress[1], 1.0) if progress is not None and progress[1] else None


def _trials(part: int) -> Callable[[Json], float | None]:
    """Completed trials (part 0) or all (part 1) of a Backtest with a sweep."""

    def read(document: Json) -> float | None:
        progress = _progress(document) if (document.get("spec") or {}).get("sweep") else None
        return None if progress is None else progress[part]

    return read


_ALL = tuple(KINDS)
_NUMBERS = (
    _Number(
        "creation_timestamp_seconds", "When the resource was created.", _ALL, _time("metadata", "creationTimestamp")
    ),
    _Number("start_timestamp_seconds", "When the first pod was at work.", _ALL, _time("status", "startedAt")),
    _Number("finish_timestamp_seconds", "When the run ended.", _ALL, _time("status", "finishedAt")),
    _Number("progress_ratio", "Progress of a run, 1 at its end.", _ALL, _progress_ratio),
    _Number("duplicates_total", "Duplicate rows, which a Feed dropped.", ("Feed",), _field("duplicates")),
    _Number("late_trades_total", "Trades received after the close of their bar.", ("Feed",), _field("late")),
    _Number("missing_trades_total", "Trades that are missing by their ids.", ("Feed",), _field("missing")),
    _Number("gaps_total", "Gaps that the missing trades make.", ("Feed",), _field("gaps")),
    _Number("reconnects_total", "Reconnects after a lost connection.", ("Feed",), _field("reconnects")),
    _Number("position_timestamp_seconds", "Virtual time reached.", ("Replay",), _time("status", "position")),
    _Number("closed_trades_total", "Closed trades.", ("Backtest",), _field("trades")),
    _Number("account_value", "Value of the account, in the quote currency.", ("Backtest",), _field("value")),
    _Number("return_ratio", "Total return.", ("Backtest",), _field("returnPercent", 0.01)),
    _Number(
        "max_drawdown_ratio", "Largest drawdown from a peak.", ("Backtest",), _field("maxDrawdownPercent", 0.01)
    ),
    _Number("trials_total", "Completed trials of a sweep.", ("Backtest",), _trials(0)),
    _Number("expected_trials", "Trials of a sweep.", ("Backtest",), _trials(1)),
    _Number(
        "failed_trials_total", "Trials of a sweep whose strategy failed, at its end.", ("Backtest",),
        _field("failedTrials"),
    ),
)  # fmt: skip


class ResourceMetrics(Collector):
    """``tapedeck_resource_*``; ``documents`` returns the resources of a kind."""

    def __init__(self, documents: Callable[[str], list[Json]]) -> None:
        self._documents = documents

    def collect(self) -> Iterator[Metric]:
        """The state of each resource, and its numbers."""
        documents = {kind: list(self._documents(kind)) for kind in KINDS}
        phase, condition, info, rows = _state_families()
        for kind, of_kind in documents.items():
            for document in of_kind:
                labels, status = _labels(kind, document), _status(document)
                phase.add_metric([*labels, status.get("phase") or "Pending"], 1)
                info.add_metric([*labels, document["metadata"].get("uid", "")], 1)
                for each in status.get("conditions") or ():
                    condition.add_metric([*labels, each["type"], each["status"].lower(), each["reason"]], 1)
                rows.add_metric([*labels, "taken"], sum(status.get(field) or 0 for field in _TAKEN[kind]))
                if kind == "Feed":
                    rows.add_metric([*labels, "refused"], status.get("refusedRows") or 0)
        yield from (phase, condition, info, rows)
        for number in _NUMBERS:
            family = number.family()
            for kind in number.kinds:
                for document in documents[kind]:
                    if (value := number.read(document)) is not None:
                        family.add_metric(_labels(kind, document), value)
            yield family


def _state_families() -> tuple[GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily, CounterMetricFamily]:
    return (
        GaugeMetricFamily(
            "tapedeck_resource_phase", "1 for the phase that a resource is in.", labels=(*LABELS, "phase")
        ),
        GaugeMetricFamily(
            "tapedeck_resource_condition",
            "1 for the present status of a condition, with its reason.",
            labels=(*LABELS, "condition", "status", "reason"),
        ),
        GaugeMetricFamily("tapedeck_resource_info", "1, with the uid of the resource.", labels=(*LABELS, "uid")),
        CounterMetricFamily(
            "tapedeck_resource_rows_total",
            "Rows taken and refused: a Feed's records, a Replay's bars or trades, the bars of a Backtest.",
            labels=(*LABELS, "result"),
        ),
    )


def _labels(kind: str, document: Json) -> list[str]:
    return [kind, document["metadata"]["namespace"], document["metadata"]["name"]]


def _status(document: Json) -> Json:
    status: Json = document.get("status") or {}
    return status
