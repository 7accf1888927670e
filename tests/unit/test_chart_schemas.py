"""The rendered chart, validated by kubeconform with the schemas of the supported Kubernetes versions."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from charts.rendered import HELM, SETS, render
from kube.api import RIG_BIN
from tapedeck_crds.json import Json

KUBECONFORM = str(RIG_BIN / "kubeconform") if (RIG_BIN / "kubeconform").exists() else shutil.which("kubeconform")
SCHEMAS = importlib.util.find_spec("kubernetes_validate")
VERSIONS = ("1.31.0", "1.34.0", "1.37.0")
# CRDs of other projects, whose schemas are not included.
FOREIGN = {"PodMonitor", "ServiceMonitor", "PrometheusRule"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(HELM is None or KUBECONFORM is None, reason="needs helm and kubeconform: tests/e2e/rig/build"),
    pytest.mark.skipif(SCHEMAS is None, reason="needs the package kubernetes-validate, for its schemas"),
]


def schemas_for(version: str, documents: list[Json], folder: Path) -> str:
    """A file for each kind, by the name that kubeconform asks for, made from the version's definitions."""
    assert SCHEMAS is not None
    package = (SCHEMAS.submodule_search_locations or [""])[0]
    path = Path(package) / f"kubernetes-json-schema/v{version}-local-strict/_definitions.json"
    definitions = json.loads(path.read_text())["$defs"]
    kinds = {(document["apiVersion"], document["kind"]) for document in documents}
    for name, definition in definitions.items():
        for known in definition.get("x-kubernetes-group-version-kind", ()):
            group, kind = known["group"], known["kind"]
            api = f"{group}/{known['version']}" if group else known["version"]
            if (api, kind) in kinds:
                suffix = "-".join([group.split(".")[0], known["version"]] if group else [known["version"]])
                schema = {"$ref": f"#/$defs/{name}", "$defs": definitions}
                (folder / f"{kind.lower()}-{suffix}.json").write_text(json.dumps(schema))
    return str(folder) + "/{{ .ResourceKind }}{{ .KindSuffix }}.json"


def conform(version: str, documents: list[Json], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(KUBECONFORM), "-strict", "-summary", "-kubernetes-version", version, "-schema-location",
         schemas_for(version, documents, folder), "-skip", ",".join(FOREIGN)],
        input=yaml.dump_all(documents, Dumper=yaml.CSafeDumper),
        capture_output=True,
        text=True,
        timeout=900,
    )  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", SETS)
def test_the_rendered_chart_is_valid(name: str, version: str, tmp_path: Path) -> None:
    documents = render(SETS[name])
    foreign = sum(document["kind"] in FOREIGN for document in documents)
    done = conform(version, documents, tmp_path)
    assert done.returncode == 0, done.stdout
    assert f"Valid: {len(documents) - foreign}, Invalid: 0, Errors: 0, Skipped: {foreign}" in done.stdout


def test_a_misspelt_field_is_found(tmp_path: Path) -> None:
    documents = render(SETS["default"])
    deployment = next(document for document in documents if document["kind"] == "Deployment")
    deployment["spec"]["replicaz"] = deployment["spec"].pop("replicas")
    done = conform("1.34.0", documents, tmp_path)
    assert done.returncode != 0
    assert "replicaz" in done.stdout
