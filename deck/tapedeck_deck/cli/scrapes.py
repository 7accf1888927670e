"""The metrics of a pod at two moments, and what happened between them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeAlias

LabelSet: TypeAlias = frozenset[tuple[str, str]]
TIMEOUT_SECONDS = 2.0
THREADS = 16
INFINITY = "+Inf"


@dataclass(frozen=True)
class Scrape:
    """The samples of a pod by name and labels; ``at`` is monotonic seconds."""

    at: float
    samples: Mapping[str, Mapping[LabelSet, float]] = field(default_factory=dict)

    def value(self, name: str, **labels: str) -> float | None:
        """The sum of the samples with these labels; None without one."""
        found = [
            number for having, number in self.samples.get(name, {}).items() if labels.items() <= dict(having).items()
        ]
        return sum(found) if found else None

    def by(self, name: str, label: str) -> dict[str, float]:
        """The samples by one label."""
        found: dict[str, float] = defaultdict(float)
        for labels, number in self.samples.get(name, {}).items():
            found[dict(labels).get(label, "")] += number
        return dict(found)


@dataclass(frozen=True)
class ScrapeChange:
    """Two scrapes of one pod, the earlier one None before there are two."""

    before: Scrape | None
    after: Scrape

    @property
    def seconds(self) -> float:
        """The time between them."""
        return 0.0 if self.before is None else self.after.at - self.before.at

    def rate(self, name: str, **labels: str) -> float | None:
        """The increase of a counter a second; None where it is not known."""
        now = self.after.value(name, **labels)
        earlier = None if self.before is None else self.before.value(name, **labels)
        if now is None or earlier is None or self.seconds <= 0:
            return None
        return max(now - earlier, 0.0) / self.seconds

    def quantile(self, name: str, share: float) -> float | None:
        """The upper bound of the bucket that holds this share of a histogram's observations between the scrapes.

        None where there were none; infinite beyond the last bound.
        """
        counts = self.after.by(f"{name}_bucket", "le")
        earlier = {} if self.before is None else self.before.by(f"{name}_bucket", "le")
        bounds = sorted(counts, key=lambda bound: math.inf if bound == INFINITY else float(bound))
        observed = {bound: counts[bound] - earlier.get(bound, 0.0) for bound in bounds}
        total = observed.get(INFINITY, 0.0)
        if total <= 0:
            return None
        bound = next(each for each in bounds if observed[each] >= share * total)
        return math.inf if bound == INFINITY else float(bound)


def parse(text: str, at: float) -> Scrape:
    """The samples in an answer of /metrics."""
    from prometheus_client.parser import text_string_to_metric_families

    samples: dict[str, dict[LabelSet, float]] = defaultdict(dict)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples[sample.name][frozenset(sample.labels.items())] = sample.value
    return Scrape(at, samples)


def scrape_all(urls: Mapping[str, str]) -> dict[str, Scrape]:
    """The metrics of pods by uid, of those that answer."""
    if not urls:
        return {}
    import time

    import httpx

    def scrape(url: str) -> Scrape | None:
        try:
            answer = client.get(f"{url}/metrics").raise_for_status()
        except httpx.HTTPError:
            return None
        return parse(answer.text, time.monotonic())

    with httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False) as client, ThreadPoolExecutor(THREADS) as threads:
        answers = dict(zip(urls, threads.map(scrape, urls.values()), strict=True))
    return {uid: answer for uid, answer in answers.items() if answer is not None}
