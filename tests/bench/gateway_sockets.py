"""Pushing to many WebSockets: ``gateway-fanout-p99`` and ``gateway-client-memory``.

A bar of one series changes UPDATES times a second on the log; SOCKETS clients follow it, of which STALLED read nothing.

``gateway-fanout-p99``: from the hand-over of a change to the broker until a client has it, ms; the reference is the
limit of 80. ``gateway-client-memory``: what each client adds to the gateway's memory, while it is sent to, in kB (1,024
bytes); the reference is the limit of 64.
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
        _publish(services, opened, 2.0)
        _result(warm)
        before = process.memory_info().rss
    with _clients(gateway, SOCKETS) as clients:
        _publish(services, opened, SECONDS)
        after = process.memory_info().rss
        latencies = _result(clients)
    expected = int(SOCKETS * (1 - STALLED)) * int(SECONDS * UPDATES)
    if latencies["count"] < 0.99 * expected:
        raise RuntimeError(f"the clients got {latencies['count']} updates, expected {expected}")
    yield Figure("gateway-fanout-p99", latencies["p99"], "ms", LIMIT_MS, latencies["p99"] / LIMIT_MS)
    kilobytes = (after - before) / 1_024 / SOCKETS
    yield Figure("gateway-client-memory", kilobytes, "kB", LIMIT_KB, kilobytes / LIMIT_KB)


def _process_of(gateway: Gateway) -> psutil.Process:
    for connection in psutil.net_connections("tcp"):
        if connection.laddr and connection.laddr.port == gateway.port and connection.status == psutil.CONN_LISTEN:
            return psutil.Process(connection.pid)
    raise RuntimeError(f"no process listens on {gateway.port}")


def _publish(services: BenchEnvironment, opened: int, seconds: float) -> None:
    """Change the bar UPDATES times a second; its close is the time of the change, in seconds."""
    client = producer(services.connections, "bench")
    key, headers = series_key(EXCHANGE, "BTC/USD").encode(), market_headers("live")
    begun = time.monotonic()
    for number in range(int(seconds * UPDATES)):
        time.sleep(max(0.0, begun + number / UPDATES - time.monotonic()))
        now = time.time()
        bar = Bar(EXCHANGE, "BTC/USD", "1m", opened, 1.0, 1e12, 1.0, now, number + 1.0, closed=False)
        client.produce(MARKET_BARS, encode(bar), key=key, headers=headers)
        client.flush(10)
    time.sleep(1)


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


def _result(clients: subprocess.Popen[str]) -> dict[str, float]:
    output, _ = clients.communicate("\n", timeout=60)
    found: dict[str, float] = json.loads(output)
    return found
