"""Feed and gaps: what Feeds receive, how they recover what they missed, and what stays missing."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.board import board, row
from dashboards.panels import lines, rows, value
from dashboards.queries import of_job, promql, sql
from dashboards.variables import metrics_variables, name_variable, store_variable

_OF = '{@, name=~"$name"}'
_LEGEND = "{{namespace}}/{{name}} {{shard}}"
_GAPS = """
SELECT exchange, symbol, interval, state, count(*) AS gaps, sum(trades) AS trades, min(start_ts) AS first,
       max(end_ts) AS last
FROM gaps GROUP BY exchange, symbol, interval, state
ORDER BY CASE state WHEN 'open' THEN 0 WHEN 'unfillable' THEN 1 ELSE 2 END, gaps DESC LIMIT 200
"""
_REFUSED = """
SELECT at, feed, exchange, symbol, place, rows, reason, left(payload, 200) AS payload
FROM ingest_errors WHERE $__timeFilter(at) ORDER BY at DESC LIMIT 200
"""


def _rate(metric: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}{_OF}[$__rate_interval]))"


def _increase(metric: str, by: str) -> str:
    return f"sum by ({by}) (increase({metric}{_OF}[1h]))"


def _latency(share: float) -> str:
    rate = _rate("tapedeck_feed_publish_latency_seconds_bucket", "namespace, name, le")
    return f"histogram_quantile({share}, {rate})"


def _refused() -> str:
    """Rows that each Feed refused in an hour. All of a Feed that is younger: its first sample may have them already."""
    of_feed = f'max by (namespace, name) (%s{{{of_job("operator")}, kind="Feed", name=~"$name"%s}})'
    rows_of_feed = of_feed % ("tapedeck_resource_rows_total", ', result="refused"')
    created = of_feed % ("tapedeck_resource_creation_timestamp_seconds", "")
    return f"({rows_of_feed} and on (namespace, name) time() - {created} < 3600) or increase(({rows_of_feed})[1h:])"


def build() -> Dashboard:
    """The dashboard."""
    return board(
        "feed",
        "feed and gaps",
        "What Feeds publish, the connections to exchanges, and gaps with their recovery.",
        [
            *metrics_variables("tapedeck_feed_records_total"),
            store_variable(),
            name_variable("tapedeck_feed_records_total"),
        ],
        [
            row(
                4,
                value(
                    "Records",
                    "That the broker acknowledged.",
                    "ops",
                    promql(_rate("tapedeck_feed_records_total", "job")),
                ),
                value(
                    "Connections down",
                    "Subscriptions without a connection.",
                    "short",
                    promql('sum(tapedeck_feed_subscriptions{@, name=~"$name", state=~"down|connecting"}) or vector(0)'),
                    steps=((1, "yellow"),),
                ),
                value(
                    "Symbols with open gaps",
                    "Records of them may be missing at present: their recovery runs or is due.",
                    "short",
                    promql(f"sum(tapedeck_feed_open_gaps{_OF}) or vector(0)"),
                    steps=((1, "yellow"), (10, "red")),
                ),
                value(
                    "Open gaps in the store",
                    "That no recovery or backfill has filled so far.",
                    "short",
                    sql("SELECT count(*) FROM gaps WHERE state = 'open'"),
                    steps=((1, "yellow"),),
                ),
                value(
                    "Refused rows, 1 h",
                    "Rows and messages that are invalid; the table below has the reasons.",
                    "short",
                    promql(f"sum({_refused()}) or vector(0)"),
                    steps=((1, "yellow"),),
                ),
                widths=(4, 5, 5, 5, 5),
            ),
            row(
                9,
                lines(
                    "Records by channel",
                    "Bars, trades and tickers that the broker acknowledged.",
                    "ops",
                    promql(
                        _rate("tapedeck_feed_records_total", "namespace, name, channel"),
                        "{{channel}} {{namespace}}/{{name}}",
                    ),
                ),
                lines(
                    "Time since the last record and message",
                    "By channel: since the last record was published, which a recovery may have found, and since the "
                    "last message of each shard's subscription that has been silent the longest.",
                    "s",
                    promql(
                        "time() - max by (namespace, name, channel) "
                        f"(tapedeck_feed_last_record_timestamp_seconds{_OF})",
                        "{{channel}} {{namespace}}/{{name}}",
                    ),
                    promql(
                        "time() - min by (namespace, name, channel, shard) "
                        f"(tapedeck_feed_last_message_timestamp_seconds{_OF})",
                        "{{channel}} messages " + _LEGEND,
                    ),
                ),
            ),
            row(
                8,
                lines(
                    "Subscriptions",
                    "By the state of their connection. An open one has delivered nothing yet.",
                    "short",
                    promql(f"sum by (state) (tapedeck_feed_subscriptions{_OF})", "{{state}}"),
                    stacked=True,
                ),
                lines(
                    "Reconnects and probes, 1 h",
                    "Lost subscriptions that connected again; requests that ask whether a silent one missed records.",
                    "short",
                    promql(
                        _increase("tapedeck_feed_reconnects_total", "namespace, name"),
                        "reconnects {{namespace}}/{{name}}",
                    ),
                    promql(
                        _increase("tapedeck_feed_liveness_probes_total", "namespace, name, result"),
                        "probe {{result}} {{namespace}}/{{name}}",
                    ),
                ),
                lines(
                    "Latency",
                    "From the receipt of a trade to the broker's acknowledgement.",
                    "s",
                    promql(
                        _latency(0.5),
                        "p50 {{namespace}}/{{name}}",
                    ),
                    promql(
                        _latency(0.99),
                        "p99 {{namespace}}/{{name}}",
                    ),
                ),
            ),
            row(
                8,
                lines(
                    "Gaps and recoveries, 1 h",
                    "Gaps of trades, recoveries by result, and trades that a recovery brought.",
                    "short",
                    promql(_increase("tapedeck_feed_gaps_total", "namespace, name"), "gaps {{namespace}}/{{name}}"),
                    promql(
                        _increase("tapedeck_feed_recoveries_total", "namespace, name, result"),
                        "recovery {{result}} {{namespace}}/{{name}}",
                    ),
                    promql(
                        _increase("tapedeck_feed_recovered_trades_total", "namespace, name"),
                        "recovered trades {{namespace}}/{{name}}",
                    ),
                    promql(f"sum by (namespace, name) (tapedeck_feed_open_gaps{_OF})", "open {{namespace}}/{{name}}"),
                ),
                lines(
                    "Missing, late and repeated, 1 h",
                    "Trades and bars that nobody has any more, trades after the close of their bar, repeats, errors.",
                    "short",
                    promql(
                        _increase("tapedeck_feed_missing_trades_total", "namespace, name"),
                        "missing trades {{namespace}}/{{name}}",
                    ),
                    promql(
                        _increase("tapedeck_feed_missing_bars_total", "namespace, name"),
                        "missing bars {{namespace}}/{{name}}",
                    ),
                    promql(
                        _increase("tapedeck_feed_late_trades_total", "namespace, name"), "late {{namespace}}/{{name}}"
                    ),
                    promql(
                        _increase("tapedeck_feed_duplicates_total", "namespace, name"),
                        "repeated {{namespace}}/{{name}}",
                    ),
                    promql(_increase("tapedeck_feed_errors_total", "namespace, name"), "errors {{namespace}}/{{name}}"),
                ),
            ),
            row(
                8,
                lines(
                    "Requests to exchanges",
                    "Of the REST interface, by result.",
                    "reqps",
                    promql(
                        _rate("tapedeck_feed_requests_total", "namespace, name, result"),
                        "{{result}} {{namespace}}/{{name}}",
                    ),
                ),
                lines(
                    "Waits for the rate limit",
                    "How many requests wait at a time because the exchange limits their rate: the mean, of all pods.",
                    "short",
                    promql(
                        _rate("tapedeck_feed_rate_limit_wait_seconds_total", "namespace, name"),
                        "{{namespace}}/{{name}}",
                    ),
                ),
                lines(
                    "Backfills and imports",
                    "Share of the range that is requested, and of the files that are read.",
                    "percentunit",
                    promql(
                        f"sum by (namespace, name) (tapedeck_feed_backfill_checked_bars{_OF}) "
                        f"/ sum by (namespace, name) (tapedeck_feed_backfill_expected_bars{_OF} > 0)",
                        "bars {{namespace}}/{{name}}",
                    ),
                    promql(
                        f"sum by (namespace, name) (tapedeck_feed_imported_files_total{_OF}) "
                        f"/ sum by (namespace, name) (tapedeck_feed_expected_files{_OF} > 0)",
                        "files {{namespace}}/{{name}}",
                    ),
                ),
            ),
            row(
                9,
                rows("Gaps", "Of the stored series, by state; an empty interval is that of trades.", sql(_GAPS)),
                rows("Refused rows", "The latest in the range.", sql(_REFUSED)),
            ),
        ],
        logs=True,
    )
