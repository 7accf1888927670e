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


@pytest.fixture(scope="module")
def promtool() -> Path:
    try:
        return debian.unpacked("prometheus") / "usr/bin/promtool"
    except StoreNotInstallable as reason:
        pytest.skip(f"no promtool: {reason}")


def test_prometheus_can_evaluate_each_expression_of_the_dashboards(promtool: Path, tmp_path: Path) -> None:
    """On no data: what it cannot parse, or what has operands of wrong types, is an error."""
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
        "tapedeck_resource_duplicates_total",
        "tapedeck_resource_gaps_total",
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
        for board, variables in linked(name[1], set(re.findall(r"var-(\w+|\$\{__data\.fields\.variable\})=", link))):
            known = {each["name"] for each in dashboards.read(CHART / f"dashboards/{board}.json")["templating"]["list"]}
            assert variables <= known, (board, link)


def linked(board: str, variables: set[str]) -> list[tuple[str, set[str]]]:
    """The dashboards that a link leads to, with the variables that it passes: rows of resources have both as fields."""
    if board in NAMES:
        return [(board, variables)]
    (expression,) = (each.text for each in dashboards.expressions("promql") if each.place == "overview: Resources")
    found = re.findall(r'"board", "(\w+)".*?"variable", "(\w+)"', expression)
    assert {each for each, _ in found} == {"feed", "replay", "backtest"}
    return [(each, variables - {"${__data.fields.variable}"} | {variable}) for each, variable in found]


def test_the_link_of_a_backtest_chooses_its_run() -> None:
    """By the uid, which is the id of its run; Feeds and Replays by name."""
    (expression,) = (each.text for each in dashboards.expressions("promql") if each.place == "overview: Resources")
    chosen = re.findall(r'kind="(\w+)", namespace.*?"variable", "(\w+)".*?"chosen", "\$1", "(\w+)"', expression)
    assert chosen == [("Feed", "name", "name"), ("Replay", "name", "name"), ("Backtest", "run", "uid")]


OF_EVERY_PROGRAM = re.compile(r"\b(up|process_\w+)\{[^}]*\}")


def test_series_that_every_program_has_are_tied_to_tapedeck() -> None:
    """With all jobs chosen the variable matches every job of the cluster."""
    checked = [(place, text) for place, _, text in dashboards.expressions("promql") if OF_EVERY_PROGRAM.search(text)]
    assert len(checked) == 5
    for place, text in checked:
        assert re.search(r"and on \((job, namespace, pod|namespace)\) (last_over_time\()?tapedeck_", text), place
        names = {name for name in metrics_of(text) if not name.startswith("tapedeck_")}
        assert names != {"up"} or re.search(r'job=~"feed\|', text), place


def panel(place: str) -> str:
    """The expression of a panel with all values of its variables chosen."""
    text = next(each.text for each in dashboards.expressions("promql") if each.place == place)
    return re.sub(r"\$[a-z]\w*", ".*", text.replace("[$__rate_interval]", "[5m]"))


# What the panels show, at the minute 50 of these series with a sample each minute.
SERIES = {
    'up{job="feed",namespace="n",pod="f"}': "0x60",
    'up{job="nginx",namespace="n",pod="x"}': "0x60",
    'up{job="operator",namespace="else",pod="x"}': "0x60",
    'tapedeck_build_info{job="operator",namespace="n",pod="o",version="1"}': "1x60",
    'tapedeck_operator_queue_depth{job="operator",namespace="n",pod="o"}': "0x60",
    'process_resident_memory_bytes{job="operator",namespace="n",pod="o"}': "7x60",
    'process_resident_memory_bytes{job="operator",namespace="else",pod="x"}': "1000x60",
    'process_resident_memory_bytes{job="prometheus",namespace="n",pod="x"}': "1000x60",
    'tapedeck_resource_info{kind="Feed",namespace="n",name="f",uid="u-f"}': "1x60",
    'tapedeck_resource_info{kind="Backtest",namespace="n",name="b",uid="u-old"}': "1x60",
    'tapedeck_resource_info{kind="Backtest",namespace="n",name="b",uid="u-b"}': "1x60",
    'tapedeck_resource_phase{kind="Feed",namespace="n",name="f",phase="Running"}': "1x60",
    'tapedeck_resource_rows_total{kind="Feed",namespace="n",name="f",pod="a",result="refused"}': "500x20 stale",
    'tapedeck_resource_rows_total{kind="Feed",namespace="n",name="f",pod="b",result="refused"}': "_x21 500x10 0 0 3x30",
    'tapedeck_resource_creation_timestamp_seconds{kind="Feed",namespace="n",name="f"}': "-9000x60",
    'tapedeck_resource_rows_total{kind="Feed",namespace="n",name="short",pod="b",result="refused"}': "_x40 40x20",
    'tapedeck_resource_creation_timestamp_seconds{kind="Feed",namespace="n",name="short"}': "_x40 2400x20",
}
SHOWN = {
    "overview: Targets down": [("{}", 1)],
    "overview: Memory": [('{job="operator",namespace="n",pod="o"}', 7)],
    "operator: Memory": [('process_resident_memory_bytes{job="operator",namespace="n",pod="o"}', 7)],
}


def test_panels_show_what_is_tapedecks(promtool: Path, tmp_path: Path) -> None:
    expected = {panel(place): samples for place, samples in SHOWN.items()}
    feed = '{kind="Feed",namespace="n",name="f",phase="Running",uid="u-f",board="feed",variable="name",chosen="f"}'
    expected[panel("overview: Resources")] = [(feed, 1)]
    refused = panel("feed: Refused rows, 1 h")
    expected[f"round({refused})"] = [("{}", 43)]  # 3 after a restart of the Feed's pod, and all of the short one
    tests = [
        {"expr": expr, "eval_time": "50m", "exp_samples": [{"labels": labels, "value": n} for labels, n in samples]}
        for expr, samples in expected.items()
    ]
    series = [{"series": name, "values": values} for name, values in SERIES.items()]
    file = tmp_path / "test.yaml"
    test = {"interval": "1m", "input_series": series, "promql_expr_test": tests}
    file.write_text(yaml.safe_dump({"evaluation_interval": "1m", "tests": [test]}))
    done = subprocess.run([str(promtool), "test", "rules", str(file)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
