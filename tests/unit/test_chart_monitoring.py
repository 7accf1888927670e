"""Dashboards and alerts read metrics that exist, with labels that they have, and keep to the linter's rules."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from charts import dashboards
from charts.foreign_metrics import LABELS
from charts.promql import labels_of, metrics_of
from charts.rendered import CHART
from metrics_page.sections import all_metrics
from stores import debian
from stores.questdb import StoreNotInstallable

ALERTS = CHART / "files/alerts.yaml"
# What the monitors add to each series, and what histograms have.
OF_THE_POD = {"job", "namespace", "pod", "kind", "name", "shard", "le"}
NAMES = {path.stem for path in dashboards.FILES}


def registered() -> dict[str, set[str]]:
    """The labels of each series, by its name."""
    own = {series: set(metric.labels) for metric in all_metrics().values() for series in metric.series}
    return own | LABELS


def expressions() -> list[tuple[str, str]]:
    found = [(each.place, each.text) for each in dashboards.expressions("promql")]
    for group in yaml.load(ALERTS.read_text(), yaml.CSafeLoader)["groups"]:
        found += [(rule["alert"], rule["expr"]) for rule in group["rules"]]
    return found


def test_there_is_a_dashboard_of_each_subject() -> None:
    assert {
        "overview", "market", "analytics", "replay", "feed", "backtest", "sweep", "recorder", "broker", "operator",
    } == NAMES  # fmt: skip


def test_the_files_are_what_their_source_builds() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dashboards", "--check"], cwd=CHART, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_the_scanner_finds_names() -> None:
    expression = 'sum by (a, le) (rate(x_total{b="c(d)", e=~"$e"}[5m])) or vector(0) > 1e3 + y_bucket * 2'
    assert metrics_of(expression) == {"x_total", "y_bucket"}
    assert labels_of(expression) == {"a", "le", "b", "e"}
    assert metrics_of('label_values(x{n=~"$n"}, pod)') == {"x"}


@pytest.mark.parametrize(("where", "expression"), expressions(), ids=lambda value: str(value)[:40])
def test_each_expression_reads_metrics_that_exist(where: str, expression: str) -> None:
    known = registered()
    names = metrics_of(expression)
    assert names, where
    assert names <= set(known), f"{where}: {names - set(known)}"
    labels = OF_THE_POD.union(*(known[name] for name in names))
    assert labels_of(expression) <= labels, f"{where}: {labels_of(expression) - labels}"


def test_prometheus_can_evaluate_each_expression_of_the_dashboards(tmp_path: Path) -> None:
    """On no data: what it cannot parse, or what has operands of wrong types, is an error."""
    try:
        promtool = debian.unpacked("prometheus") / "usr/bin/promtool"
    except StoreNotInstallable as reason:
        pytest.skip(f"no promtool: {reason}")
    texts = sorted({dashboards.as_promql(each.text) for each in dashboards.expressions("promql")})
    assert len(texts) > 100
    assert not any("$" in text for text in texts)
    recorded = [{"record": f"x:{number}", "expr": text} for number, text in enumerate(texts)]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": recorded}]}))
    done = subprocess.run([str(promtool), "check", "rules", str(file)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_metric_is_shown_except_details() -> None:
    shown = set().union(*(metrics_of(expression) for _, expression in expressions()))
    left = {name for name in registered() if not name.endswith(("_sum", "_count"))} - shown
    assert left == {
        "tapedeck_feed_backfill_range_end_timestamp_seconds",
        "tapedeck_feed_backfill_range_start_timestamp_seconds",
        "tapedeck_feed_clock_skew_seconds",
        "tapedeck_feed_refused_rows_total",
        "tapedeck_feed_symbols",
        "tapedeck_feed_unsorted_rows_total",
        "tapedeck_gateway_invalid_records_total",
        "tapedeck_gateway_socket_messages_total",
        "tapedeck_backtest_closed_trades_total",
        "tapedeck_backtest_expected_bars",
        "tapedeck_backtest_expected_trials",
        "tapedeck_backtest_max_drawdown_ratio",
        "tapedeck_backtest_return_ratio",
        "tapedeck_resource_account_value",
        "tapedeck_resource_closed_trades_total",
        "tapedeck_resource_creation_timestamp_seconds",
        "tapedeck_resource_duplicates_total",
        "tapedeck_resource_finish_timestamp_seconds",
        "tapedeck_resource_gaps_total",
        "tapedeck_resource_info",
        "tapedeck_resource_late_trades_total",
        "tapedeck_resource_max_drawdown_ratio",
        "tapedeck_resource_missing_trades_total",
        "tapedeck_resource_position_timestamp_seconds",
        "tapedeck_resource_reconnects_total",
        "tapedeck_resource_return_ratio",
        "tapedeck_resource_start_timestamp_seconds",
    }


@pytest.mark.parametrize("path", dashboards.FILES, ids=lambda path: path.stem)
def test_panels_are_described_and_fit(path: Path) -> None:
    document = dashboards.read(path)
    taken: set[tuple[int, int]] = set()
    for panel in document["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["title"] and panel["description"].endswith("."), panel["title"]
    assert len({panel["id"] for panel in document["panels"]}) == len(document["panels"])
    assert len({panel["title"] for panel in document["panels"]}) == len(document["panels"])


@pytest.mark.parametrize("path", dashboards.FILES, ids=lambda path: path.stem)
def test_a_dashboard_keeps_to_the_linters_rules(path: Path) -> None:
    document = dashboards.read(path)
    assert document["uid"] == f"tapedeck-{path.stem}"
    assert (document["editable"], document["refresh"], document["tags"]) == (False, "5s", ["tapedeck"])
    variables = {variable["name"]: variable for variable in document["templating"]["list"]}
    assert all(each["refresh"] == 2 for each in variables.values() if each["type"] == "query")
    asks_prometheus = False
    for panel in document["panels"]:
        if panel["type"] == "alertlist":
            continue
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"]["uid"] in {"${datasource}", "${store}"}
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references) > 0
        for target in panel["targets"]:
            text = target.get("expr", target.get("rawSql"))
            used = set(re.findall(r"\$\{?([a-z]\w*)", text))
            assert used <= set(variables), panel["title"]
            assert not re.search(r"\b(rate|irate|increase)\([^[]*\[[0-9]+[sm]\]", text) or "[1m]" in text, (
                "$__rate_interval"
            )
            asks_prometheus |= "expr" in target
    if asks_prometheus:
        assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
        for name in ("job", "namespace"):
            made = variables[name]
            assert (made["label"], made["multi"], made["includeAll"], made["allValue"]) == (name, True, True, ".+")
            assert made["datasource"]["uid"] == "${datasource}"


def test_links_lead_to_dashboards_and_variables_that_exist() -> None:
    links = [link for path in dashboards.FILES for link in re.findall(r'"url": "(/d/[^"]*)"', path.read_text())]
    assert len(links) > 3
    for link in links:
        name = re.match(r"/d/tapedeck-([a-z]+|\$\{__data\.fields\.board\})(?:\?|$)", link)
        assert name is not None, link
        boards = NAMES if name[1] in NAMES else {"feed", "replay", "backtest"}
        for board in boards & {name[1]} or boards:
            known = {each["name"] for each in dashboards.read(CHART / f"dashboards/{board}.json")["templating"]["list"]}
            assert set(re.findall(r"var-(\w+)=", link)) <= known | {"name"}, link
