"""What the chart renders, beside what it rendered when someone last looked: tests/snapshots.

TAPEDECK_SNAPSHOTS=write renews them; look at the difference before it is committed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from charts.rendered import HELM, SETS, render
from tapedeck_crds.json import Json

FOLDER = Path(__file__).parents[1] / "snapshots"

pytestmark = pytest.mark.skipif(HELM is None, reason="needs helm: tests/e2e/rig/build")


def normalized(document: Json) -> Json:
    """The document without random values and without parts that have tests of their own."""
    if document["kind"] == "CustomResourceDefinition":
        document["spec"] = "as generated from the types"
    if document["kind"] == "ConfigMap":
        document["data"] = dict.fromkeys(document["data"], "as in charts/tapedeck/dashboards")
    if document["metadata"]["name"] == "td-operator-key":
        document["data"] = dict.fromkeys(document["data"], "random")
    if document["metadata"]["name"] == "td-gateway-tokens":
        document["data"]["page.read"] = "random"
    template = document.get("spec", {}).get("template", {}) if isinstance(document.get("spec"), dict) else {}
    annotations = template.get("metadata", {}).get("annotations", {})
    annotations.update({name: "of what it is named for" for name in annotations if name.startswith("checksum/")})
    return document


@pytest.mark.parametrize("name", SETS)
def test_the_rendered_chart_equals_its_snapshot(name: str) -> None:
    documents = sorted(
        map(normalized, render(SETS[name])), key=lambda document: (document["kind"], document["metadata"]["name"])
    )
    text = yaml.safe_dump_all(documents, sort_keys=True, width=110, explicit_start=True)
    path = FOLDER / f"{name}.yaml"
    if os.environ.get("TAPEDECK_SNAPSHOTS") == "write":
        FOLDER.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()
