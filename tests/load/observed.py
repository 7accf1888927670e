"""What the deck's own Prometheus has seen of the load."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

import httpx

from load.plots import Line
from tapedeck_crds.json import Json

STEP_SECONDS = 5
TIMEOUT = 60.0


@dataclass(frozen=True)
class Observed:
    """Asks one Prometheus for the time from ``begin`` to ``end``, both in seconds since 1970."""

    url: str
    begin: float
    end: float

    def lines(self, expression: str, label: str) -> dict[str, Line]:
        """The series of an expression by the value of a label; times are seconds from the begin."""
        query = {"query": expression, "start": str(self.begin), "end": str(self.end), "step": str(STEP_SECONDS)}
        return {
            series["metric"].get(label, ""): [(float(at) - self.begin, float(value)) for at, value in series["values"]]
            for series in self._ask("query_range", query)
        }

    def alerts(self) -> set[str]:
        """The alerts that fired at any moment of that time."""
        window = f"{int(self.end - self.begin)}s"
        query = f'count by (alertname) (max_over_time(ALERTS{{alertstate="firing"}}[{window}]))'
        return {series["metric"]["alertname"] for series in self._ask("query", {"query": query, "time": str(self.end)})}

    def _ask(self, what: str, parameters: dict[str, str]) -> list[Json]:
        answer = httpx.get(f"{self.url}api/v1/{what}", params=parameters, timeout=TIMEOUT, trust_env=False).json()
        if answer["status"] != "success":
            raise RuntimeError(f"{parameters['query']}: {answer['error']}")
        found: list[Json] = answer["data"]["result"]
        return found


def growth(line: Line) -> float:
    """The median of the last fifth less that of the second fifth; 0 of a line too short to tell."""
    values = [value for _, value in line]
    fifth = len(values) // 5
    if fifth == 0:
        return 0.0
    return statistics.median(values[-fifth:]) - statistics.median(values[fifth : 2 * fifth])
