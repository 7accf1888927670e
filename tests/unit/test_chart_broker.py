"""The values of the bundled broker against facts about the vendor's chart, which is not here to be rendered."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from charts.redpanda import asks_for_a_share_of_a_core, problems
from charts.rendered import CHART

BROKER = CHART / "charts/broker"


def vendor_values() -> Any:
    own = yaml.safe_load((BROKER / "values.yaml").read_text())["redpanda"]
    parents = yaml.safe_load((CHART / "values.yaml").read_text())["broker"]
    return own | parents.get("redpanda", {})


def test_the_vendors_chart_and_the_brokers_binary_know_all_that_they_are_given() -> None:
    assert problems(vendor_values()) == []
    (dependency,) = yaml.safe_load((BROKER / "Chart.yaml").read_text())["dependencies"]
    assert (dependency["name"], dependency["version"]) == ("redpanda", "^26.0.0")  # the charts that the facts are of


def test_the_broker_runs_on_a_node_that_has_no_whole_core_to_spare() -> None:
    values = vendor_values()
    assert asks_for_a_share_of_a_core(values)
    assert not asks_for_a_share_of_a_core(values | {"resources": {"cpu": {"cores": 1, "overprovisioned": True}}})


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        ({"enabled": True}, "enabled"),
        ({"resources": {"cpu": {"core": 1}}}, "resources.cpu.core"),
        ({"statefulset": {"additionalRedpandaCmdFlags": ["--mode=dev-container"]}}, "--mode=dev-container"),
        ({"config": {"node": {"developer_mode": True}, "nodes": {}}}, "config.nodes"),
    ],
)
def test_an_unknown_key_or_flag_is_found(wrong: dict[str, Any], found: str) -> None:
    assert problems(vendor_values() | wrong) == [found]
