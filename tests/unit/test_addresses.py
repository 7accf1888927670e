"""Where URLs of resources may lead to: the rule, and the two places where connections are made by it."""

from __future__ import annotations

import asyncio
import http.server
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import aiohttp
import pytest

from tapedeck_common.addresses import AddressRefused, EndpointPolicy
from tapedeck_common.files.store_proxy import StoreProxy
from tapedeck_feed.exchanges.connector import checked_connector

REFUSED = [
    "127.0.0.1", "127.8.9.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "100.100.100.200", "168.63.129.16", "192.0.0.192", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1",
    "fe80::1%eth0", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::", "2001:0:53aa:64c::1", "::169.254.169.254", "::ffff:0:169.254.169.254", "fec0::1", "192.88.99.1",
    "64:ff9b:1::a9fe:a9fe", "5f00::1", "2001:db8::1",
]  # fmt: skip


@pytest.mark.parametrize("address", REFUSED)
def test_only_public_addresses_are_permitted_by_default(address: str) -> None:
    with pytest.raises(AddressRefused):
        EndpointPolicy().check(address, address)
    with pytest.raises(AddressRefused, match="which is not public"):
        EndpointPolicy().check("innocent.example.com", address)


@pytest.mark.parametrize(
    "host", ["kubernetes", "minio.storage.svc", "db.default.svc.cluster.local", "METADATA.google.internal."]
)
def test_names_of_a_cluster_are_refused_whatever_they_resolve_to(host: str) -> None:
    with pytest.raises(AddressRefused, match="name of a cluster or a local network"):
        EndpointPolicy().check(host, "8.8.8.8")


def test_the_installation_permits_hosts_and_networks() -> None:
    policy = EndpointPolicy(allow=("minio.storage.svc", "*.corp.example", "10.1.0.0/16", "127.0.0.1"))
    for host, address in (
        ("minio.storage.svc", "10.9.9.9"), ("a.corp.example", "192.168.1.1"), ("x", "10.1.2.3"), ("y", "127.0.0.1"),
        ("api.binance.com", "8.8.8.8"), ("8.8.8.8", "8.8.8.8"),
    ):  # fmt: skip
        policy.check(host, address)
    for host, address in (("minio.other.svc", "10.9.9.9"), ("x", "10.2.0.1"), ("y", "127.0.0.2")):
        with pytest.raises(AddressRefused):
            policy.check(host, address)
    only = policy.model_copy(update={"public": False})
    only.check("a.corp.example", "8.8.8.8")
    with pytest.raises(AddressRefused, match="no endpoint of the installation"):
        only.check("api.binance.com", "8.8.8.8")


class _Redirecting(http.server.BaseHTTPRequestHandler):
    target = ""

    def do_GET(self) -> None:
        self.send_response(302 if self.path == "/redirect" else 200)
        if self.path == "/redirect":
            self.send_header("location", self.target)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, str]]:
    """URLs of two servers, on addresses of the loopback of which one is permitted in the tests."""
    servers = [http.server.ThreadingHTTPServer((address, 0), _Redirecting) for address in ("127.0.0.1", "127.0.0.2")]
    one, other = (f"http://{each.server_address[0]!s}:{each.server_port}" for each in servers)
    _Redirecting.target = f"{other}/secret"
    for each in servers:
        threading.Thread(target=each.serve_forever, daemon=True).start()
    yield one, other
    for each in servers:
        each.shutdown()
        each.server_close()


async def _get(url: str, policy: EndpointPolicy) -> str:
    async with aiohttp.ClientSession(connector=checked_connector(policy)) as session, session.get(url) as response:
        return await response.text()


def test_a_feed_connects_only_to_permitted_addresses_also_by_a_redirect(server: tuple[str, str]) -> None:
    one, other = server
    policy = EndpointPolicy(allow=("127.0.0.1",))
    assert asyncio.run(_get(f"{one}/", policy)) == "ok"
    by_name = one.replace("127.0.0.1", "localhost")
    assert asyncio.run(_get(f"{by_name}/", EndpointPolicy(allow=("localhost",)))) == "ok"
    for url, chosen in (
        (f"{one}/redirect", policy), (f"{other}/", policy), (f"{one}/", EndpointPolicy()), (by_name, EndpointPolicy()),
    ):  # fmt: skip
        with pytest.raises(aiohttp.ClientConnectorError, match="expected a public address"):
            asyncio.run(_get(url, chosen))


def test_an_object_store_is_reached_only_at_permitted_addresses(server: tuple[str, str]) -> None:
    one, other = server
    proxy = StoreProxy(EndpointPolicy(allow=("127.0.0.1",)))
    options = proxy.options
    address = f"http://{options['username']}:{options['password']}@{options['host']}:{options['port']}"
    through = urllib.request.build_opener(urllib.request.ProxyHandler({"http": address}))
    assert through.open(f"{one}/", timeout=60).read() == b"ok"
    for url in (f"{other}/", f"{one}/redirect", "http://169.254.169.254/latest/meta-data/"):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            through.open(url, timeout=60)
    stranger = urllib.request.build_opener(
        urllib.request.ProxyHandler({"http": f"http://tapedeck:guess@{options['host']}:{options['port']}"})
    )
    with pytest.raises(urllib.error.HTTPError, match="403"):
        stranger.open(f"{one}/", timeout=60)
    assert _tunnel(proxy, one.removeprefix("http://")).startswith(b"HTTP/1.1 200")
    assert _tunnel(proxy, other.removeprefix("http://")).startswith(b"HTTP/1.1 403")
    proxy.shutdown()
    proxy.server_close()


def _tunnel(proxy: StoreProxy, target: str) -> bytes:
    """What the proxy answers to a request for a tunnel."""
    import base64

    token = base64.b64encode(f"tapedeck:{proxy.password}".encode()).decode()
    with socket.create_connection(("127.0.0.1", int(proxy.options["port"])), timeout=60) as connection:
        connection.sendall(f"CONNECT {target} HTTP/1.1\r\nProxy-Authorization: Basic {token}\r\n\r\n".encode())
        return connection.recv(1000)
