"""The page as Markdown."""

from __future__ import annotations

from metrics_page.sections import SECTIONS, DescribedMetric, Section

_INTRODUCTION = """\
# Metrics

Every pod serves them at `/metrics` on its port `http`.

Durations are in seconds, shares are ratios (0.5 is 50 %), and a name that ends in `_timestamp_seconds` is a time since
1970. Counters end in `_total`; rates are left to queries: `rate(tapedeck_feed_records_total[1m])`. A histogram has the
series `_bucket`, `_sum` and `_count`.

On a cluster the chart's PodMonitor adds to each series what it belongs to: `job` (`feed`, `replay`, `transform`,
`backtest`, `recorder`, `gateway`, `operator`), `namespace`, `pod`, and of a run `kind`, `name` and `shard`. A deck that
was started with `tapedeck up --metrics` has the same labels.

Beside those below, each pod has the metrics of its process (`process_resident_memory_bytes`,
`process_cpu_seconds_total`, `process_open_fds`, …) and of Python, and `stamina_retries_total` counts the calls that
were repeated, by `callable`, `retry_num` and `error_type`.
"""


def markdown() -> str:
    """The whole page."""
    return "\n".join([_INTRODUCTION, *(_section(section) for section in SECTIONS)])


def _section(section: Section) -> str:
    head = [f"## {section.title}", "", *([section.note, ""] if section.note else [])]
    table = ["| metric | type | labels | |", "|---|---|---|---|", *(_row(metric) for metric in section.metrics())]
    return "\n".join([*head, *table, ""])


def _row(metric: DescribedMetric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.type} | {labels} | {metric.about} |"
