"""What is unhealthy in Feeds and Replays by the metrics of their pods, for `tapedeck status`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from tapedeck_crds.json import Json
from tapedeck_deck.cli import thresholds
from tapedeck_deck.cli.health import Finding
from tapedeck_deck.cli.kinds import label
from tapedeck_deck.cli.scrapes import Scrape, ScrapeChange

LATENESS = "tapedeck_replay_lateness_seconds"
MISSED_PROBES = 1  # a trade may be on its way


@dataclass(frozen=True)
class RunningPod:
    """A pod of a resource at two looks; ``up_seconds`` tells since when it exists."""

    document: Json
    up_seconds: float
    change: ScrapeChange


def is_playing(scrape: Scrape) -> bool:
    """Whether this is a pod of a Replay whose time shall advance."""
    return bool(scrape.value("tapedeck_replay_playing"))


def of_replays(pods: Iterable[RunningPod]) -> list[Finding]:
    """Replays that cannot keep their speed, or stand still although they play."""
    found = []
    for pod in pods:
        if not is_playing(pod.change.after):
            continue
        late = pod.change.quantile(LATENESS, 0.99)
        if late is not None and late > thresholds.REPLAY_LATENESS_SECONDS:
            problem = f"it publishes records {_seconds(late)} late (99th percentile of the last second)"
            found.append(Finding(label(pod.document), problem, "lower its speed, or give it more shards"))
        if _is_stalled(pod):
            do = (
                f"read `tapedeck logs {label(pod.document)}{_where(pod.document)}`; it waits for the broker or its data"
            )
            found.append(Finding(label(pod.document), "it plays, and its position stands still", do))
    return found


def of_feeds(pods: Iterable[RunningPod], now: float, gaps_open: Collection[str]) -> list[Finding]:
    """Feeds that get nothing, have no connection, or lack records.

    ``now`` is Unix time in seconds; ``gaps_open`` are the exchanges with gaps that have been open for long.
    """
    found = []
    for pod in pods:
        name, scrape = label(pod.document), pod.change.after
        read_log = f"`tapedeck logs {name}{_where(pod.document)}`"
        for channel, seconds in _silent(scrape, now).items():
            problem = f"it gets no {channel} since {seconds:.0f} s, although its exchange has some"
            found.append(Finding(name, problem, f"read {read_log}; `tapedeck delete` and `apply` connect it again"))
        lost = _lost_subscriptions(scrape)
        if lost and max(_silence(scrape, now).values(), default=0.0) > thresholds.FEED_DISCONNECTED_SECONDS:
            problem = f"{lost:.0f} subscriptions are not connected"
            found.append(Finding(name, problem, f"it connects again by itself; {read_log} has the reason"))
        symbols = scrape.value("tapedeck_feed_open_gaps") or 0.0
        if symbols and pod.document["spec"].get("exchange") in gaps_open:
            problem = (
                f"{symbols:.0f} symbols have gaps that are open for over {thresholds.GAPS_OPEN_SECONDS / 60:.0f} min"
            )
            do = f"`tapedeck gaps {name} --state open` lists them, {read_log} says why they are not filled"
            found.append(Finding(name, problem, do))
    return found


def has_open_gaps(pods: Iterable[RunningPod]) -> bool:
    """Whether a Feed is about to fill gaps."""
    return any(pod.change.after.value("tapedeck_feed_open_gaps") for pod in pods)


def _is_stalled(pod: RunningPod) -> bool:
    """Whether a Replay has said no position for a heartbeat, at two looks, and not because it has just begun."""
    position = "tapedeck_replay_position_timestamp_seconds"
    before, after = pod.change.before, pod.change.after
    if before is None or pod.up_seconds < thresholds.REPLAY_STALLED_SECONDS:
        return False
    stands = all(each.value("tapedeck_replay_measured_speed_ratio") == 0 for each in (before, after))
    return stands and before.value(position) == after.value(position)


def _silence(scrape: Scrape, now: float) -> dict[str, float]:
    """Seconds since the last message, by channel."""
    last = scrape.by("tapedeck_feed_last_message_timestamp_seconds", "channel")
    return {channel: now - at for channel, at in sorted(last.items())}


def _silent(scrape: Scrape, now: float) -> dict[str, float]:
    """Of these the channels that are silent while their exchange has records."""
    missed = scrape.by("tapedeck_feed_missed_probes", "channel")
    return {
        channel: seconds
        for channel, seconds in _silence(scrape, now).items()
        if seconds > thresholds.FEED_SILENT_SECONDS and missed.get(channel, 0.0) > MISSED_PROBES
    }


def _lost_subscriptions(scrape: Scrape) -> float:
    states = scrape.by("tapedeck_feed_subscriptions", "state")
    return states.get("down", 0.0) + states.get("connecting", 0.0)


def _where(document: Json) -> str:
    namespace = document["metadata"].get("namespace", "default")
    return "" if namespace == "default" else f" -n {namespace}"


def _seconds(number: float) -> str:
    return "over an hour" if number == float("inf") else f"{number:g} s"
