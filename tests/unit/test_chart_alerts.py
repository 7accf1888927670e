"""The alerts, by `promtool test rules`: each case is a course of metrics and the alerts that fire at its end."""

from __future__ import annotations

import copy
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from charts.alert_courses import COURSES, COURSES_OF_A_RELEASE, NORMAL, OF_A_RELEASE, Course
from charts.rendered import CHART, EXTERNAL, HELM, find, render, template
from stores import debian
from stores.questdb import StoreNotInstallable

pytestmark = pytest.mark.slow

ALERTS = CHART / "files/alerts.yaml"
WITH_ALERTS = {
    **EXTERNAL,
    "networkPolicies": {"metricsFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]},
    "metrics": {
        "podMonitor": {"enabled": True},
        "serviceMonitor": {"enabled": True},
        "alerts": {"enabled": True, "labels": {"release": "kps"}},
    },
}
RUNBOOKS = Path(__file__).parents[2] / "docs/runbooks"


@pytest.fixture(scope="module")
def promtool() -> Path:
    try:
        return debian.unpacked("prometheus") / "usr/bin/promtool"
    except StoreNotInstallable as reason:
        pytest.skip(f"no promtool: {reason}")


def rules(document: Any = None) -> dict[str, Any]:
    """The rules of a rule file, of the plain one by default, by the alert's name without the prefix."""
    groups = (document or yaml.safe_load(ALERTS.read_text()))["groups"]
    return {rule["alert"].removeprefix("Tapedeck"): rule for group in groups for rule in group["rules"]}


def check(promtool: Path, folder: Path, rule_file: Path, courses: list[Course], normal: dict[str, str]) -> None:
    """Fails where the alerts that fire at the end of a course are not those that it names."""
    every = " or ".join(f'ALERTS{{alertname="Tapedeck{name}",alertstate="firing"}}' for name in rules())
    tests = [
        {
            "name": course.about,
            "interval": "61s",  # of scrapes: a range of a minute then has one sample
            "input_series": [{"series": name, "values": text} for name, text in (normal | course.series).items()],
            "promql_expr_test": [
                {
                    "expr": f"count by (alertname) ({every})",
                    "eval_time": f"{course.minute}m",
                    "exp_samples": [
                        {"labels": f'{{alertname="Tapedeck{name}"}}', "value": 1} for name in course.firing
                    ],
                }
            ],
        }
        for course in courses
    ]
    file = folder / "test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(rule_file)], "evaluation_interval": "1m", "tests": tests}))
    done = subprocess.run([str(promtool), "test", "rules", str(file)], capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_course_makes_its_alerts_fire_and_no_others(promtool: Path, tmp_path: Path) -> None:
    check(promtool, tmp_path, ALERTS, COURSES, NORMAL)


@pytest.mark.skipif(HELM is None, reason="needs helm: tests/e2e/rig/build")
def test_the_rules_of_a_release_are_about_its_namespace(promtool: Path, tmp_path: Path) -> None:
    spec = find(render(WITH_ALERTS | {"operator": {"watch": "release"}}), "PrometheusRule", "td")["spec"]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(spec))
    check(promtool, tmp_path, file, COURSES_OF_A_RELEASE, OF_A_RELEASE)


def test_each_alert_has_a_course_that_fires_it_and_one_that_is_close_to_it() -> None:
    assert {name for course in COURSES for name in course.firing} == set(rules())
    assert {name for course in COURSES for name in course.silent} == set(rules())
    assert not [course.about for course in COURSES if set(course.firing) & set(course.silent)]


@pytest.mark.parametrize("name", rules())
def test_an_alert_says_how_bad_it_is_and_leads_to_its_runbook(name: str) -> None:
    rule = rules()[name]
    assert rule["alert"] == f"Tapedeck{name}"
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert {"summary", "description", "runbook_url"} == set(rule["annotations"])
    page = RUNBOOKS / rule["annotations"]["runbook_url"].rsplit("/", 1)[1]
    text = page.read_text()
    assert text.startswith(f"# Tapedeck{name}\n")
    assert re.findall("^## (.*)$", text, re.MULTILINE) == ["Look", "Do"]


def test_each_runbook_is_that_of_an_alert() -> None:
    pages = {rule["annotations"]["runbook_url"].rsplit("/", 1)[1] for rule in rules().values()}
    assert {path.name for path in RUNBOOKS.iterdir()} == pages | {"README.md"}
    listed = re.findall(r"\]\(([a-z-]+\.md)\)", (RUNBOOKS / "README.md").read_text())
    assert sorted(listed) == sorted(pages)


def without_namespaces(found: dict[str, Any], own: str) -> dict[str, Any]:
    """The rules without the matcher of the release's namespace."""
    removed = re.compile(rf', namespace="{own}"|\{{namespace="{own}"\}}')
    return {name: rule | {"expr": removed.sub("", rule["expr"])} for name, rule in found.items()}


@pytest.mark.skipif(HELM is None, reason="needs helm: tests/e2e/rig/build")
def test_the_chart_has_the_same_rules_with_thresholds_by_value() -> None:
    enabled = copy.deepcopy(WITH_ALERTS)
    installed = find(render(enabled), "PrometheusRule", "td")
    assert installed["metadata"]["labels"]["release"] == "kps"
    assert without_namespaces(rules(installed["spec"]), "deck") == rules()
    assert 'namespace="deck"' not in rules(installed["spec"])["PodsFailing"]["expr"], "it watches all"
    thresholds = {"recorderLagRecords": 2_000_000, "volumeFreeRatio": 0.25, "gapsOpenFor": "2h"}
    enabled["metrics"]["alerts"] |= {"thresholds": thresholds, "runbooks": "https://wiki.example/td"}
    changed = without_namespaces(rules(find(render(enabled), "PrometheusRule", "td")["spec"]), "deck")
    behind = changed["RecorderBehind"]["expr"].replace("2e+06", "2000000")
    assert behind == rules()["RecorderBehind"]["expr"].replace("100000", "2000000")
    assert changed["StoreVolumeFull"]["expr"].endswith("< 0.25")
    assert changed["GapsOpen"]["for"] == "2h"
    assert changed["GapsOpen"]["annotations"]["runbook_url"] == "https://wiki.example/td/gaps-open.md"


@pytest.mark.skipif(HELM is None, reason="needs helm: tests/e2e/rig/build")
def test_nothing_is_missed_that_shall_not_run() -> None:
    for part, alert in (("recorder", "RecorderDown"), ("gateway", "GatewayDown")):
        installed = rules(find(render(WITH_ALERTS | {part: {"replicas": 0}}), "PrometheusRule", "td")["spec"])
        assert rules().keys() - installed.keys() == {alert}


@pytest.mark.skipif(HELM is None, reason="needs helm: tests/e2e/rig/build")
@pytest.mark.parametrize("monitor", ["podMonitor", "serviceMonitor"])
def test_alerts_without_their_monitors_are_refused(monitor: str) -> None:
    values = copy.deepcopy(WITH_ALERTS)
    del values["metrics"][monitor]
    done = template(values)
    assert f"metrics.{monitor}.enabled: got false, expected true, because of metrics.alerts.enabled" in done.stderr
    if monitor == "serviceMonitor":
        assert template(values | {"gateway": {"replicas": 0}}).returncode == 0
