"""A release of the chart on the cluster of the kubeconfig $TAPEDECK_E2E; these tests are skipped without it.

The cluster must have the images <TAPEDECK_E2E_REGISTRY>/<name>:<TAPEDECK_E2E_TAG> (tapedeck.dev, test). Broker and
database are those of tests/e2e/images; with TAPEDECK_E2E_VENDORS=1 they are the dependencies of the chart.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from decks.runs import example
from kube.operator import PATHS, Things
from release import (
    BUNDLED,
    KUBECONFIG,
    Deck,
    apply_services,
    bundled_values,
    external_values,
    install,
    kubectl,
    run,
    wait_services,
)
from secured.services import Authority, apply_secrets, secured_values

HERE = Path(__file__).parent
SAMPLE_BARS = 13_886  # examples/feed.yaml says so


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # The fixture `secured` upgrades the release for good, so its tests come last.
    items.sort(key=lambda item: HERE in item.path.parents and "secured" in getattr(item, "fixturenames", ()))
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(600))
            if not KUBECONFIG:
                item.add_marker(pytest.mark.skip(reason="needs a cluster: make e2e"))


@pytest.fixture(scope="session")
def client() -> Iterator[httpx.Client]:
    """A client of the API server with the user of the current context, by certificate or token."""
    document = json.loads(kubectl("config", "view", "--minify", "--flatten", "--raw", "-o", "json"))
    cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
    authority = base64.b64decode(cluster.get("certificate-authority-data", "")).decode()
    context = ssl.create_default_context(cadata=authority or None)
    headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
    if not headers:
        _load_certificate(context, user)
    server = cluster["server"]
    with httpx.Client(base_url=server, verify=context, headers=headers, timeout=30.0, trust_env=False) as client:
        yield client


def _load_certificate(context: ssl.SSLContext, user: dict[str, str]) -> None:
    names = ("client-certificate-data", "client-key-data")
    assert set(names) <= set(user), (
        f"{KUBECONFIG}: got a user with {', '.join(user)}, expected a certificate or a token"
    )
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            (Path(folder) / name).write_bytes(base64.b64decode(user[name]))
        certificate, key = (Path(folder) / name for name in names)
        context.load_cert_chain(certificate, key)


@pytest.fixture(scope="session")
def namespaces() -> Iterator[Callable[[], str]]:
    """Creates namespaces that allow restricted pods only (baseline for the chart's broker); deletes them at the end."""
    made: list[str] = []
    level = "baseline" if BUNDLED else "restricted"

    def make() -> str:
        made.append(f"e2e-{uuid.uuid4().hex[:6]}")
        kubectl("create", "namespace", made[-1])
        kubectl("label", "namespace", made[-1], f"pod-security.kubernetes.io/enforce={level}")
        return made[-1]

    yield make
    if os.environ.get("TAPEDECK_E2E_KEEP") != "1":
        kubectl("delete", "namespace", *made, "--wait=false")


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def secured_services(namespaces: Callable[[], str], authority: Authority) -> str:
    """The namespace of a broker and a database with TLS; they start while other tests run."""
    namespace = namespaces()
    apply_secrets(namespace, authority)
    apply_services(namespace)
    return namespace


@pytest.fixture(scope="session")
def deck(request: pytest.FixtureRequest, client: httpx.Client, namespaces: Callable[[], str]) -> Iterator[Deck]:
    """Broker, database and the chart, with external services in plain text, and the sample data imported."""
    namespace = namespaces()
    if not BUNDLED:
        apply_services(namespace)
        wait_services(namespace)
    install(namespace, bundled_values() if BUNDLED else external_values(namespace))
    made = Deck(namespace, namespace, client)
    import_samples(made)
    if not BUNDLED:
        request.getfixturevalue("secured_services")
    yield made
    run("helm", "-n", namespace, "uninstall", "td", "--wait")


def import_samples(deck: Deck) -> None:
    """Import the sample data by the example Feed, and wait until it is recorded."""
    things = deck.things()
    feed = example(things, "feed")
    status = things.status(feed, lambda s: s.get("phase") in ("Complete", "Failed"), seconds=90)
    assert status["phase"] == "Complete", status
    assert status["bars"] == SAMPLE_BARS
    things.until(lambda: deck.sql("SELECT count(*) FROM bars") == [[str(SAMPLE_BARS)]], 30)


@pytest.fixture(scope="session")
def tenants(namespaces: Callable[[], str]) -> tuple[str, str]:
    """Two namespaces with users of their own."""
    return namespaces(), namespaces()


@pytest.fixture(scope="session")
def secured(deck: Deck, secured_services: str, authority: Authority, tenants: tuple[str, str]) -> Deck:
    """The same release upgraded to the services with TLS; its tests run last. Replays and Backtests of ``tenants``."""
    wait_services(secured_services)
    allowed = {namespace: ["replay", "backtest"] for namespace in tenants}
    install(deck.namespace, secured_values(secured_services, authority, allowed))
    for kind in ("Backtest", "Replay", "Feed"):
        deck.client.delete(PATHS[kind].format(deck.namespace)).raise_for_status()
    made = Deck(deck.namespace, secured_services, deck.client)
    import_samples(made)
    return made


@pytest.fixture
def elsewhere(client: httpx.Client) -> Iterator[Callable[[], Things]]:
    """Creates empty namespaces for users."""
    made: list[Things] = []

    def make() -> Things:
        made.append(Things(client))
        return made[-1]

    yield make
    for things in made:
        kubectl("delete", "namespace", things.namespace, "--wait=false", "--ignore-not-found")
