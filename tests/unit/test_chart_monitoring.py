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
from charts.promql import labels_of, metrics_of, selectors_of
from charts.rendered import CHART
from metrics_page.sections import all_metrics
from stores import debian
from stores.questdb import StoreNotInstallable
from tapedeck_common.topics import PERMANENT_PARTITIONS, PERMANENT_TOPICS

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
    assert selectors_of(expression) == [("x_total", 'b="c(d)", e=~"$e"'), ("y_bucket", "")]


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


# Series whose labels are others. The kubelet's job is the cluster's; the resources of an operator are in the namespaces
# that it watches, so that panels of it tie them to its pod.
WITHOUT_JOB = {
    "container_memory_working_set_bytes",
    "kubelet_volume_stats_available_bytes",
    "kubelet_volume_stats_capacity_bytes",
}
WITHOUT_NAMESPACE = {("operator", "tapedeck_resource_phase")}
# Jobs that a dashboard reads beside those that its variable offers.
FURTHER_JOBS = {
    "feed": {"operator"}, "replay": {"operator", "transform"}, "sweep": {"backtest"}, "recorder": {"store-exporter"},
    "broker": {"gateway"},
}  # fmt: skip


def unselected(board: str, expression: str) -> list[str]:
    """The series of an expression that keep to no job or namespace."""
    jobs = ['job=~"$job"', *(f'job="{job}"' for job in FURTHER_JOBS.get(board, ()))]
    found = []
    for name, text in selectors_of(expression):
        matchers = re.split(r",\s*", text)
        has_job = name in WITHOUT_JOB or any(job in matchers for job in jobs)
        has_namespace = (board, name) in WITHOUT_NAMESPACE or 'namespace=~"$namespace"' in matchers
        found += [] if has_job and has_namespace else [name]
    return found


@pytest.mark.parametrize("path", dashboards.FILES, ids=lambda path: path.stem)
def test_a_dashboard_keeps_to_the_linters_rules(path: Path) -> None:
    document = dashboards.read(path)
    assert document["uid"] == f"tapedeck-{path.stem}"
    assert (document["editable"], document["tags"]) == (False, ["tapedeck"])
    assert document["refresh"] == ("5m" if path.stem == "analytics" else "5s")  # figures of days
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
            assert not re.search(r"\b(rate|irate|increase)\([^[]*\[[0-9]+[sm]\]", text), "$__rate_interval"
            if "expr" in target:
                asks_prometheus = True
                assert unselected(path.stem, text) == [], panel["title"]
    if asks_prometheus:
        assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
        for name in ("job", "namespace"):
            made = variables[name]
            assert (made["label"], made["multi"], made["includeAll"], made["allValue"]) == (name, True, True, ".+")
            assert made["datasource"]["uid"] == "${datasource}"


def test_links_lead_to_dashboards_and_variables_that_exist() -> None:
    links = [(path, link) for path in dashboards.FILES for link in re.findall(r'"url": "(/d/[^"]*)"', path.read_text())]
    assert len(links) > 5
    for path, link in links:
        name = re.match(r"/d/tapedeck-([a-z]+|\$\{__data\.fields\.board\})(?:\?|$)", link)
        assert name is not None, link
        boards = {name[1]} & NAMES or boards_of(link)
        for board in boards:
            assert set(re.findall(r"var-(\w+)=", link)) <= variables_of(board), (board, link)
        assert set(re.findall(r"\$\{(\w+):queryparam\}", link)) <= variables_of(path.stem), link


def variables_of(board: str) -> set[str]:
    return {each["name"] for each in dashboards.read(CHART / f"dashboards/{board}.json")["templating"]["list"]}


def boards_of(link: str) -> set[str]:
    """The dashboards that a link of a row leads to: the row has the name of one as a field."""
    table = "Backtests" if "var-run=" in link else "Feeds and Replays"
    (expression,) = (each.text for each in dashboards.expressions("promql") if each.place == f"overview: {table}")
    found = set(re.findall(r'"board", "(\w+)"', expression))
    assert found == ({"backtest", "sweep"} if table == "Backtests" else {"feed", "replay"})
    return found


def link_of(board: str, title: str, column: str) -> str:
    """The address of the link of a table's column."""
    (panel,) = (
        each for each in dashboards.read(CHART / f"dashboards/{board}.json")["panels"] if each["title"] == title
    )
    overrides = [each for each in panel["fieldConfig"]["overrides"] if each["matcher"]["options"] == column]
    (links,) = (each["value"] for override in overrides for each in override["properties"] if each["id"] == "links")
    address: str = links[0]["url"]
    return address


def test_a_link_to_a_run_has_no_range_but_that_of_its_bars() -> None:
    """The range of another dashboard is of now, and bars may be of any year."""
    to_runs = [
        link_of("overview", "Backtests", "name"),
        link_of("backtest", "Runs", "trials"),
    ]
    assert not [link for link in to_runs if "range" in link or "from=" in link]
    assert "&var-run=${__data.fields.uid}" in to_runs[0]  # which is the id of the run
    assert "${__url_time_range}" in link_of("overview", "Feeds and Replays", "name")


@pytest.mark.parametrize(
    ("board", "title", "column", "passed"),
    [
        ("backtest", "Runs", "name", ("store", "compared", "datasource", "job", "namespace")),
        ("backtest", "Runs", "trials", ("store", "datasource", "job", "namespace")),
        ("analytics", "Movers", "symbol", ("store",)),
        ("market", "Series", "symbol", ("store", "interval")),
        ("overview", "Backtests", "name", ("store", "datasource")),
        ("overview", "Feeds and Replays", "name", ("store", "datasource")),
    ],
)
def test_a_link_passes_on_what_is_chosen(board: str, title: str, column: str, passed: tuple[str, ...]) -> None:
    link = link_of(board, title, column)
    assert set(re.findall(r"\$\{(\w+):queryparam\}", link)) == set(passed)


def test_a_mover_is_shown_on_its_exchange() -> None:
    link = link_of("analytics", "Movers", "symbol")
    assert "?var-exchange=${exchange}&var-product=${__value.raw}&" in link


@pytest.mark.parametrize("place", ["overview: Database", "overview: Broker", "broker: Answers the gateway"])
def test_a_dead_dependency_is_red_and_named(place: str, promtool: Path, tmp_path: Path) -> None:
    board, title = place.split(": ")
    (made,) = (each for each in dashboards.read(CHART / f"dashboards/{board}.json")["panels"] if each["title"] == title)
    steps = made["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [(step["value"], step["color"]) for step in steps] == [(None, "red"), (1, "green")]
    assert made["options"]["colorMode"] == "value"
    (mapping,) = made["fieldConfig"]["defaults"]["mappings"]
    assert mapping["type"] == "value"
    texts = {number: each["text"] for number, each in mapping["options"].items()}
    assert texts == {"-1": "no gateway", "0": "down", "1": "up"}
    dependency = "database" if title == "Database" else "broker"
    series = f'tapedeck_gateway_dependency_up{{job="gateway",namespace="n",pod="%s",dependency="{dependency}"}}'
    for samples, shown in (({}, -1), ({"a": "0x60"}, 0), ({"a": "1x60"}, 1), ({"a": "1x60", "b": "0x60"}, 0)):
        given = {series % pod: values for pod, values in samples.items()}
        evaluate(promtool, tmp_path, given, {panel(place): [("{}", shown)]})


OF_EVERY_PROGRAM = re.compile(r"\b(up|process_\w+)\{[^}]*\}")


def test_series_that_every_program_has_are_tied_to_tapedeck() -> None:
    """With all jobs chosen the variable matches every job of the cluster."""
    checked = [(place, text) for place, _, text in dashboards.expressions("promql") if OF_EVERY_PROGRAM.search(text)]
    assert len(checked) == 5
    for place, text in checked:
        assert re.search(r"and on \((job, namespace, pod|namespace)\) (last_over_time\()?tapedeck_", text), place
        names = {name for name in metrics_of(text) if not name.startswith("tapedeck_")}
        assert names != {"up"} or re.search(r'job=~"feed\|', text), place


def panel(place: str, number: int = 0, **chosen: str) -> str:
    """An expression of a panel, the first of several, with all values of variables chosen except these."""
    text = [each.text for each in dashboards.expressions("promql") if each.place == place][number]
    for name, value in chosen.items():
        text = text.replace(f"${name}", value)
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
    'tapedeck_operator_watch_events_total{job="operator",namespace="n",pod="o",kind="Lease"}': "0+6x60",
    'tapedeck_gateway_sockets{job="gateway",namespace="n",pod="g"}': "2x60",
    'tapedeck_gateway_sockets{job="gateway",namespace="else",pod="h"}': "5x60",
    'container_memory_working_set_bytes{namespace="n",pod="td-redpanda-0",container="redpanda",id="1"}': "80x60",
    'container_memory_working_set_bytes{namespace="n",pod="td-redpanda-0",container="redpanda",id="2"}': "90x60",
    'container_memory_working_set_bytes{namespace="n",pod="td-redpanda-0",container=""}': "99x60",
    'container_memory_working_set_bytes{namespace="else",pod="td-timescaledb-0",container="timescaledb"}': "50x60",
    # of a partition a replica on each of two brokers, of the other one replica
    'redpanda_kafka_max_offset{job="redpanda",namespace="n",pod="a",redpanda_namespace="kafka",redpanda_topic="t",'
    'redpanda_partition="0"}': "0+60x60",
    'redpanda_kafka_max_offset{job="redpanda",namespace="n",pod="b",redpanda_namespace="kafka",redpanda_topic="t",'
    'redpanda_partition="0"}': "0+60x60",
    'redpanda_kafka_max_offset{job="redpanda",namespace="n",pod="a",redpanda_namespace="kafka",redpanda_topic="t",'
    'redpanda_partition="1"}': "0+120x60",
    **{
        f'tapedeck_resource_{name}{{job="operator",kind="{kind}",namespace="{namespace}",{labels}}}': values
        for name, kind, namespace, labels, values in (
            ("info", "Feed", "n", 'name="f",pod="o",uid="u-f"', "1x60"),
            ("info", "Backtest", "n", 'name="b",pod="o",uid="u-old"', "1x60"),
            ("info", "Backtest", "n", 'name="b",pod="o",uid="u-b"', "1x60"),
            ("info", "Backtest", "team", 'name="w",pod="o",uid="u-w"', "1x60"),
            ("info", "Backtest", "team", 'name="r",pod="o",uid="u-r"', "1x60"),
            ("phase", "Feed", "n", 'name="f",pod="o",phase="Running"', "1x60"),
            ("phase", "Backtest", "team", 'name="w",pod="o",phase="Running"', "1x60"),
            ("phase", "Backtest", "team", 'name="r",pod="o",phase="Failed"', "1x60"),
            ("phase", "Feed", "else", 'name="f",pod="x",phase="Running"', "1x60"),
            ("expected_trials", "Backtest", "team", 'name="w",pod="o"', "9x60"),
            ("rows_total", "Feed", "n", 'name="f",pod="a",result="refused"', "500x20 stale"),
            ("rows_total", "Feed", "n", 'name="f",pod="b",result="refused"', "_x21 500x10 0 0 3x30"),
            ("creation_timestamp_seconds", "Feed", "n", 'name="f"', "-9000x60"),
            ("rows_total", "Feed", "n", 'name="short",pod="b",result="refused"', "_x40 40x20"),
            ("creation_timestamp_seconds", "Feed", "n", 'name="short"', "_x40 2400x20"),
        )
    },
}
SHOWN: dict[str, list[tuple[str, float]]] = {
    "overview: Targets down": [("{}", 1)],
    "overview: Memory": [('{job="operator",namespace="n",pod="o"}', 7)],
    "operator: Memory": [('process_resident_memory_bytes{job="operator",namespace="n",pod="o"}', 7)],
}


def test_panels_show_what_is_tapedecks(promtool: Path, tmp_path: Path) -> None:
    expected = {panel(place): samples for place, samples in SHOWN.items()}
    memory = panel("overview: Memory", 1)
    expected[memory] = [('{namespace="n",pod="td-redpanda-0"}', 90)]
    refused = panel("feed: Refused rows, 1 h")
    expected[f"round({refused})"] = [("{}", 43)]  # 3 after a restart of the Feed's pod, and all of the short one
    evaluate(promtool, tmp_path, SERIES, expected)


def test_the_overview_leads_to_the_dashboard_of_each_resource(promtool: Path, tmp_path: Path) -> None:
    """A run by the uid of its resource, and a sweep to its own dashboard."""
    streams = '{kind="Feed",namespace="n",name="f",phase="Running",board="feed"}'
    run = '{kind="Backtest",namespace="team",name="r",phase="Failed",uid="u-r",board="backtest"}'
    sweep = '{kind="Backtest",namespace="team",name="w",phase="Running",uid="u-w",board="sweep"}'
    expected = {
        panel("overview: Feeds and Replays", namespace="n"): [(streams, 1.0)],
        panel("overview: Backtests"): [(run, 1.0), (sweep, 1.0)],
    }
    evaluate(promtool, tmp_path, SERIES, expected)


def test_the_overview_keeps_to_the_chosen_namespace_and_job(promtool: Path, tmp_path: Path) -> None:
    sockets, failed = "overview: Open sockets", "overview: Failed resources"
    expected: dict[str, list[tuple[str, float]]] = {
        panel(sockets): [("{}", 7)],
        panel(sockets, namespace="n"): [("{}", 2)],
        panel(sockets, namespace="else"): [("{}", 5)],
        panel(sockets, job="feed"): [],
        panel(failed): [("{}", 1)],
        panel(failed, namespace="n"): [("{}", 0)],
    }
    evaluate(promtool, tmp_path, SERIES, expected)


def test_an_operator_counts_the_resources_that_it_watches(promtool: Path, tmp_path: Path) -> None:
    """Of all namespaces; not those of another release's operator."""
    expected: dict[str, list[tuple[str, float]]] = {
        panel("operator: Running", namespace="n"): [("{}", 2)],
        panel("operator: Failed", namespace="n"): [("{}", 1)],
        panel("operator: Running", namespace="none"): [("{}", 0)],
        f"round({panel('operator: Watch probe, per minute')})": [("{}", 6)],
    }
    evaluate(promtool, tmp_path, SERIES, expected)


def test_a_record_counts_once_however_many_replicas_have_it(promtool: Path, tmp_path: Path) -> None:
    evaluate(promtool, tmp_path, SERIES, {panel("broker: Records"): [('{redpanda_topic="t"}', 3)]})


def test_texts_of_panels_are_computed() -> None:
    """How many partitions recorders have, and that requests which wait at the same time are no share of the time."""
    made = {
        f"{path.stem}: {each['title']}": each for path in dashboards.FILES for each in dashboards.read(path)["panels"]
    }
    partitions = len(PERMANENT_TOPICS) * PERMANENT_PARTITIONS
    assert made["recorder: Assigned partitions"]["description"].startswith(f"Of {partitions}: ")
    assert made["feed: Waits for the rate limit"]["fieldConfig"]["defaults"]["unit"] == "short"


def evaluate(
    promtool: Path, folder: Path, series: dict[str, str], expected: dict[str, list[tuple[str, float]]]
) -> None:
    """Assert what expressions are at the minute 50 of series with a sample each minute."""
    tests = [
        {"expr": expr, "eval_time": "50m", "exp_samples": [{"labels": labels, "value": n} for labels, n in samples]}
        for expr, samples in expected.items()
    ]
    given = [{"series": name, "values": values} for name, values in series.items()]
    file = folder / "test.yaml"
    test = {"interval": "1m", "input_series": given, "promql_expr_test": tests}
    file.write_text(yaml.safe_dump({"evaluation_interval": "1m", "tests": [test]}))
    done = subprocess.run([str(promtool), "test", "rules", str(file)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
