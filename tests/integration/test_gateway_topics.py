"""What the gateway reads of the broker and the database while these fail: nothing is passed over for good."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from pods.expected_bars import T0
from pods.gateway import MINUTE, insert_equity, insert_fills, insert_run
from tapedeck_common.kafka import admin, producer
from tapedeck_common.market import Trade, series_key
from tapedeck_common.settings import Connections
from tapedeck_common.topic_admin import ensure_topics
from tapedeck_common.wire import decode_trade, encode, market_headers
from tapedeck_crds.errors import Unavailable
from tapedeck_gateway.options import GatewayLimits
from tapedeck_gateway.push.protocol.messages import EquityMessage, FillsMessage, RunMessage
from tapedeck_gateway.push.run_channel import RunChannel
from tapedeck_gateway.push.run_poller import RunPoller
from tapedeck_gateway.store import runs
from tapedeck_gateway.store.pool import Pool
from tapedeck_gateway.topics import live_records, topic_reader
from tapedeck_gateway.topics.live_records import RecordSeries
from tapedeck_gateway.topics.topic_reader import TopicReader
from waits import eventually


@pytest.fixture
def reader(connections: Connections) -> Iterator[TopicReader]:
    running = TopicReader(connections, 60.0, lambda _changed: None)
    yield running
    running.stop()


def test_a_topic_that_is_made_later_is_read(
    reader: TopicReader, connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = f"tests.trades.{uuid.uuid4().hex[:8]}"
    monkeypatch.setitem(live_records._DECODERS, topic, decode_trade)
    monkeypatch.setattr(topic_reader, "RETRY_SECONDS", 0.1)
    series = RecordSeries(topic, "x", "A/B")
    reader.records.watch(series)
    reader.start()
    client = producer(connections, "tests")
    time.sleep(1)  # it has looked for the topic
    ensure_topics(admin(connections, "tests"), [topic], 3)
    trade = Trade("x", "A/B", T0, "1", 1.0, 1.0, "buy")
    client.produce(topic, encode(trade), key=series_key("x", "A/B").encode(), headers=market_headers("live"))
    assert client.flush(60) == 0
    assert eventually(lambda: reader.records.after(series, 0, T0)[1]) == [trade]
    assert reader.alive


class Limits:
    """The position of the replay that a run is bound to."""

    def __init__(self, until: int) -> None:
        self.until = until

    def of_replay(self, _uid: str) -> int:
        return self.until


@pytest.fixture
def pool(connections: Connections) -> Iterator[Pool]:
    opened = Pool(connections, GatewayLimits())
    yield opened
    opened.close()


@pytest.mark.parametrize("query", ["last_seqs", "max_drawdown_percent", "equity", "fills"])
def test_a_run_goes_back_with_its_replay_also_where_a_query_fails(
    pool: Pool, store: str, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    run_id = f"run-{uuid.uuid4().hex[:8]}"
    insert_run(store, run_id, replay_uid="uid")
    insert_equity(store, run_id, [(i, T0 + i * MINUTE, 10_000.0 + i, 5_000.0) for i in range(10)])
    insert_fills(store, run_id, [(i, T0 + i * MINUTE, "buy", 1.5, 7_000.0 + i) for i in range(10)])
    row = runs.run(pool, run_id)
    assert row is not None
    limits: Any = Limits(T0 + 9 * MINUTE)
    channel = RunChannel("run", run_id, RunPoller(pool, {**row, "last_event": T0 + 9 * MINUTE}, limits))
    sent: list[str] = []

    class Follower:
        def send(self, message: Any) -> None:
            sent.append(message.kind)

        def send_snapshot(self) -> None:
            sent.append("snapshot")

    follower = Follower()
    channel.subscribers.add(follower)
    asked = getattr(runs, query)
    failures = iter([True, True])

    def failing(*values: Any) -> Any:
        if next(failures, False):
            raise Unavailable("the database does not answer; try again")
        return asked(*values)

    limits.until = T0 + 4 * MINUTE
    with monkeypatch.context() as patched:
        patched.setattr(runs, query, failing)
        patched.setattr(runs, "run", lambda *_: {**row, "last_event": T0 + 9 * MINUTE})
        for _ in range(2):
            with pytest.raises(Unavailable):
                channel.poll()
            channel.push()
        assert channel.poll()
        channel.push()
    assert sent == ["reset", "snapshot"]
    figures, fills, equity = channel.state(100)
    assert isinstance(fills, FillsMessage)
    assert isinstance(equity, EquityMessage)
    assert isinstance(figures, RunMessage)
    assert [each.seq for each in fills.fills] == list(range(5))
    assert [each.seq for each in equity.points] == list(range(5))
    assert figures.value == 10_004.0
