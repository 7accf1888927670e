"""Overview: alerts, the state of every resource, of services and storage, and the way to the other dashboards."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.board import board, row
from dashboards.panels import alerts, lines, rows, value
from dashboards.queries import JOBS, OF_TAPEDECK, promql, promql_now, sql
from dashboards.variables import metrics_variables, store_variable

_CLAIMS = 'namespace=~"$namespace", persistentvolumeclaim=~".*(redpanda|timescaledb).*"'
# The dashboard of each kind, its variable, and the label that has the variable's value: the uid is the id of a run.
_BOARDS = {
    "Feed": ("feed", "name", "name"), "Replay": ("replay", "name", "name"), "Backtest": ("backtest", "run", "uid")
}  # fmt: skip
_STORED = """
SELECT (SELECT count(*) FROM bar_series) AS series, (SELECT max(last_ts) FROM bar_series) AS last_bar,
       (SELECT count(*) FROM runs) AS runs, (SELECT count(*) FROM gaps WHERE state = 'open') AS open_gaps,
       (SELECT count(*) FROM ingest_errors WHERE at > now() - interval '1 day') AS errors_of_the_day,
       pg_database_size(current_database()) AS bytes
"""


def _resources() -> str:
    """The phase of each resource, with its dashboard, the variable that chooses it there, and its value as labels."""
    return " or ".join(_resources_of(kind, *board_of_kind) for kind, board_of_kind in _BOARDS.items())


def _resources_of(kind: str, board_name: str, variable: str, label: str) -> str:
    of_resource = f'max by (kind, namespace, name, %s) (%s{{kind="{kind}", namespace=~"$namespace"}})'
    phases = of_resource % ("phase", "tapedeck_resource_phase")
    uids = of_resource % ("uid", "tapedeck_resource_info")
    one_uid = f"topk by (kind, namespace, name) (1, {uids})"  # a resource that was created again has two for a moment
    expression = f"{phases} * on (kind, namespace, name) group_left (uid) {one_uid}"
    expression = f'label_replace({expression}, "board", "{board_name}", "kind", ".+")'
    expression = f'label_replace({expression}, "variable", "{variable}", "kind", ".+")'
    return f'label_replace({expression}, "chosen", "$1", "{label}", "(.+)")'


def _rate(metric: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}[$__rate_interval]))"


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
                    "Resources",
                    "Each Feed, Replay and Backtest with its phase, as the operator last saw it.",
                    promql_now(_resources()),
                    links={
                        "name": (
                            "Open its dashboard",
                            "/d/tapedeck-${__data.fields.board}?var-namespace=${__data.fields.namespace}"
                            "&var-${__data.fields.variable}=${__data.fields.chosen}&${__url_time_range}",
                        )
                    },
                    hidden=("Time", "Value", "uid", "board", "variable", "chosen"),
                ),
                widths=(10, 14),
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
                    "1 if the gateway reaches it.",
                    "short",
                    promql('min(tapedeck_gateway_dependency_up{dependency="database"})'),
                ),
                value(
                    "Broker",
                    "1 if the gateway reaches it.",
                    "short",
                    promql('min(tapedeck_gateway_dependency_up{dependency="broker"})'),
                ),
                value(
                    "Recorder lag",
                    "Age of the oldest record that is not stored yet.",
                    "s",
                    promql("max(tapedeck_recorder_lag_seconds)"),
                    steps=((10, "yellow"), (60, "red")),
                ),
                value("Open sockets", "WebSockets of clients.", "short", promql("sum(tapedeck_gateway_sockets)")),
                value(
                    "Failed resources",
                    "In the phase Failed.",
                    "short",
                    promql(
                        'count(max by (kind, namespace, name) (tapedeck_resource_phase{phase="Failed", '
                        'namespace=~"$namespace"})) or vector(0)'
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
                        "sum by (kind, phase) (max by (kind, namespace, name, phase) "
                        '(tapedeck_resource_phase{namespace=~"$namespace"}))',
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
                    promql("sum(tapedeck_gateway_connections)", "connections"),
                    promql("sum(tapedeck_gateway_sockets)", "WebSockets"),
                    promql("sum(tapedeck_gateway_channels)", "channels"),
                    promql("sum(increase(tapedeck_gateway_refused_sockets_total[1h]))", "refused WebSockets"),
                    promql("sum(increase(tapedeck_gateway_slow_sockets_total[1h]))", "slow WebSockets"),
                    promql("sum(increase(tapedeck_gateway_dropped_connections_total[1h]))", "ended connections"),
                    promql("sum(increase(tapedeck_gateway_dropped_messages_total[1h]))", "dropped messages"),
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
                    "Resident memory of each pod.",
                    "bytes",
                    promql(
                        f"sum by (job, namespace, pod) (process_resident_memory_bytes{{@}} {OF_TAPEDECK})",
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
