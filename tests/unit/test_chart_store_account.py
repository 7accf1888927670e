"""The account with which Grafana and the exporter of metrics read the store: where it is from, and how they connect."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from charts.rendered import EXTERNAL, HELM, SETS, find, render, template
from tapedeck_common.store.roles import read_credentials
from tapedeck_crds.json import Json

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(HELM is None, reason="needs helm: tests/e2e/rig/build"),
]

BOTH: Json = {"dataSources": {"enabled": True}, "storeExporter": {"enabled": True}}
OWN: Json = {"kafka": EXTERNAL["kafka"], "timescaledb": {"enabled": True}, "metrics": BOTH}


def on(store: Json, **metrics: Any) -> Json:
    return {"kafka": EXTERNAL["kafka"], "store": {"host": "db", **store}, "metrics": {**BOTH, **metrics}}


def source_of(documents: list[Json]) -> Json:
    """The data source as Grafana receives it."""
    text = find(documents, "Secret", "td-datasources")["stringData"]["tapedeck.yaml"]
    (source,) = (each for each in yaml.safe_load(text)["datasources"] if each["name"] == "Tapedeck")
    found: Json = source
    return found


def exporter(documents: list[Json]) -> tuple[dict[str, str], Json]:
    """The variables of the exporter, those of Secrets with their values or as ``secret:key``, and its pod."""
    pod = find(documents, "Deployment", "td-store-exporter")["spec"]["template"]["spec"]
    secrets = {each["metadata"]["name"]: each["stringData"] for each in documents if "stringData" in each}
    told = {}
    for variable in pod["containers"][0]["env"]:
        at = variable.get("valueFrom", {}).get("secretKeyRef", {})
        value = secrets.get(at.get("name"), {}).get(at.get("key")) or f"{at.get('name')}:{at.get('key')}"
        told[variable["name"]] = variable.get("value") or value
    return told, pod


def checksums(documents: list[Json], name: str) -> dict[str, str]:
    found: dict[str, str] = find(documents, "Deployment", f"td-{name}")["spec"]["template"]["metadata"]["annotations"]
    return found


def test_an_existing_database_is_read_with_the_readers_role_and_its_authority() -> None:
    roles = {"reader": {"username": "r-o", "password": "p w"}}
    documents = render(on({"sslMode": "verify-full", "ca": "PEM", "roles": roles}))
    source = source_of(documents)
    assert (source["user"], source["secureJsonData"]) == ("r-o", {"password": "p w", "tlsCACert": "PEM"})
    assert source["jsonData"]["sslmode"] == "verify-full"
    told, pod = exporter(documents)
    assert (told["DATA_SOURCE_USER"], told["DATA_SOURCE_PASS"]) == ("r-o", "p w")
    address = urlsplit(f"postgresql://{told['DATA_SOURCE_URI']}")
    assert (address.netloc, address.path) == ("db:5432", "/tapedeck")
    (folder,) = (mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == "store")
    assert parse_qs(address.query) == {"sslmode": ["verify-full"], "sslrootcert": [f"{folder}/store_ca"]}
    (volume,) = (each["secret"] for each in pod["volumes"] if each["name"] == "store")
    assert find(documents, "Secret", volume["secretName"])["stringData"]["store_ca"] == "PEM"


@pytest.mark.parametrize("metrics", [{"dataSources": {"enabled": True}}, {"storeExporter": {"enabled": True}}])
@pytest.mark.parametrize(
    ("store", "role"), [({}, "reader"), ({"roles": {"dashboards": {"username": "d"}}}, "dashboards")]
)
@pytest.mark.parametrize("create", [True, False])
def test_a_role_without_a_password_is_refused(metrics: Json, store: Json, role: str, create: bool) -> None:
    values = {**on(store), "connections": {"create": create}, "metrics": metrics}
    done = template(values)
    assert done.returncode != 0
    assert f"store.roles.{role}.password: got nothing" in done.stderr
    assert "metrics.existingStoreSecret" in done.stderr
    assert template({**values, "metrics": {**metrics, "existingStoreSecret": "pg-dashboards"}}).returncode == 0


@pytest.mark.parametrize("store", [{}, {"ca": "PEM"}])
def test_an_existing_secret_has_the_account(store: Json) -> None:
    documents = render({**on(store, existingStoreSecret="pg-dashboards"), "connections": {"create": False}})
    told, pod = exporter(documents)
    assert (told["DATA_SOURCE_USER"], told["DATA_SOURCE_PASS"]) == ("pg-dashboards:username", "pg-dashboards:password")
    source = source_of(documents)
    assert (source["user"], source["secureJsonData"]["password"]) == (
        "$TAPEDECK_STORE_USERNAME",
        "$TAPEDECK_STORE_PASSWORD",
    )
    for name in ("recorder", "gateway"):
        (roles,) = (
            volume["projected"]["sources"]
            for volume in find(documents, "Deployment", f"td-{name}")["spec"]["template"]["spec"]["volumes"]
            if volume["name"] == "roles"
        )
        assert roles[-1]["secret"]["name"] == "pg-dashboards"
    own = [document for document in documents if document["metadata"]["name"] == "td-dashboards"]
    assert [document["stringData"] for document in own] == ([{"store_ca": "PEM"}] if store else [])
    mounted = [each["secret"]["secretName"] for each in pod["volumes"] if "secret" in each]
    assert mounted == (["td-dashboards"] if store else [])
    (operator,) = find(documents, "Deployment", "td-operator")["spec"]["template"]["spec"]["containers"]
    refused = next(each["value"] for each in operator["env"] if each["name"] == "TAPEDECK_OPERATOR_OWN_SECRETS")
    assert "pg-dashboards" in refused


@pytest.mark.parametrize(
    ("values", "mode"),
    [
        (OWN, "disable"),  # it has no certificate
        (on({"roles": {"reader": {"password": "p"}}}), "require"),  # the default of store.sslMode is prefer
        (on({"sslMode": "disable", "roles": {"reader": {"password": "p"}}}), "disable"),
        (on({"sslMode": "verify-ca", "roles": {"reader": {"password": "p"}}}), "verify-ca"),
        (on({"roles": {"reader": {"password": "p"}}}, storeSslMode="disable"), "disable"),
        (on({"sslMode": "require", "roles": {"reader": {"password": "p"}}}, storeSslMode="verify-full"), "verify-full"),
        ({**OWN, "metrics": {**BOTH, "storeSslMode": "require"}}, "require"),
    ],
)
def test_no_driver_gets_a_mode_that_it_lacks_or_less_than_the_workloads_have(values: Json, mode: str) -> None:
    documents = render(values)
    told, _ = exporter(documents)
    assert source_of(documents)["jsonData"]["sslmode"] == mode
    assert parse_qs(urlsplit(f"//{told['DATA_SOURCE_URI']}").query)["sslmode"] == [mode]


def test_prefer_is_no_mode_of_grafana_and_the_exporter() -> None:
    done = template({**EXTERNAL, "metrics": {"storeSslMode": "prefer"}})
    assert done.returncode != 0
    assert "/metrics/storeSslMode" in done.stderr


def test_a_dollar_in_a_password_is_no_variable_of_grafana() -> None:
    roles = {"reader": {"username": "r", "password": "a$HOME${PATH}$$"}}
    secret = source_of(render(on({"roles": roles})))["secureJsonData"]
    assert secret["password"] == "a$$HOME$${PATH}$$$$"  # Grafana: "for a literal $, $$ can be used"


def test_migrate_reads_the_account_as_it_is_mounted(tmp_path: Path) -> None:
    documents = render({**SETS["everything"], "metrics": BOTH})
    pod = find(documents, "Deployment", "td-recorder")["spec"]["template"]["spec"]
    (sources,) = (volume["projected"]["sources"] for volume in pod["volumes"] if volume["name"] == "roles")
    for source in (each["secret"] for each in sources):
        data = find(documents, "Secret", source["name"])["stringData"]
        for item in source["items"]:
            path = tmp_path / item["path"]
            path.parent.mkdir(exist_ok=True)
            path.write_text(data[item["key"]])
    found = read_credentials(tmp_path)
    assert found.keys() == {"feed", "replay", "transform", "backtest", "gateway", "recorder", "dashboards"}
    names = {name: f"tapedeck_{name}" for name in found} | {"backtest": "tapedeck-backtest"}
    assert found == {name: (names[name], f"{name}-password") for name in found}


@pytest.mark.parametrize("workload", ["recorder", "gateway", "store-exporter"])
def test_a_changed_password_of_the_dashboards_starts_migrate_and_the_exporter_again(workload: str) -> None:
    def with_password(password: str) -> Json:
        given = {**SETS["everything"]["store"]["roles"], "dashboards": {"password": password}}
        return {**SETS["everything"], "store": {"roles": given}}

    before, same, after = (checksums(render(with_password(each)), workload) for each in ("a", "a", "b"))
    assert before == same
    assert {name for name in before if before[name] != after[name]} == {"checksum/account"}


def test_a_changed_password_of_a_kafka_user_starts_migrate_again_whoever_made_the_connections() -> None:
    def with_password(password: str) -> list[Json]:
        users = {name: {"password": "x"} for name in ("replay", "transform", "backtest", "recorder", "gateway")}
        kafka = {**EXTERNAL["kafka"], "createUsers": True, "users": {**users, "feed": {"password": password}}}
        return render({**EXTERNAL, "kafka": kafka, "connections": {"create": False}})

    before, same, after = (checksums(with_password(each), "recorder") for each in ("a", "a", "b"))
    assert before == same != after
