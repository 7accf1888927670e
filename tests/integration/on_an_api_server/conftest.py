"""The API server that these tests share, each in its own namespace."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kube.api import KubeApi, install_crds
from kube.operator import CRDS, USER


@pytest.fixture(scope="package")
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeApi]:
    """An API server with our CRDs and an audit log of the operator's requests."""
    api = KubeApi(tmp_path_factory.mktemp("kube"), audited=USER)
    try:
        api.start()
        with api.client() as client:
            install_crds(client, CRDS)
        yield api
    finally:
        api.stop()
