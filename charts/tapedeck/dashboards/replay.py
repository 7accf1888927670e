"""Replay: position, speed and lateness of each Replay, and the transactions that its records are committed in."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.board import board, row
from dashboards.panels import lines, value
from dashboards.queries import of_job, promql
from dashboards.variables import metrics_variables, name_variable

_OF = '{@, name=~"$name"}'
_TRANSFORMS = f"{{{of_job('transform')}}}"
_BY = "namespace, name, shard"
_LEGEND = "{{namespace}}/{{name}} {{shard}}"


def _rate(metric: str, by: str = _BY, more: str = "") -> str:
    selected = _OF.replace("}", f"{more}}}")
    return f"sum by ({by}) (rate({metric}{selected}[$__rate_interval]))"


def _quantile(share: float, metric: str, by: str = "namespace, name") -> str:
    return f"histogram_quantile({share}, {_rate(metric + '_bucket', by + ', le')})"


def build() -> Dashboard:
    """The dashboard."""
    return board(
        "replay",
        "replay",
        "Position, speed and lateness of each Replay.",
        [
            *metrics_variables("tapedeck_replay_wanted_speed_ratio"),
            name_variable("tapedeck_replay_wanted_speed_ratio"),
        ],
        [
            row(
                4,
                value(
                    "Playing",
                    "Pods whose virtual time advances.",
                    "short",
                    promql(f"sum(tapedeck_replay_playing{_OF}) or vector(0)"),
                ),
                value(
                    "Held",
                    "Pods that are paused or have reached their end.",
                    "short",
                    promql(f"count(tapedeck_replay_playing{_OF} == 0) or vector(0)"),
                ),
                value(
                    "Records now",
                    "Committed bars and trades.",
                    "ops",
                    promql(_rate("tapedeck_replay_records_total", "job")),
                ),
                value(
                    "Lateness, p99",
                    "From the scheduled time of a record until it is passed to the producer.",
                    "s",
                    promql(_quantile(0.99, "tapedeck_replay_lateness_seconds", "job")),
                    steps=((0.1, "yellow"), (1, "red")),
                ),
            ),
            row(
                9,
                lines(
                    "Position",
                    "Virtual time that is committed.",
                    "dateTimeAsIso",
                    promql(f"tapedeck_replay_position_timestamp_seconds{_OF} * 1000", _LEGEND),
                ),
                lines(
                    "Speed",
                    "Virtual seconds a second: what the controls ask for (0 while paused; unpaced ones ask for no "
                    "speed), and what is committed.",
                    "none",
                    promql(f"tapedeck_replay_wanted_speed_ratio{_OF} < Inf", f"wanted {_LEGEND}"),
                    promql(f"tapedeck_replay_measured_speed_ratio{_OF}", f"measured {_LEGEND}"),
                ),
            ),
            row(
                9,
                lines(
                    "Records",
                    "Committed bars or trades, of all epochs.",
                    "ops",
                    promql(_rate("tapedeck_replay_records_total"), _LEGEND),
                ),
                lines(
                    "Lateness",
                    "From the scheduled time of a record until it is passed to the producer, commits included.",
                    "s",
                    promql(_quantile(0.5, "tapedeck_replay_lateness_seconds"), "p50 {{namespace}}/{{name}}"),
                    promql(_quantile(0.99, "tapedeck_replay_lateness_seconds"), "p99 {{namespace}}/{{name}}"),
                ),
            ),
            row(
                8,
                lines(
                    "Transactions",
                    "That ended, by result. The records of an aborted one are published again.",
                    "ops",
                    promql(
                        _rate("tapedeck_replay_transactions_total", "namespace, name, result"),
                        "{{result}} {{namespace}}/{{name}}",
                    ),
                ),
                lines(
                    "Commit duration",
                    "From the start of a commit to its success.",
                    "s",
                    promql(_quantile(0.5, "tapedeck_replay_commit_seconds"), "p50 {{namespace}}/{{name}}"),
                    promql(_quantile(0.99, "tapedeck_replay_commit_seconds"), "p99 {{namespace}}/{{name}}"),
                ),
            ),
            row(
                8,
                lines(
                    "Progress",
                    "Of Replays with an end, as the operator last saw it. Those that were never scraped are here, too.",
                    "percentunit",
                    promql(
                        f"max by (namespace, name) (tapedeck_resource_progress_ratio{{{of_job('operator')}, "
                        'kind="Replay", name=~"$name"})',
                        "{{namespace}}/{{name}}",
                    ),
                ),
                lines(
                    "Epochs",
                    "Seeks and loops.",
                    "short",
                    promql(
                        "sum by (namespace, name, reason) "
                        f"(increase(tapedeck_replay_epochs_total{_OF}[$__rate_interval]))",
                        "{{reason}} {{namespace}}/{{name}}",
                    ),
                ),
            ),
            row(
                8,
                lines(
                    "Transforms",
                    "Points that the transforms of Replays and Feeds publish, and records whose result failed.",
                    "ops",
                    promql(
                        f"sum by (namespace, name, transform) (rate(tapedeck_transform_points_total{_TRANSFORMS}"
                        "[$__rate_interval]))",
                        "{{transform}} {{namespace}}/{{name}}",
                    ),
                    promql(
                        f"sum by (namespace, name, transform) (rate(tapedeck_transform_errors_total{_TRANSFORMS}"
                        "[$__rate_interval]))",
                        "failed {{transform}} {{namespace}}/{{name}}",
                    ),
                ),
                lines(
                    "Transforms: records",
                    "Records of the log that transforms process.",
                    "ops",
                    promql(
                        f"sum by (namespace, name) (rate(tapedeck_transform_records_total{_TRANSFORMS}"
                        "[$__rate_interval]))",
                        "{{namespace}}/{{name}}",
                    ),
                ),
                lines(
                    "Transforms: delay",
                    "Of live Feeds: how far the time up to which all records are processed is behind the wall clock.",
                    "s",
                    promql(
                        "time() - max by (namespace, name) "
                        f'(tapedeck_transform_caught_up_timestamp_seconds{{{of_job("transform")}, kind="Feed"}})',
                        "{{namespace}}/{{name}}",
                    ),
                ),
            ),
        ],
        period=("now-30m", "now"),
        logs=True,
    )
