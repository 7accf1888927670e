"""The link of the dashboards to the logs, which leads nowhere without a Loki."""

from __future__ import annotations

import json

import pytest

from charts.dashboards import FILES
from charts.rendered import EXTERNAL, HELM, find, render
from tapedeck_crds.json import Json

pytestmark = pytest.mark.skipif(HELM is None, reason="needs helm: tests/e2e/rig/build")


def links(logs: str | None, loki: str) -> dict[str, dict[str, str]]:
    """The address of each link by its title, of each dashboard."""
    named = {} if logs is None else {"logs": logs}
    metrics = {"dashboards": {"enabled": True, **named}, "dataSources": {"loki": loki}}
    documents = render({**EXTERNAL, "metrics": metrics})
    boards = {path.stem: board(documents, path.stem) for path in FILES}
    return {name: {link["title"]: link.get("url", "") for link in each["links"]} for name, each in boards.items()}


def board(documents: list[Json], name: str) -> Json:
    document: Json = json.loads(find(documents, "ConfigMap", f"td-dashboard-{name}")["data"][f"{name}.json"])
    return document


def test_without_a_loki_no_dashboard_has_a_link_to_logs() -> None:
    found = links(None, "")
    assert not [name for name, each in found.items() if "Logs" in each]
    assert all({"Dashboards", "Page"} == each.keys() for each in found.values())


@pytest.mark.parametrize(
    ("logs", "loki", "name"),
    [("Lines", "", "Lines"), (None, "http://l:3100", "Loki"), ("Lines", "http://l:3100", "Lines")],
)
def test_the_link_leads_to_the_loki_there_is(logs: str | None, loki: str, name: str) -> None:
    found = {board: each["Logs"] for board, each in links(logs, loki).items() if "Logs" in each}
    assert len(found) == 8
    assert all(f"%22datasource%22%3A%22{name}%22" in url for url in found.values())


def test_a_dashboard_without_the_link_is_the_same_else() -> None:
    text = json.dumps(board(render({**EXTERNAL, "metrics": {"dashboards": {"enabled": True}}}), "feed"), sort_keys=True)
    replaced = {"@prometheus@": "Prometheus", "@store@": "Tapedeck", "@page@": "http://127.0.0.1:8750"}
    expected = next(path for path in FILES if path.stem == "feed").read_text()
    for mark, value in replaced.items():
        expected = expected.replace(mark, value)
    document = json.loads(expected)
    document["links"] = [link for link in document["links"] if link["title"] != "Logs"]
    assert text == json.dumps(document, sort_keys=True)
