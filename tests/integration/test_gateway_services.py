"""A broker or a database that does not answer: the gateway says so, and serves what the other has."""

from __future__ import annotations

import json
import signal
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from websockets.sync.client import connect

from pods.channel_client import ChannelClient, OpenSocket
from pods.expected_bars import T0
from pods.gateway import FILE_SPEC, MINUTE, Gateway, ReplayTopic, insert_bars, insert_run, running_gateway, walk
from pods.raw_http import get_request, open_connection, read_to_end
from pods.services import Services
from tapedeck_common.settings import Connections
from tapedeck_deck.embedded.postgres import SUPERUSER
from waits import eventually, within


@contextmanager
def database_away(services: Services, store: str) -> Iterator[None]:
    """The database accepts no connections, and has ended those that it had."""
    name = str(conninfo_to_dict(store)["dbname"])

    def allow(allowed: bool) -> None:
        statement = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(sql.Identifier(name), sql.Literal(allowed))
        with psycopg.connect(services.postgres.dsn(SUPERUSER), autocommit=True) as connection:
            connection.execute(statement)
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))

    allow(False)
    try:
        yield
    finally:
        allow(True)


@contextmanager
def broker_away(services: Services) -> Iterator[None]:
    """The broker is stopped and answers nothing."""
    broker = services.broker.process
    assert broker is not None
    broker.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        broker.send_signal(signal.SIGCONT)


def missing(gateway: Gateway, path: str) -> str | None:
    """The services that a response says it lacks."""
    with urllib.request.urlopen(gateway.url + path, timeout=60) as answer:
        header: str | None = answer.headers["x-tapedeck-missing"]
        return header


def tickers(gateway: Gateway) -> list[str]:
    return [symbol["ticker"] for symbol in gateway.get("/search", query="")[1]]


def test_what_the_other_service_has_is_served(
    gateway: Gateway, open_socket: OpenSocket, store: str, connections: Connections, services: Services
) -> None:
    bars = walk(31, 60, T0)
    insert_bars(store, bars)
    insert_run(store, "run-1")
    replay = ReplayTopic(connections, spec=FILE_SPEC, range_from=T0)
    replay.play(bars[:30])
    of_store = ReplayTopic(connections, name="store", range_from=T0 + 30 * MINUTE)
    of_store.play(bars[30:40])
    names = [f"replay/default/{each.name}:BTC/USD" for each in (replay, of_store)]
    client = open_socket()

    def told() -> tuple[bool, bool] | None:
        messages = client.of("services")
        return (messages[-1]["broker"], messages[-1]["database"]) if messages else None

    def history(symbol: str) -> list[int]:
        found = gateway.get("/history", symbol=symbol, resolution="1", from_=0, to=T0 // 1000 + 86_400)[1]
        return [int(opened) for opened in found.get("t", [])]

    client.until(lambda: told() == (True, True))
    assert gateway.get("/readyz") == (200, "broker: answers\ndatabase: answers\n")
    assert len(history(of_store.ticker)) == 40
    assert missing(gateway, "/search") is None

    with database_away(services, store):
        client.until(lambda: told() == (True, False), timeout=30)
        assert gateway.get("/readyz") == (200, "broker: answers\ndatabase: does not answer\n")
        # What is known stays, beside replays of other tests.
        assert {names[0], names[1], "coinbase:BTC/USD"} <= set(tickers(gateway))
        assert missing(gateway, "/search") == missing(gateway, "/config") == "database"
        assert len(history(replay.ticker)) == 30
        assert history(of_store.ticker) == [bar.ts // 1000 for bar in bars[30:40]]
        assert gateway.get("/api/latest")[0] == 503
        client.subscribe("playing", "bars", symbol=replay.ticker, interval="1m")
        replay.play(bars[30:35])
        client.until(lambda: bars[34].ts in client.bars("playing"))

        with broker_away(services):
            client.until(lambda: told() == (False, False), timeout=30)
            assert gateway.get("/readyz") == (503, "broker: does not answer\ndatabase: does not answer\n")
            assert "does not answer" in gateway.get("/status")[1]["message"]
            assert set(str(missing(gateway, "/config")).split(", ")) == {"broker", "database"}
            assert set(tickers(gateway)) >= {names[0], "coinbase:BTC/USD"}

    with broker_away(services):
        client.until(lambda: told() == (False, True), timeout=30)
        assert gateway.get("/readyz") == (200, "broker: does not answer\ndatabase: answers\n")
        assert set(tickers(gateway)) >= {names[0], "coinbase:BTC/USD"}
        assert missing(gateway, "/search") == "broker"
        assert len(history("coinbase:BTC/USD")) == 60
        assert [run["run_id"] for run in gateway.get("/api/runs")[1]] == ["run-1"]
        assert gateway.get("/api/replays")[0] == 503
        client.subscribe("live", "bars", symbol="coinbase:BTC/USD", interval="1m")  # read once the broker answers
        client.until(lambda: client.bars("live"))

    client.until(lambda: told() == (True, True), timeout=30)
    eventually(lambda: gateway.get("/api/replays")[0] == 200, timeout=30)
    assert {"coinbase:BTC/USD", *names} <= set(tickers(gateway))


def test_a_query_that_takes_too_long_is_told_from_an_outage(
    store: str, connections: Connections, tmp_path: Path
) -> None:
    insert_bars(store, walk(32, 60, T0))
    spec = json.dumps({"limits": {"querySeconds": 0.5}})
    too_slow = "query: got no result within 0.5 s; ask for a shorter range or for fewer rows"
    series = {"symbol": "coinbase:BTC/USD", "resolution": "1"}
    with running_gateway(tmp_path, connections, spec) as gateway:
        with psycopg.connect(store) as connection, connect(f"ws://127.0.0.1:{gateway.port}/api/v1/ws") as socket:
            connection.execute("LOCK TABLE bar_series, bars")  # a query waits for it
            assert gateway.get("/history", **series, to=T0 // 1000) == (200, {"s": "error", "errmsg": too_slow})
            assert gateway.get("/api/latest", exchange="coinbase") == (504, {"s": "error", "errmsg": too_slow})
            asked = {"type": "subscribe", "id": "b", "channel": "bars", "symbol": series["symbol"], "interval": "1m"}
            assert ChannelClient(socket).error(json.dumps(asked))["detail"] == too_slow
            assert gateway.get("/readyz") == (200, "broker: answers\ndatabase: answers\n")
        # On a busy machine a query may take as long without a lock.
        eventually(lambda: gateway.get("/api/latest", exchange="coinbase")[0] == 200)


def test_slow_queries_of_one_client_keep_no_other_out(store: str, connections: Connections, tmp_path: Path) -> None:
    insert_bars(store, walk(33, 60, T0))
    tokens = {f"{name}.read": name * 32 for name in "ab"}
    slow, quick = (
        get_request(path, f"authorization: Bearer {name * 32}")
        for path, name in (("/api/latest?exchange=coinbase", "a"), ("/api/runs", "b"))
    )
    with running_gateway(tmp_path, connections, tokens=tokens) as gateway, ExitStack() as stack:
        with psycopg.connect(store) as connection:
            connection.execute("LOCK TABLE bar_series, bars")  # a query waits for it
            waiting = [stack.enter_context(open_connection(gateway.port)) for _ in range(60)]
            for each in waiting:
                each.sendall(slow)
            other = stack.enter_context(open_connection(gateway.port))
            with within(5):
                other.sendall(quick)
                assert read_to_end(other, 60).status == 200
        assert {read_to_end(each, 60).status for each in waiting} <= {200, 429}
