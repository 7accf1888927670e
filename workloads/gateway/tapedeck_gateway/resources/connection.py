"""How the API of resources is reached: by the socket of a deck, or as a service account of a cluster."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx

from tapedeck_common.unix_socket import socket_address
from tapedeck_crds.errors import InvalidInput
from tapedeck_gateway.resources.deck_files import DeckFiles
from tapedeck_gateway.resources.kubernetes_api import KubernetesApi

UNIX = "unix:"
_TIMEOUT = httpx.Timeout(10.0, connect=5.0)
_LIMITS = httpx.Limits(max_connections=16, max_keepalive_connections=4, keepalive_expiry=30.0)


class ServiceAccountToken(httpx.Auth):
    """The bearer token in a file, which the kubelet renews."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
        request.headers["authorization"] = f"Bearer {self._file.read_text().strip()}"
        yield request


def connect_resources(address: str, credentials: Path | None) -> KubernetesApi | None:
    """The API at ``address``: unix:/path, or the https:// URL of an API server; None for an empty one.

    ``credentials`` is a folder with ``token`` and ``ca.crt``, for an API server. Raises InvalidInput. Nothing is
    connected before the first call.
    """
    if not address:
        return None
    if address.startswith(UNIX):
        return KubernetesApi(_client_of_deck(address))
    if not address.startswith("https://") or credentials is None:
        raise InvalidInput(
            f"TAPEDECK_RESOURCE_API: got {address!r}, expected unix:/path, or an https:// URL with the folder "
            "TAPEDECK_RESOURCE_API_CREDENTIALS"
        )
    try:
        authority = ssl.create_default_context(cafile=credentials / "ca.crt")
    except OSError as error:
        raise InvalidInput(f"{credentials / 'ca.crt'}: expected a certificate authority ({error})") from None
    return KubernetesApi(
        httpx.Client(
            base_url=address,
            verify=authority,
            auth=ServiceAccountToken(credentials / "token"),
            timeout=_TIMEOUT,
            limits=_LIMITS,
            trust_env=False,
        )
    )


def connect_files(address: str) -> DeckFiles | None:
    """The files of the deck at ``address``; None for a cluster's API server, which has none."""
    return DeckFiles(_client_of_deck(address)) if address.startswith(UNIX) else None


def _client_of_deck(address: str) -> httpx.Client:
    transport = httpx.HTTPTransport(uds=socket_address(Path(address.removeprefix(UNIX))), limits=_LIMITS)
    return httpx.Client(base_url="http://deck", transport=transport, timeout=_TIMEOUT, trust_env=False)
