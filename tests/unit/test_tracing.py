"""Traces of sampled records: free while they are off, bounded while they are on, and never in a pod's way."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any, cast

import pytest
from confluent_kafka import Message

from planned import job, resource
from pods.otlp import TraceReceiver, trace_receiver
from tapedeck_backtest.sources.bar_traces import BarTraces
from tapedeck_common import tracing
from tapedeck_common.tracing import RecordTracer, close_tracing, configure_tracing, traced, tracer
from tapedeck_common.wire import Epoch
from tapedeck_deck.embedded.ports import free_port
from tapedeck_operator.plan import Observed, Settings, Tracing, plan
from waits import eventually, within

pytestmark = pytest.mark.slow

WORKLOADS = ("feed", "replay", "transform", "backtest", "recorder", "gateway")
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
IMPORTED = """
import sys
import tapedeck_{workload}.__main__
from tapedeck_common.tracing import configure_tracing, tracer
configure_tracing("{workload}", {{}})
print(tracer(), *sorted(name for name in sys.modules if name.partition(".")[0] == "opentelemetry"))
"""


class _Record:
    """What the tracer asks of a message."""

    def __init__(self, offset: int, headers: list[tuple[str, bytes]] | None) -> None:
        self._offset, self._headers = offset, headers

    def topic(self) -> str:
        return "market.bars"

    def partition(self) -> int:
        return 3

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes:
        return b"x:A/B"

    def headers(self) -> list[tuple[str, bytes]] | None:
        return self._headers


def record(offset: int = 7, parent: str | None = PARENT) -> Message:
    headers = [("td", b"1;live"), *([] if parent is None else [("traceparent", parent.encode())])]
    return cast(Message, _Record(offset, headers))


@pytest.fixture
def receiver() -> Iterator[TraceReceiver]:
    with trace_receiver() as receiver:
        yield receiver
        close_tracing()  # while it answers


def started(monkeypatch: pytest.MonkeyPatch, url: str, ratio: float = 1.0) -> RecordTracer:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", str(ratio))
    configure_tracing("feed", {"kind": "Feed", "name": "x"})
    found = tracer()
    assert found is not None
    return found


@pytest.fixture(autouse=True)
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is left: the library would start its threads in each process that the runner forks later."""
    monkeypatch.setattr(os, "register_at_fork", lambda **_: None)
    yield
    close_tracing()


@pytest.mark.parametrize("workload", WORKLOADS)
def test_nothing_of_the_library_is_imported_while_it_is_off(workload: str) -> None:
    script = IMPORTED.format(workload=workload)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    found, *modules = done.stdout.split()
    assert found == "None"
    own = [name for name in modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))]
    assert own == []
    assert workload == "gateway" or modules == []  # FastAPI imports the interface


def test_a_step_follows_the_one_that_published_its_record(
    monkeypatch: pytest.MonkeyPatch, receiver: TraceReceiver
) -> None:
    recording = started(monkeypatch, receiver.url)
    begun = time.time_ns() - 5_000_000
    first = recording.publish("market.bars", "x:A/B")
    assert first is not None
    name, value = first.header
    assert name == "traceparent" and isinstance(value, bytes)
    second = recording.follow("store", record(parent=value.decode()), begun)
    assert second is not None
    second.note(rows=1)
    second.end("refused")
    first.end()
    close_tracing()
    stored, published = sorted(receiver.spans(), key=lambda span: span.name, reverse=True)
    assert (published.name, published.parent, published.kind, published.failure) == ("publish", "", 4, "")
    assert (stored.name, stored.parent, stored.kind, stored.failure) == ("store", published.span_id, 5, "refused")
    assert stored.trace_id == published.trace_id == first.trace_id == second.trace_id
    assert stored.start == begun
    assert stored.attributes == {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.destination.name": "market.bars",
        "messaging.destination.partition.id": "3",
        "messaging.kafka.offset": 7,
        "messaging.kafka.message.key": "x:A/B",
        "tapedeck.rows": 1,
    }
    of_program = {name: stored.resource[name] for name in ("service.name", "tapedeck.kind", "tapedeck.name")}
    assert of_program == {"service.name": "tapedeck-feed", "tapedeck.kind": "Feed", "tapedeck.name": "x"}


def test_records_that_begin_a_trace_are_a_share_and_have_a_limit(
    monkeypatch: pytest.MonkeyPatch, receiver: TraceReceiver
) -> None:
    now = [100.0]
    none = started(monkeypatch, receiver.url, 0.0)
    assert [none.publish("a", "k") for _ in range(10)] == [None] * 10
    every = started(monkeypatch, receiver.url)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    assert [every.publish("a", "k") is not None for _ in range(100)] == [True] * 20 + [False] * 80
    assert every.publish("b", "k") is not None
    now[0] += 1
    assert every.publish("a", "k") is not None


def test_of_a_second_a_limited_number_is_followed(monkeypatch: pytest.MonkeyPatch, receiver: TraceReceiver) -> None:
    """Whoever begins the traces."""
    recording = started(monkeypatch, receiver.url)
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    followed = [recording.follow("store", record(number)) for number in range(1_500)]
    assert [span is not None for span in followed] == [True] * 1_000 + [False] * 500
    assert recording.follow("push", record()) is not None


def test_of_a_batch_a_limited_number_is_followed() -> None:
    batch = [record(offset, PARENT if offset % 2 else None) for offset in range(1_000)]
    assert [message.offset() for message in traced(batch)] == [2 * n + 1 for n in range(100)]


def test_what_was_read_of_a_later_epoch_is_given_with_that_epoch(
    monkeypatch: pytest.MonkeyPatch, receiver: TraceReceiver
) -> None:
    """A partition is read into the next round of a loop while the strategy is in the one before."""
    traces = BarTraces(started(monkeypatch, receiver.url))
    first, second, third = Epoch(0, 0), Epoch(0, 1), Epoch(1, 0)
    for offset, (epoch, event) in enumerate([(first, 10), (second, 10), (first, 20), (second, 20), (third, 10)]):
        traces.read(record(offset), epoch, event)
    traces.given(first, 10)
    traces.forget_before(second)
    traces.given(second, 10)
    traces.given(second, 20)
    traces.forget_before(third)
    traces.given(third, 99)
    close_tracing()
    given = [span.attributes["messaging.kafka.offset"] for span in receiver.spans()]
    assert sorted(map(int, given)) == [0, 1, 3, 4]  # offset 2 is what a seek passed over


@pytest.mark.parametrize(
    "parent", [None, "", "00", "zz" * 27, "00-" + "0" * 32 + "-" + "0" * 16 + "-01", PARENT[:-1] + "0", "1" * 1_000]
)
def test_what_is_no_sampled_trace_is_not_followed(
    monkeypatch: pytest.MonkeyPatch, receiver: TraceReceiver, parent: str | None
) -> None:
    """A header that no program of Tapedeck writes begins no trace of its own."""
    recording = started(monkeypatch, receiver.url)
    assert recording.follow("store", record(parent=parent)) is None


def test_an_unreachable_receiver_is_told_once_and_holds_nothing_up(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    recording = started(monkeypatch, f"http://127.0.0.1:{port}")
    monkeypatch.setattr(tracing, "FOLLOWED_A_SECOND", 100_000)
    tracemalloc.start()
    for number in range(20_000):
        span = recording.follow("store", record(number))
        assert span is not None
        span._span.end()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 30_000_000, "a queue of 2,048 spans"
    lines = ""

    def is_told() -> bool:
        nonlocal lines
        lines += "".join(capfd.readouterr())
        return "traces are not exported" in lines

    eventually(is_told)
    with trace_receiver(port) as receiver:
        eventually(receiver.spans)
        close_tracing()
        assert len(receiver.spans()) < 20_000
    assert is_told()
    assert lines.count("traces are not exported") == 1
    assert "Transient error" in lines


def test_a_pod_works_without_a_library_that_fails(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise ImportError("No module named 'opentelemetry.sdk'")

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr(tracing, "_provider", fail)
    configure_tracing("feed", {})
    assert tracer() is None
    told = capfd.readouterr()
    assert "No module named 'opentelemetry.sdk'" in told.out + told.err


def test_the_planner_gives_pods_the_standard_variables() -> None:
    images = {name: name for name in WORKLOADS}
    spec = {"source": {"store": {"exchange": "x", "symbols": ["A/B"]}}}

    def environment(tracing: Tracing | None) -> dict[str, Any]:
        settings = Settings(images=images, operator_key=b"k", results_key=b"r", tracing=tracing)
        (container,) = job(plan(resource("Replay", spec), Observed(), 0, settings))["spec"]["template"]["spec"][
            "containers"
        ]
        return {each["name"]: each.get("value") for each in container["env"]}

    without, with_traces = environment(None), environment(Tracing("http://tempo:4318", 0.25))
    assert with_traces == without | {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://tempo:4318",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.25",
    }
    assert not [name for name in without if name.startswith("OTEL")]


def test_the_end_of_a_pod_waits_for_a_silent_receiver_for_a_short_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """It accepts connections and answers none."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        recording = started(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}")
        span = recording.publish("market.bars", "x:A/B")
        assert span is not None
        span.end()
        with within(8):
            close_tracing()
