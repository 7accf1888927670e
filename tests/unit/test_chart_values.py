"""Values that the chart's schema accepts because Kubernetes, PostgreSQL or Prometheus do, and those that it refuses."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from charts.rendered import EXTERNAL, HELM, find, render, template
from tapedeck_crds.json import Json

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(HELM is None, reason="needs helm: tests/e2e/rig/build"),
]


def with_role(name: str) -> Json:
    roles = {each: {"username": name, "password": "p"} for each in ("admin", "reader", "recorder")}
    return {"kafka": EXTERNAL["kafka"], "store": {"host": "db", "roles": roles}}


def with_size(size: Any) -> Json:
    return {"kafka": EXTERNAL["kafka"], "timescaledb": {"enabled": True, "size": size}}


def with_threshold(value: Any) -> Json:
    alerts = {"enabled": True, "thresholds": {"gapsOpenFor": value}}
    monitors = {name: {"enabled": True} for name in ("podMonitor", "serviceMonitor")}
    return {
        **EXTERNAL,
        "metrics": {"alerts": alerts, **monitors},
        "networkPolicies": {"metricsFrom": [{"namespaceSelector": {}}]},
    }


@pytest.mark.parametrize("size", ["100G", "1.5Ti", "500Mi", "2P"])
def test_a_volume_may_have_any_quantity(size: str) -> None:
    (claim,) = find(render(with_size(size)), "StatefulSet", "td-timescaledb")["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == size


@pytest.mark.parametrize("value", ["1d", "1h30m", "2w", "90s", "1y", "1d12h30m15s500ms"])
def test_a_threshold_may_be_any_duration_of_prometheus(value: str) -> None:
    groups = find(render(with_threshold(value)), "PrometheusRule", "td")["spec"]["groups"]
    (rule,) = (rule for group in groups for rule in group["rules"] if rule["alert"] == "TapedeckGapsOpen")
    assert rule["for"] == value


@pytest.mark.parametrize("name", ["tapedeck-reader", "app.user", "user@server", "Tapedeck", "_x", "on", "null"])
def test_a_role_may_have_a_name_that_sql_quotes(name: str) -> None:
    data = find(render(with_role(name)), "Secret", "tapedeck-connections")["stringData"]
    for workload in ("migrate", "gateway", "recorder"):
        address = urlsplit(data[f"{workload}.store_dsn"])
        assert (address.username or "").replace("%40", "@") == name
        assert address.hostname == "db"
    roles = {**with_role(name), "store": {"roles": {"admin": {"username": name}}}, "timescaledb": {"enabled": True}}
    (database,) = find(render(roles), "StatefulSet", "td-timescaledb")["spec"]["template"]["spec"]["containers"]
    assert {each["name"]: each.get("value") for each in database["env"]}["POSTGRES_USER"] == name
    assert database["readinessProbe"]["exec"]["command"][-1] == name


@pytest.mark.parametrize(
    ("values", "at"),
    [
        (with_size("100"), "/timescaledb/size"),
        (with_size("ten Gi"), "/timescaledb/size"),
        (with_size("100K"), "/timescaledb/size"),
        (with_threshold(""), "gapsOpenFor"),
        (with_threshold("1m1h"), "gapsOpenFor"),
        (with_threshold("5"), "gapsOpenFor"),
        (with_role("a b"), "username"),
        (with_role('x"; DROP ROLE y; --'), "username"),
        (with_role("a" * 64), "username"),
        ({**EXTERNAL, "metrics": {"podMonitor": {"interval": "1m30s"}}}, "/metrics/podMonitor/interval"),
        ({**EXTERNAL, "tracing": {"endpoint": "tempo:4318"}}, "/tracing/endpoint"),
        ({**EXTERNAL, "tracing": {"endpoint": "http://user:password@tempo:4318"}}, "/tracing/endpoint"),
        ({**EXTERNAL, "tracing": {"sampleRatio": 2}}, "/tracing/sampleRatio"),
        ({**EXTERNAL, "metrics": {"dataSources": {"loki": "loki:3100"}}}, "/metrics/dataSources/loki"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_they_would_refuse_is_refused_by_name(values: Json, at: str) -> None:
    done = template(values)
    assert done.returncode != 0
    assert at in done.stderr


def test_every_text_of_the_database_stays_one_in_yaml() -> None:
    """YAML takes on, null and 1e3 for other types, which the API server would refuse."""
    values = with_size("10Gi") | {"store": {"database": "on", "roles": {"admin": {"username": "null"}}}}
    values["timescaledb"]["storageClass"] = "yes"
    text = yaml.safe_dump(find(render(values), "StatefulSet", "td-timescaledb"))
    for name in ("on", "null", "yes"):
        assert f"'{name}'" in text


@pytest.mark.parametrize(
    ("loki", "tempo"), [("", ""), ("http://l:3100", ""), ("", "http://t:3200"), ("http://l:3100", "http://t:3200")]
)
def test_an_existing_loki_and_tempo_are_data_sources(loki: str, tempo: str) -> None:
    """Lines lead to traces, and traces to lines, where there are both."""
    sources = {"enabled": True, "loki": loki, "tempo": tempo}
    roles = {"reader": {"password": "p"}, "dashboards": {"password": "p"}}
    values = {**EXTERNAL, "store": {"host": "db", "roles": roles}}
    documents = render(values | {"metrics": {"dataSources": sources, "dashboards": {"logs": "Lines"}}})
    text = find(documents, "Secret", "td-datasources")["stringData"]["tapedeck.yaml"]
    found = {each["name"]: each for each in yaml.safe_load(text)["datasources"]}
    assert {name: found[name]["url"] for name in found if name != "Tapedeck"} == {
        name: url for name, url in (("Lines", loki), ("Tempo", tempo)) if url
    }
    if not (loki and tempo):
        assert not any("jsonData" in each for name, each in found.items() if name != "Tapedeck")
        return
    (field,) = found["Lines"]["jsonData"]["derivedFields"]
    assert field["datasourceUid"] == found["Tempo"]["uid"]
    assert found["Tempo"]["jsonData"]["tracesToLogsV2"]["datasourceUid"] == found["Lines"]["uid"]
    line = json.dumps({"event": "traced", "step": "store", "traceId": "0af7651916cd43dd8448eb211c80319c"})
    matched = re.search(field["matcherRegex"], line)
    assert matched is not None and matched[1] == "0af7651916cd43dd8448eb211c80319c"


def test_no_resource_may_name_the_certificates_of_the_gateway() -> None:
    gateway = {
        "tls": {"secret": "page-tls"},
        "ingress": {"enabled": True, "host": "deck.example.com", "tlsSecret": "ingress-tls"},
    }
    (operator,) = find(render({**EXTERNAL, "gateway": gateway}), "Deployment", "td-operator")["spec"]["template"][
        "spec"
    ]["containers"]
    refused = next(each["value"] for each in operator["env"] if each["name"] == "TAPEDECK_OPERATOR_OWN_SECRETS")
    assert {"page-tls", "ingress-tls"} <= set(json.loads(refused))
