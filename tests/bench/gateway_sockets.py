"""Pushing to many WebSockets: ``gateway-fanout-p99`` and ``gateway-client-memory``.

A bar of one series changes UPDATES times a second on the log; SOCKETS clients follow it, of which STALLED read nothing.

``gateway-fanout-p99``: from the broker's acknowledgement of a change until a client has it or a later one, ms; the
reference is the limit of 80. The gateway pushes the present state of a bar: where it is late, one message stands for
several changes. Each of these counts from its own time on, and the last one must reach every client that reads.
``gateway-client-memory``: what each client adds to the gateway's memory, while it is sent to, in kB (1,024 bytes); the
reference is the limit of 64.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from bench.figures import Figure
from bench.replay_environment import BenchEnvironment, bench_environment
from pods.gateway import Gateway, insert_bars, running_gateway, walk
from tapedeck_common.kafka import admin, producer
from tapedeck_common.market import Bar, series_key
from tapedeck_common.topic_admin import ensure_topics
from tapedeck_common.topics import MARKET_BARS, PERMANENT_PARTITIONS
from tapedeck_common.wire import encode, market_headers

SOCKETS = int(os.environ.get("TAPEDECK_BENCH_SOCKETS", "1000"))
SECONDS = float(os.environ.get("TAPEDECK_BENCH_SOCKET_SECONDS", "20"))
STALLED, UPDATES = 0.05, 10
LIMIT_MS, LIMIT_KB = 80.0, 64.0
EXCHANGE = "bench"
MINUTE = 60_000
SPEC = {
    "limits": {
        "sockets": 100_000,
        "socketsPerClient": 100_000,
        "connections": 10_000,
        "connectionsPerClient": 10_000,
        "requestsPerSecond": 1_000_000,
        "requestBurst": 1_000_000,
        "stallSeconds": 300,
        "writeSeconds": 300,
    }
}


def run() -> Iterator[Figure]:
    """Both figures, with a broker and a database of their own."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with bench_environment() as services:
        ensure_topics(admin(services.connections, "bench"), [MARKET_BARS], PERMANENT_PARTITIONS)
        stored = walk(1, 1_000, int(time.time() * 1_000) // MINUTE * MINUTE - 1_000 * MINUTE, exchange=EXCHANGE)
        insert_bars(services.connections.store_dsn.get_secret_value(), stored)
        folder = services.folder / "gateway"
        folder.mkdir()
        with running_gateway(folder, services.connections, json.dumps(SPEC)) as gateway:
            yield from _measure(services, gateway, stored[-1].ts + MINUTE)


def _measure(services: BenchEnvironment, gateway: Gateway, opened: int) -> Iterator[Figure]:
    process = _process_of(gateway)
    with _clients(gateway, 1) as warm:  # what the first client loads is not of each
        _result(warm, _publish(services, opened, 2.0))
        before = process.memory_info().rss
    with _clients(gateway, SOCKETS) as clients:
        published = _publish(services, opened, SECONDS)
        after = process.memory_info().rss
        result = _result(clients, published)
    expected = (SOCKETS - int(SOCKETS * STALLED)) * len(published)
    if result["known"] != expected:
        raise RuntimeError(
            f"the clients know of {result['known']} changes, by {result['messages']} messages, expected {expected}"
        )
    yield Figure("gateway-fanout-p99", result["p99"], "ms", LIMIT_MS, result["p99"] / LIMIT_MS)
    kilobytes = (after - before) / 1_024 / SOCKETS
    yield Figure("gateway-client-memory", kilobytes, "kB", LIMIT_KB, kilobytes / LIMIT_KB)


def _process_of(gateway: Gateway) -> psutil.Process:
    for connection in psutil.net_connections("tcp"):
        if connection.laddr and connection.laddr.port == gateway.port and connection.status == psutil.CONN_LISTEN:
            return psutil.Process(connection.pid)
    raise RuntimeError(f"no process listens on {gateway.port}")


def _publish(services: BenchEnvironment, opened: int, seconds: float) -> list[float]:
    """Change the bar UPDATES times a second; its volume counts the changes. Returns their times, in seconds."""
    client = producer(services.connections, "bench")
    key, headers = series_key(EXCHANGE, "BTC/USD").encode(), market_headers("live")
    begun, published = time.monotonic(), list[float]()
    for number in range(int(seconds * UPDATES)):
        time.sleep(max(0.0, begun + number / UPDATES - time.monotonic()))
        bar = Bar(EXCHANGE, "BTC/USD", "1m", opened, 1.0, 2.0, 1.0, 1.0, number + 1.0, closed=False)
        client.produce(MARKET_BARS, encode(bar), key=key, headers=headers)
        client.flush(10)
        published.append(time.time())
    time.sleep(1)
    return published


def _clients(gateway: Gateway, count: int) -> subprocess.Popen[str]:
    """A process of ``count`` clients that have subscribed."""
    clients = subprocess.Popen(
        [sys.executable, "-m", "bench.gateway_clients", str(gateway.port), str(count), str(int(count * STALLED))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    if clients.stdout is None or clients.stdout.readline() != "ready\n":
        raise RuntimeError("the clients did not subscribe")
    return clients


def _result(clients: subprocess.Popen[str], published: list[float]) -> dict[str, float]:
    output, _ = clients.communicate(f"{json.dumps(published)}\n", timeout=60)
    found: dict[str, float] = json.loads(output)
    return found
