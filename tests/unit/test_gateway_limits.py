"""The limits of clients as plain state: connections by client, and the rate of requests."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import pytest
from psycopg_pool import ConnectionPool
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from charts.rendered import CHART
from tapedeck_common.settings import Connections
from tapedeck_gateway.access.client_address import client_key
from tapedeck_gateway.access.counted import client_of
from tapedeck_gateway.access.errors import TooManyRequests
from tapedeck_gateway.access.rate_limit import RateLimit
from tapedeck_gateway.access.request_slots import RequestSlots
from tapedeck_gateway.options import GatewayLimits
from tapedeck_gateway.server.connection_table import ConnectionTable
from tapedeck_gateway.store.pool import Pool


class Client:
    def __init__(self, client_key: str) -> None:
        self.client_key = client_key
        self.dropped = False

    def drop(self) -> None:
        self.dropped = True


def test_the_connection_that_waits_longest_makes_room() -> None:
    table = ConnectionTable(limit=3, limit_of_client=2)
    first, second, third = Client("a"), Client("b"), Client("c")
    assert all(map(table.open, (first, second, third)))
    table.answer(first)
    newcomer = Client("d")
    assert table.open(newcomer)
    assert [each.dropped for each in (first, second, third, newcomer)] == [False, True, False, False]
    for each in (third, newcomer):
        table.answer(each)
    assert not table.open(Client("e"))  # all are being answered
    table.wait(first)
    assert table.open(Client("e"))
    assert first.dropped
    table.close(third)
    table.close(third)  # twice changes nothing
    assert table.open(Client("f"))
    assert not third.dropped


def test_a_client_takes_no_other_clients_place() -> None:
    table = ConnectionTable(limit=100, limit_of_client=3)
    other = Client("b")
    table.open(other)
    own = [Client("a") for _ in range(10)]
    assert all(map(table.open, own))
    assert [each.dropped for each in own] == [True] * 7 + [False] * 3
    assert not other.dropped


def test_the_rate_and_the_burst_of_each_client() -> None:
    """Beside a bucket that is filled and emptied step by step."""
    rng, limit = random.Random(5), RateLimit(per_second=4, burst=3)
    now, tokens, seen = 100.0, 3.0, 100.0
    allowed = 0
    for _ in range(2_000):
        now += rng.choice([0.0, 0.01, 0.125, 0.25, 0.5, 2.0])
        tokens, seen = min(3.0, tokens + (now - seen) * 4), now
        wait = limit.seconds_until_allowed("a", now)
        assert (wait == 0) == (tokens >= 1 - 1e-6), (now, tokens, wait)
        if wait == 0:
            tokens, allowed = tokens - 1, allowed + 1
        else:
            assert wait == pytest.approx((1 - tokens) / 4)
    assert 200 < allowed < 2_000
    assert limit.seconds_until_allowed("b", now) == 0


def test_the_table_of_clients_is_bounded() -> None:
    limit = RateLimit(per_second=0.001, burst=1, clients=10)
    assert limit.seconds_until_allowed("first", 0.0) == 0
    for number in range(9):
        assert limit.seconds_until_allowed(str(number), 0.0) == 0
        assert limit.seconds_until_allowed("first", 0.0) > 0
    for number in range(100):
        limit.seconds_until_allowed(f"other {number}", 0.0)
    assert len(limit._paid_at) == 10


def test_a_client_waits_for_a_slot_of_its_own_alone() -> None:
    async def use() -> list[str]:
        slots, seen = RequestSlots(2, wait_seconds=0.2), list[str]()
        ended = asyncio.Event()

        async def hold(client: str) -> None:
            async with slots.slot(client):
                seen.append(client)
                await ended.wait()

        holders = [asyncio.create_task(hold(client)) for client in ("a", "a", "a", "b")]
        with pytest.raises(TooManyRequests, match="requests: expected at most 2 at a time; try again"):
            await holders[2]
        ended.set()
        await asyncio.gather(*holders, return_exceptions=True)
        async with slots.slot("a"):
            seen.append("later")
        assert not slots._clients
        return seen

    assert asyncio.run(use()) == ["a", "a", "b", "later"]


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        (None, ""),
        ("10.1.2.3:50123", "10.1.2.3"),
        ("[2001:db8:1:2:3:4:5:6]:443", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2:3:4:5:6]", "2001:db8:1:2::/64"),
        ("[::ffff:10.1.2.3]:1", "10.1.2.3"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.9.8.7:1", "127.0.0.1"),
        ("::1", "127.0.0.1"),
        ("10.1.2.3:port", "unknown"),
        ("made up", "unknown"),
    ],
)
def test_a_client_is_an_address_or_an_ipv6_network(host: str | None, key: str) -> None:
    assert client_key(host) == key


def test_a_port_in_x_forwarded_for_makes_no_client_of_its_own() -> None:
    seen = set[str]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.add(client_of(scope))

    async def ask() -> None:
        proxied = ProxyHeadersMiddleware(app, ["10.0.0.0/8"])
        for port in range(5):
            for entry in (f"203.0.113.7:{port}", f"198.51.100.1:9, 203.0.113.7:{port}, 10.0.0.2:{port}"):
                headers = [(b"x-forwarded-for", entry.encode())]
                scope: Any = {"type": "http", "client": ("10.0.0.1", port), "headers": headers}
                await proxied(scope, None, None)  # type: ignore[arg-type]

    asyncio.run(ask())
    assert seen == {"203.0.113.7"}


def test_two_clients_do_not_hold_all_connections_to_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, Any] = {}
    monkeypatch.setattr(ConnectionPool, "__init__", lambda _self, *_, **options: made.update(options))
    monkeypatch.setattr(ConnectionPool, "open", lambda *_, **__: None)
    for at_once in (1, 8, 50):
        Pool(Connections(storeDsn="postgresql://x@y/z"), GatewayLimits(requests_at_once=at_once))
        assert made["max_size"] > 2 * at_once


def test_the_charts_values_have_every_limit() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    of_chart = schema["properties"]["gateway"]["properties"]["limits"]["properties"]
    assert list(of_chart) == [field.alias for field in GatewayLimits.model_fields.values()]
