"""A traced record from publish to stored row and pushed candle, as a receiver of OpenTelemetry's protocol sees it."""

from __future__ import annotations

import json
import signal
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from confluent_kafka import Consumer, Message, TopicPartition
from websockets.sync.client import connect

from pods.backtest import BacktestPod
from pods.channel_client import ChannelClient
from pods.feed import FeedPod
from pods.gateway import Gateway, insert_bars, running_gateway
from pods.otlp import ReceivedSpan, TraceReceiver, trace_receiver
from pods.recorder import MINUTE, T0, RecorderProcess, publish, recorders, select
from pods.replay import ReplayProcess, insert_minutes
from pods.runs import spec
from pods.services import as_role
from pods.transform import TransformProcess
from tapedeck_common.market import Bar, Trade
from tapedeck_common.settings import Connections
from tapedeck_common.topics import MARKET_TRADES
from tapedeck_common.tracing import close_tracing, configure_tracing
from tapedeck_common.wire import encode
from tapedeck_deck.embedded import forkserver
from tapedeck_deck.embedded.ports import free_port
from tapedeck_deck.embedded.processes import Process
from tapedeck_feed.output.publisher import MarketDataPublisher
from waits import eventually, within

PRODUCER, CONSUMER = 4, 5  # of the protocol's SpanKind
NAMES = ("open", "high", "low", "close", "volume")


def traced_environment(url: str, ratio: float = 1.0) -> dict[str, str]:
    """What the planner puts into the environment of pods."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": str(ratio),
    }


def launch_with(
    added: Mapping[str, str], module: str, arguments: Sequence[str], *, log: Path, env: Mapping[str, str], cwd: Path
) -> Process:
    return forkserver.start(module, arguments, log=log, env={**env, **added}, cwd=cwd)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def receiver(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> TraceReceiver:
    """A receiver that all pods of the test export to."""
    receiver = stack.enter_context(trace_receiver())
    for name, value in traced_environment(receiver.url).items():
        monkeypatch.setenv(name, value)
    return receiver


@pytest.fixture
def recorder(stack: ExitStack, tmp_path: Path, connections: Connections, receiver: TraceReceiver) -> RecorderProcess:
    dsn = as_role(connections, "tapedeck_recorder").store_dsn.get_secret_value()
    (recorder,) = stack.enter_context(recorders(tmp_path, connections.kafka_bootstrap, dsn))
    recorder.launch = partial(launch_with, traced_environment(receiver.url))
    recorder.start()
    return recorder


@pytest.fixture
def gateway(stack: ExitStack, tmp_path: Path, connections: Connections, receiver: TraceReceiver) -> Gateway:
    (folder := tmp_path / "gateway").mkdir()
    return stack.enter_context(running_gateway(folder, as_role(connections, "tapedeck_reader")))


def client_of(gateway: Gateway, stack: ExitStack) -> ChannelClient:
    url = f"ws://127.0.0.1:{gateway.port}/api/v1/ws"
    return ChannelClient(stack.enter_context(connect(url, max_size=None)))


def ways(receiver: TraceReceiver, key: str) -> dict[str, list[ReceivedSpan]]:
    """The spans of each trace that begins with a record of this key, by trace id, in order of their begin."""
    spans = sorted(receiver.spans(), key=lambda span: span.start)
    roots = [
        span.trace_id for span in spans if span.attributes["messaging.kafka.message.key"] == key and not span.parent
    ]
    return {trace: [span for span in spans if span.trace_id == trace] for trace in roots}


def record_at(bootstrap: str, span: ReceivedSpan) -> Message:
    """The record at the place that a span names, as a plain consumer reads it."""
    place = TopicPartition(
        str(span.attributes["messaging.destination.name"]),
        int(span.attributes["messaging.destination.partition.id"]),
        int(span.attributes["messaging.kafka.offset"]),
    )
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "raw", "isolation.level": "read_committed"})
    try:
        consumer.assign([place])
        message = eventually(lambda: consumer.poll(1.0))
    finally:
        consumer.close()
    assert (message.error(), message.offset()) == (None, place.offset)
    return message


def bars_of(connections: Connections, replay: ReplayProcess) -> list[Message]:
    """The bars of a replay's topic, as a plain consumer reads them: all records with a key."""
    settings = {"bootstrap.servers": connections.kafka_bootstrap, "group.id": "raw", "enable.partition.eof": True}
    consumer = Consumer({**settings, "isolation.level": "read_committed"})
    read: list[Message] = []
    try:
        consumer.assign([TopicPartition(replay.topic, 0, 0)])
        while not (read and read[-1].error()):
            read += consumer.consume(1_000, 1.0)
    finally:
        consumer.close()
    return [message for message in read if not message.error() and message.key()]


def headers_of(message: Message, replay: ReplayProcess) -> tuple[tuple[bytes, bytes], ...]:
    """A record's headers, without the uid of its replay."""
    headers = message.headers()
    assert isinstance(headers, list)
    found = [(name.encode(), value if isinstance(value, bytes) else b"") for name, value in headers]
    return tuple((name, value.replace(replay.uid.encode(), b"UID")) for name, value in found)


def told(log: Path) -> list[tuple[str, str]]:
    """Step and trace id of the lines that tell of traced records."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [(line["step"], line["traceId"]) for line in lines if line["event"] == "traced"]


def prices(values: Mapping[str, Any]) -> list[float]:
    return [values[name] for name in NAMES]


def stored_prices(store: str, exchange: str, ts: int) -> list[list[float]]:
    query = "SELECT open, high, low, close, volume FROM bars WHERE exchange = %s AND ts = to_timestamp(%s / 1000.0)"
    return [list(row) for row in select(store, query, exchange, ts)]


def test_a_bar_of_a_replay_is_followed_to_its_row_its_points_and_its_candle(
    stack: ExitStack,
    receiver: TraceReceiver,
    recorder: RecorderProcess,
    gateway: Gateway,
    connections: Connections,
    store: str,
    tmp_path: Path,
) -> None:
    """Beside what other tests' Replays have recorded on the broker: the recorder stores that, too."""
    exchange = f"x{uuid.uuid4().hex[:8]}"
    insert_minutes(store, exchange, ["A/B"], 30)
    source = {"store": {"exchange": exchange, "symbols": ["A/B"]}}
    played = {"source": source, "record": True, "transforms": [{"name": "mean", "sma": {"over": 1}}]}
    replay = ReplayProcess(tmp_path, connections, played)
    replay.start()
    replay.until(lambda report: report["state"] == "waiting")
    transforms = TransformProcess(tmp_path, connections, "Replay", played, replay.uid, name=replay.name)
    transforms.start()
    stack.callback(transforms.kill)
    client = client_of(gateway, stack)
    client.subscribe("bars", "bars", symbol=f"replay/{replay.uid}/{exchange}:A/B", interval="1m")
    client.until(lambda: client.of("bars", "bars"))  # the snapshot
    run = BacktestPod(connections, tmp_path / "run", spec({"replay": {"name": replay.name}}), replay_uid=replay.uid)
    run.start()
    replay.anchor(unpaced=True)
    assert (replay.wait(), run.wait()) == (0, 0), run.log.read_text()[-2000:]

    expected = ["backtest", "publish", "push", "store", "store", "transform"]
    way = eventually(
        lambda: next(
            (w for w in ways(receiver, f"{exchange}:A/B").values() if sorted(s.name for s in w) == expected), None
        ),
        what="a whole trace",
    )
    named = {(span.name, str(span.attributes["messaging.destination.name"])): span for span in way}
    published, computed = named["publish", replay.topic], named["transform", replay.topic]
    pushed, bar_stored = named["push", replay.topic], named["store", "market.bars"]
    traded = named["backtest", replay.topic]
    point_stored = named["store", "market.points"]
    assert receiver.paths == {"/v1/traces"}
    assert [span.parent for span in (computed, pushed, bar_stored, traded)] == [published.span_id] * 4
    assert point_stored.parent == computed.span_id
    assert [(span.kind, span.failure) for span in way] == [
        (PRODUCER if span.name == "publish" else CONSUMER, "") for span in way
    ]
    assert all(span.start <= span.end for span in way)
    assert {span.name: span.resource["service.name"] for span in way} == {
        "backtest": "tapedeck-backtest",
        "publish": "tapedeck-replay",
        "push": "tapedeck-gateway",
        "store": "tapedeck-recorder",
        "transform": "tapedeck-transform",
    }
    assert published.resource["tapedeck.uid"] == replay.uid

    # Each place that a span names holds the record, with the trace of the span that published it.
    for span, publisher in ((published, published), (bar_stored, published), (point_stored, computed)):
        headers = dict(record_at(connections.kafka_bootstrap, span).headers() or [])
        assert headers["traceparent"] == f"00-{published.trace_id}-{publisher.span_id}-01".encode()
    bar = json.loads(record_at(connections.kafka_bootstrap, published).value() or b"")
    for span in (computed, pushed, traded):
        place = "messaging.kafka.offset"
        assert span.attributes[place] == published.attributes[place]
    assert stored_prices(store, replay.recorded, bar["ts"]) == [prices(bar)]
    client.until(lambda: bar["ts"] in client.bars("bars"))
    assert prices(client.bars("bars")[bar["ts"]]) == prices(bar)
    query = "SELECT value FROM points WHERE exchange = %s AND ts = to_timestamp(%s / 1000.0)"
    assert select(store, query, replay.recorded, bar["ts"]) == [(bar["close"],)]  # the mean of one
    chosen = {name: pushed.attributes[f"tapedeck.{name}"] for name in ("symbol", "interval", "subscribers")}
    assert chosen == {"symbol": "A/B", "interval": "1m", "subscribers": 1}
    assert computed.attributes["tapedeck.points"] == 1

    logs = [pod.home / "log" for pod in (replay, recorder, transforms)] + [gateway.log, run.log]
    steps = sorted((span.name, span.trace_id) for span in way)
    eventually(lambda: sorted(line for log in logs for line in told(log) if line[1] == published.trace_id) == steps)


def test_bars_that_a_run_does_not_select_are_not_followed(
    receiver: TraceReceiver, connections: Connections, store: str, tmp_path: Path
) -> None:
    """Of a transaction the first record is traced, here one of the first symbol."""
    exchange, symbols = f"x{uuid.uuid4().hex[:8]}", ["A/B", "C/D"]
    insert_minutes(store, exchange, symbols, 60)
    played = {"source": {"store": {"exchange": exchange, "symbols": symbols}}}
    replay = ReplayProcess(tmp_path, connections, played)
    replay.begin(unpaced=True)
    assert replay.wait() == 0
    for symbol, steps in (("C/D", {"publish"}), ("A/B", {"publish", "backtest"})):
        data = {"replay": {"name": replay.name, "symbols": [symbol]}}
        run = BacktestPod(connections, tmp_path / symbol[0], spec(data), replay_uid=replay.uid)
        assert run.run() == 0, run.log.read_text()[-2000:]
        traced = ways(receiver, f"{exchange}:A/B").values()
        assert {span.name for way in traced for span in way} == steps


def test_only_the_headers_of_sampled_records_differ(
    connections: Connections, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bars of three replays: without tracing, with it and no record sampled, and with one of each transaction."""
    exchange = f"x{uuid.uuid4().hex[:8]}"
    insert_minutes(store, exchange, ["A/B", "C/D"], 300)
    source = {"store": {"exchange": exchange, "symbols": ["A/B", "C/D"]}}
    played = []
    with trace_receiver() as receiver:
        for number, ratio in enumerate((None, 0.0, 1.0)):
            for name, value in traced_environment(receiver.url, ratio or 0.0).items() if ratio is not None else ():
                monkeypatch.setenv(name, value)
            (folder := tmp_path / str(number)).mkdir()
            replay = ReplayProcess(folder, connections, {"source": source})
            replay.begin(unpaced=True)
            assert replay.wait() == 0
            played.append([(m.key(), m.value(), headers_of(m, replay)) for m in bars_of(connections, replay)])
            assert bool(receiver.spans()) == (ratio == 1.0)
    without, unsampled, sampled = played
    assert len(without) == 600
    assert {headers for *_, headers in without} == {((b"td", b"1;replay;UID;0.0"),)}
    assert unsampled == without
    assert [record[:2] for record in sampled] == [record[:2] for record in without]
    added = [headers[1:] for *_, headers in sampled if len(headers) > 1]
    assert [name for ((name, _),) in added] == [b"traceparent"] * len(added)
    assert len(added) == len(receiver.spans()) >= 1
    assert {headers[:1] for *_, headers in sampled} == {headers for *_, headers in without}


def test_a_bar_of_a_feed_is_followed_to_its_row_and_its_candle(
    stack: ExitStack,
    receiver: TraceReceiver,
    recorder: RecorderProcess,
    gateway: Gateway,
    connections: Connections,
    store: str,
    tmp_path: Path,
) -> None:
    exchange = f"x{uuid.uuid4().hex[:8]}"
    stored_before = [Bar(exchange, "A/B", "1m", T0 + minute * MINUTE, 2.0, 9.0, 1.0, 4.0, 5.0) for minute in range(5)]
    insert_bars(store, stored_before)  # a chart needs a series that the store knows
    client = client_of(gateway, stack)
    eventually(lambda: gateway.get("/symbols", symbol=f"{exchange}:A/B")[0] == 200)
    client.subscribe("bars", "bars", symbol=f"{exchange}:A/B", interval="1m")
    client.until(lambda: client.of("bars", "bars"))
    rows = [f"{T0 + minute * MINUTE},2.0,9.0,1.0,4.0,{minute}.0" for minute in range(60, 70)]
    (tmp_path / "a.csv").write_text("\n".join(["ts,open,high,low,close,volume", *rows]))
    files = {"exchange": exchange, "sets": [{"symbol": "A/B", "path": "a.csv"}], "time": {"unit": "ms"}}
    (folder := tmp_path / "feed").mkdir()
    feed = FeedPod(connections.kafka_bootstrap, folder, tmp_path, {"source": {"files": files}})
    assert feed.run()[0] == 0, (folder / "log").read_text()[-2000:]

    def whole() -> list[ReceivedSpan] | None:
        found = ways(receiver, f"{exchange}:A/B").values()
        return next((way for way in found if {span.name for span in way} == {"publish", "store", "push"}), None)

    way = {span.name: span for span in eventually(whole, what="a whole trace")}
    published, stored, pushed = way["publish"], way["store"], way["push"]
    assert (stored.parent, pushed.parent) == (published.span_id,) * 2
    assert published.resource["service.name"] == "tapedeck-feed"
    bar = json.loads(record_at(connections.kafka_bootstrap, stored).value() or b"")
    minute = (bar["ts"] - T0) // MINUTE  # several may be traced
    assert 60 <= minute < 70 and prices(bar) == [2.0, 9.0, 1.0, 4.0, minute]
    assert pushed.attributes["messaging.kafka.offset"] == stored.attributes["messaging.kafka.offset"]
    assert stored_prices(store, exchange, bar["ts"]) == [prices(bar)]
    client.until(lambda: bar["ts"] in client.bars("bars"))
    assert prices(client.bars("bars")[bar["ts"]]) == prices(bar)


def test_a_live_record_tells_the_place_that_the_broker_gave_it(
    receiver: TraceReceiver, connections: Connections
) -> None:
    """Its span ends with the acknowledgement, which the Feed gets as without tracing."""
    exchange = f"x{uuid.uuid4().hex[:8]}"
    acknowledged: list[int] = []
    configure_tracing("feed", {"name": "live"})
    try:
        publisher = MarketDataPublisher(connections, "test", Event(), source="live")
        for number, traceable in enumerate((True, False)):
            value = encode(Trade(exchange, "A/B", T0 + number, str(number), 1.0, 1.0, "buy"))
            done = publisher.callback(partial(acknowledged.append, number))
            publisher.send(MARKET_TRADES, f"{exchange}:A/B", value, done, traceable=traceable)
        publisher.flush()
    finally:
        close_tracing()
    assert sorted(acknowledged) == [0, 1]
    ((span,),) = ways(receiver, f"{exchange}:A/B").values()
    record = record_at(connections.kafka_bootstrap, span)
    assert json.loads(record.value() or b"")["id"] == "0"
    assert dict(record.headers() or [])["traceparent"] == f"00-{span.trace_id}-{span.span_id}-01".encode()
    assert (span.name, span.kind, span.parent, span.failure) == ("publish", PRODUCER, "", "")


@pytest.mark.parametrize(("name", "says"), [("td", "missing required field"), ("other", "header td: missing")])
def test_a_refused_record_tells_why(
    receiver: TraceReceiver, recorder: RecorderProcess, connections: Connections, store: str, name: str, says: str
) -> None:
    """Also one of a producer that is not Tapedeck's: its trace is continued."""
    exchange, trace, span = f"x{uuid.uuid4().hex[:8]}", uuid.uuid4().hex, uuid.uuid4().hex[:16]
    payload = json.dumps({"exchange": exchange}).encode()
    headers: list[tuple[str, str | bytes | None]] = [
        (name, b"1;live"),
        ("traceparent", f"00-{trace}-{span}-01".encode()),
    ]
    publish(connections.kafka_bootstrap, [("market.bars", payload, f"{exchange}:A/B", headers)])
    (stored,) = eventually(lambda: [each for each in receiver.spans() if each.trace_id == trace])
    assert (stored.name, stored.parent) == ("store", span)
    assert says in stored.failure
    ((reason,),) = select(store, "SELECT reason FROM ingest_errors WHERE payload = %s", payload.decode())
    assert stored.failure == reason


def test_pods_work_while_the_receiver_is_unreachable(
    stack: ExitStack, connections: Connections, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told once, the end of a pod waits a few seconds at most, and spans are exported once it answers."""
    exchange = f"x{uuid.uuid4().hex[:8]}"
    insert_minutes(store, exchange, ["A/B"], 9_000)
    port = free_port()
    for name, value in traced_environment(f"http://127.0.0.1:{port}").items():
        monkeypatch.setenv(name, value)
    replay = ReplayProcess(tmp_path, connections, {"source": {"store": {"exchange": exchange, "symbols": ["A/B"]}}})
    replay.begin(speed=600.0)  # ten bars a second
    log = replay.home / "log"
    eventually(lambda: "traces are not exported" in log.read_text())
    before = replay.status()["published"]
    eventually(lambda: replay.status()["published"] > before + 20)
    with trace_receiver(port) as receiver:
        eventually(receiver.spans, what="spans, once the receiver answers")
        eventually(lambda: "traces are exported again" in log.read_text())
    assert [json.loads(line)["reason"] for line in log.read_text().splitlines() if "not exported" in line] != []
    assert log.read_text().count("traces are not exported") == 1
    with within(20):
        assert replay.process is not None
        replay.process.send_signal(signal.SIGTERM)
        replay.wait()
    assert "Traceback" not in log.read_text()
