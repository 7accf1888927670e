"""Metrics that Feeds of several modes have in common. Names and meanings stand here once."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client.core import Metric

from tapedeck_common.metrics import counter_family, counter_family_by


def records_metric(by_channel: Mapping[str, int]) -> Metric:
    """Published records of each channel."""
    about = "Records that the broker acknowledged; of bars closed ones and corrections."
    return counter_family_by("tapedeck_feed_records_total", about, "channel", by_channel)


def errors_metric(errors: int) -> Metric:
    """What the table ingest_errors lists."""
    about = "Rows, messages and bars that were refused or lost; the table ingest_errors has each."
    return counter_family("tapedeck_feed_errors_total", about, errors)


def refused_rows_metric(rows: int) -> Metric:
    """What is invalid."""
    about = "Rows and messages that are invalid, a part of the errors."
    return counter_family("tapedeck_feed_refused_rows_total", about, rows)


def duplicates_metric(rows: int) -> Metric:
    """What came twice."""
    about = "Trades or rows that were dropped because they repeat another."
    return counter_family("tapedeck_feed_duplicates_total", about, rows)


def missing_trades_metric(trades: int) -> Metric:
    """What is missing by ids."""
    about = "Trades that are missing by their ids, and that the exchange or the files do not have."
    return counter_family("tapedeck_feed_missing_trades_total", about, trades)


def gaps_metric(gaps: int) -> Metric:
    """The number of ranges of missing trades."""
    about = "Gaps that the missing trades make; the table gaps has each."
    return counter_family("tapedeck_feed_gaps_total", about, gaps)
