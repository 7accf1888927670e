"""Overview: alerts, the state of every resource, of services and storage, and the way to the other dashboards."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.board import board, row
from dashboards.panels import REACHED, alerts, kept, lines, rows, value
from dashboards.queries import JOBS, OF_TAPEDECK, promql, promql_now, sql
from dashboards.variables import metrics_variables, store_variable

_CLAIMS = 'namespace=~"$namespace", persistentvolumeclaim=~".*(redpanda|timescaledb).*"'
# Containers of the chart's own broker and database. The kubelet tells their memory; the database has no metric of it.
_CONTAINERS = 'namespace=~"$namespace", pod=~".*(redpanda|timescaledb).*", container!="", container!="POD"'
_STREAMS = {"Feed": "feed", "Replay": "replay"}
_STORED = """
SELECT (SELECT count(*) FROM bar_series) AS series, (SELECT max(last_ts) FROM bar_series) AS last_bar,
       (SELECT count(*) FROM runs) AS runs, (SELECT count(*) FROM gaps WHERE state = 'open') AS open_gaps,
       (SELECT count(*) FROM ingest_errors WHERE at > now() - interval '1 day') AS errors_of_the_day,
       pg_database_size(current_database()) AS bytes
"""
_STREAM = (
    "/d/tapedeck-${__data.fields.board}?var-namespace=${__data.fields.namespace}&var-name=${__data.fields.name}"
    "&${__url_time_range}" + kept("datasource", "store")
)
# Without a range: a run is at the time of its bars, which metrics do not tell.
_RUN = (
    "/d/tapedeck-${__data.fields.board}?var-namespace=${__data.fields.namespace}&var-run=${__data.fields.uid}"
    + kept("datasource", "store")
)


def _phases(kind: str) -> str:
    return f'max by (kind, namespace, name, phase) (tapedeck_resource_phase{{@, kind="{kind}"}})'


def _board(expression: str, board_name: str) -> str:
    return f'label_replace({expression}, "board", "{board_name}", "kind", ".+")'


def _streams() -> str:
    """The phase of each Feed and Replay, with the name of its dashboard as a label."""
    return " or ".join(_board(_phases(kind), board_name) for kind, board_name in _STREAMS.items())


def _backtests() -> str:
    """The phase of each Backtest, with the name of its dashboard, and its uid, which is the id of its run."""
    uids = 'max by (kind, namespace, name, uid) (tapedeck_resource_info{@, kind="Backtest"})'
    one_uid = f"topk by (kind, namespace, name) (1, {uids})"  # a resource that was created again has two for a moment
    runs = f"({_phases('Backtest')} * on (kind, namespace, name) group_left (uid) {one_uid})"
    sweeps = "on (kind, namespace, name) tapedeck_resource_expected_trials{@}"
    return f"{_board(f'{runs} and {sweeps}', 'sweep')} or {_board(f'{runs} unless {sweeps}', 'backtest')}"


def _rate(metric: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}{{@}}[$__rate_interval]))"


def build() -> Dashboard:
    """The dashboard."""
    return board(
        "overview",
        "overview",
        "Whether everything works: alerts, resources by phase, services, storage.",
        [*metrics_variables("tapedeck_build_info"), store_variable()],
        [
            row(
                10,
                alerts("Alerts", "Alerts of Tapedeck that fire or are about to. Each has a runbook."),
                rows(
                    "Feeds and Replays",
                    "Each with its phase, as the operator last saw it.",
                    promql_now(_streams()),
                    links={"name": ("Open its dashboard", _STREAM)},
                    hidden=("Time", "Value", "board"),
                ),
                rows(
                    "Backtests",
                    "Each with its phase, as the operator last saw it. The link opens the run or the sweep; the first "
                    "row of the table of runs has a link to the time of its bars.",
                    promql_now(_backtests()),
                    links={"name": ("Open its dashboard", _RUN)},
                    hidden=("Time", "Value", "kind", "uid", "board"),
                ),
                widths=(8, 8, 8),
            ),
            row(
                4,
                value(
                    "Targets down",
                    "Pods that Prometheus does not reach.",
                    "short",
                    promql(
                        f'count(up{{@, job=~"{JOBS}"}} == 0 and on (namespace) '
                        "last_over_time(tapedeck_build_info{@}[1d])) or vector(0)"
                    ),
                    steps=((1, "red"),),
                ),
                value(
                    "Database",
                    "Whether the gateway reaches it.",
                    "short",
                    promql('min(tapedeck_gateway_dependency_up{@, dependency="database"}) or vector(-1)'),
                    low=1,
                    texts=REACHED,
                ),
                value(
                    "Broker",
                    "Whether the gateway reaches it.",
                    "short",
                    promql('min(tapedeck_gateway_dependency_up{@, dependency="broker"}) or vector(-1)'),
                    low=1,
                    texts=REACHED,
                ),
                value(
                    "Recorder lag",
                    "Age of the oldest record that is not stored yet.",
                    "s",
                    promql("max(tapedeck_recorder_lag_seconds{@})"),
                    steps=((10, "yellow"), (60, "red")),
                ),
                value("Open sockets", "WebSockets of clients.", "short", promql("sum(tapedeck_gateway_sockets{@})")),
                value(
                    "Failed resources",
                    "In the phase Failed.",
                    "short",
                    promql(
                        'count(max by (kind, namespace, name) (tapedeck_resource_phase{@, phase="Failed"})) '
                        "or vector(0)"
                    ),
                    steps=((1, "yellow"),),
                ),
            ),
            row(
                8,
                lines(
                    "Records",
                    "Of Feeds and Replays, and rows that the recorder writes.",
                    "ops",
                    promql(_rate("tapedeck_feed_records_total", "job"), "Feeds"),
                    promql(_rate("tapedeck_replay_records_total", "job"), "Replays"),
                    promql(_rate("tapedeck_recorder_rows_total", "job"), "recorded rows"),
                ),
                lines(
                    "Resources by phase",
                    "Of all kinds.",
                    "short",
                    promql(
                        "sum by (kind, phase) (max by (kind, namespace, name, phase) (tapedeck_resource_phase{@}))",
                        "{{kind}} {{phase}}",
                    ),
                    stacked=True,
                ),
            ),
            row(
                8,
                lines(
                    "Gateway: requests",
                    "By status code; and requests that were not valid HTTP.",
                    "reqps",
                    promql(_rate("tapedeck_gateway_requests_total", "code"), "{{code}}"),
                    promql(_rate("tapedeck_gateway_invalid_requests_total", "code"), "invalid {{code}}"),
                ),
                lines(
                    "Gateway: duration",
                    "99th percentile of requests by route, and of the time from a change to its push to "
                    "all subscribers.",
                    "s",
                    promql(
                        f"histogram_quantile(0.99, {_rate('tapedeck_gateway_request_seconds_bucket', 'route, le')})",
                        "{{route}}",
                    ),
                    promql(
                        f"histogram_quantile(0.99, {_rate('tapedeck_gateway_fanout_seconds_bucket', 'le')})", "fan-out"
                    ),
                ),
                lines(
                    "Gateway: connections",
                    "Connections, WebSockets and channels that are open; those refused or ended, and messages that "
                    "slow clients did not get, in an hour.",
                    "short",
                    promql("sum(tapedeck_gateway_connections{@})", "connections"),
                    promql("sum(tapedeck_gateway_sockets{@})", "WebSockets"),
                    promql("sum(tapedeck_gateway_channels{@})", "channels"),
                    promql("sum(increase(tapedeck_gateway_refused_sockets_total{@}[1h]))", "refused WebSockets"),
                    promql("sum(increase(tapedeck_gateway_slow_sockets_total{@}[1h]))", "slow WebSockets"),
                    promql("sum(increase(tapedeck_gateway_dropped_connections_total{@}[1h]))", "ended connections"),
                    promql("sum(increase(tapedeck_gateway_dropped_messages_total{@}[1h]))", "dropped messages"),
                ),
            ),
            row(
                8,
                lines(
                    "Volumes",
                    "Share that is free, of the database's and the broker's claims.",
                    "percentunit",
                    promql(
                        f"min by (persistentvolumeclaim) (kubelet_volume_stats_available_bytes{{{_CLAIMS}}} "
                        f"/ kubelet_volume_stats_capacity_bytes{{{_CLAIMS}}})",
                        "{{persistentvolumeclaim}}",
                    ),
                ),
                lines(
                    "Memory",
                    "Resident memory of each pod; of broker and database what the kubelet counts for their containers.",
                    "bytes",
                    promql(
                        f"sum by (job, namespace, pod) (process_resident_memory_bytes{{@}} {OF_TAPEDECK})",
                        "{{namespace}}/{{pod}}",
                    ),
                    promql(
                        f"sum by (namespace, pod) (max by (namespace, pod, container) "
                        f"(container_memory_working_set_bytes{{{_CONTAINERS}}})) "
                        "and on (namespace) tapedeck_build_info{@}",
                        "{{namespace}}/{{pod}}",
                    ),
                ),
                lines(
                    "CPU",
                    "Cores that each pod uses.",
                    "short",
                    promql(
                        "sum by (job, namespace, pod) "
                        f"(rate(process_cpu_seconds_total{{@}}[$__rate_interval]) {OF_TAPEDECK})",
                        "{{namespace}}/{{pod}}",
                    ),
                ),
            ),
            row(4, rows("Store", "What is stored.", sql(_STORED), units={"bytes": "bytes"})),
        ],
        logs=True,
    )
