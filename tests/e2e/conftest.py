"""A deck installed by the chart on the cluster of $TAPEDECK_E2E, a kubeconfig; without it these tests are left out.

The cluster must hold the images <TAPEDECK_E2E_REGISTRY>/<name>:<TAPEDECK_E2E_TAG> (tapedeck.dev, test). Broker and
database are those of tests/e2e/images; with TAPEDECK_E2E_VENDORS=1 the chart brings the vendors'.
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
    KUBECONFIG,
    VENDORS,
    Deck,
    bring_services,
    external,
    install,
    kubectl,
    prepare_services,
    run,
    vendors,
)
from secured.services import Authority, secrets, values

HERE = Path(__file__).parent
SAMPLE_BARS = 13_886  # examples/feed.yaml says so


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # The release is upgraded for those that want it secured, and stays so.
    items.sort(key=lambda item: HERE in item.path.parents and "secured" in getattr(item, "fixturenames", ()))
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(600))
            if not KUBECONFIG:
                item.add_marker(pytest.mark.skip(reason="needs a cluster: make e2e"))


@pytest.fixture(scope="session")
def client() -> Iterator[httpx.Client]:
    """Speaks to the API server as kubectl does: as the user of the current context, by certificate or token."""
    document = json.loads(kubectl("config", "view", "--minify", "--flatten", "--raw", "-o", "json"))
    cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
    authority = base64.b64decode(cluster.get("certificate-authority-data", "")).decode()
    context = ssl.create_default_context(cadata=authority or None)
    headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
    if not headers:
        _show_certificate(context, user)
    server = cluster["server"]
    with httpx.Client(base_url=server, verify=context, headers=headers, timeout=30.0, trust_env=False) as client:
        yield client


def _show_certificate(context: ssl.SSLContext, user: dict[str, str]) -> None:
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
    """Makes namespaces that take restricted pods only, but for the vendor's broker; they go at the end."""
    made: list[str] = []
    level = "baseline" if VENDORS else "restricted"

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
    """The namespace of a broker and a database that are secured; they start while other tests run."""
    namespace = namespaces()
    secrets(namespace, authority)
    bring_services(namespace)
    return namespace


@pytest.fixture(scope="session")
def deck(request: pytest.FixtureRequest, client: httpx.Client, namespaces: Callable[[], str]) -> Iterator[Deck]:
    """Broker, database and the chart, in external mode and plain text, with the sample data brought in."""
    namespace = namespaces()
    if not VENDORS:
        bring_services(namespace)
        prepare_services(namespace)
    install(namespace, vendors() if VENDORS else external(namespace))
    made = Deck(namespace, namespace, client)
    bring_samples(made)
    if not VENDORS:
        request.getfixturevalue("secured_services")
    yield made
    run("helm", "-n", namespace, "uninstall", "td", "--wait")


def bring_samples(deck: Deck) -> None:
    """The sample data, brought in as the example says, and recorded."""
    things = deck.things()
    feed = example(things, "feed")
    told = things.status(feed, lambda s: s.get("phase") in ("Complete", "Failed"), seconds=90)
    assert told["phase"] == "Complete", told
    assert told["bars"] == SAMPLE_BARS
    things.until(lambda: deck.sql("SELECT count(*) FROM bars") == [[str(SAMPLE_BARS)]], 30)


@pytest.fixture(scope="session")
def secured(deck: Deck, secured_services: str, authority: Authority) -> Deck:
    """The same release upgraded to the secured services; its tests are put behind the others."""
    prepare_services(secured_services)
    install(deck.namespace, values(secured_services, authority))
    for kind in ("Backtest", "Replay", "Feed"):
        deck.client.delete(PATHS[kind].format(deck.namespace)).raise_for_status()
    made = Deck(deck.namespace, secured_services, deck.client)
    bring_samples(made)
    return made


@pytest.fixture
def elsewhere(client: httpx.Client) -> Iterator[Callable[[], Things]]:
    """Makes empty namespaces for users."""
    made: list[Things] = []

    def make() -> Things:
        made.append(Things(client))
        return made[-1]

    yield make
    for things in made:
        kubectl("delete", "namespace", things.namespace, "--wait=false", "--ignore-not-found")
