"""Sessions of WebSockets: what a slow client gets, what a resume repeats, and how much memory that takes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tapedeck_gateway.access.tokens import ANONYMOUS
from tapedeck_gateway.push.channel import Channel
from tapedeck_gateway.push.protocol.messages import BarItem, BarsMessage, Pong, ResetMessage, TradeItem, TradesMessage
from tapedeck_gateway.push.session import (
    PENDING_BYTES,
    PING_SECONDS,
    RESUME_MESSAGES,
    ChannelSubscription,
    SocketSession,
)

STALL = 5.0
KINDS = frozenset({"bars", "trades", "reset"})


class Writer:
    """The sending side of a socket whose client reads, or not."""

    on_writable: Callable[[], None] | None = None

    def __init__(self) -> None:
        self.reads = True
        self.texts: list[bytes] = []
        self.close_codes: list[int] = []

    @property
    def is_writable(self) -> bool:
        return self.reads and not self.close_codes

    @property
    def is_stalled(self) -> bool:
        return not self.reads and not self.close_codes

    async def wait_writable(self) -> None:
        raise AssertionError("sessions do not wait")

    def write_text(self, text: bytes) -> None:
        self.texts.append(text)

    def close_with(self, code: int, reason: str) -> None:
        self.close_codes.append(code)

    def read_again(self) -> None:
        self.reads = True
        if self.on_writable is not None:
            self.on_writable()

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.texts]


def bar(ts: int, close: float = 1.0) -> BarItem:
    return BarItem(ts, 1.0, 1.0, 1.0, close, 1.0, False)


class Counting(Channel):
    """A channel whose state is the last bar that was published."""

    last = 0

    def close(self) -> None:
        raise AssertionError("not closed here")

    def push(self) -> None:
        self.last += 1
        self.publish(BarsMessage([bar(self.last // 10, self.last)]), self.last // 10)

    def trade(self, id: int) -> None:
        self.publish(TradesMessage([TradeItem(id, str(id), 1.0, 1.0, "buy")]))

    def state(self, count: int) -> list[msgspec.Struct]:
        return [BarsMessage([bar(self.last // 10, self.last)], snapshot=True)]


@pytest.fixture
def writer() -> Writer:
    return Writer()


@pytest.fixture
def session(writer: Writer) -> SocketSession:
    session = SocketSession(ANONYMOUS, "127.0.0.1", STALL)
    session.attach(writer)
    return session


def follow(session: SocketSession, channel: Channel, id: str = "a", count: int = 1) -> ChannelSubscription:
    subscription = ChannelSubscription(session, id, channel, KINDS, count)
    session.add(subscription)
    return subscription


def test_a_client_that_reads_gets_each_message_at_once_with_its_own_seq_and_id(writer: Writer) -> None:
    channel, other = Counting("x"), Writer()
    first, second = (SocketSession(ANONYMOUS, "127.0.0.1", STALL) for _ in range(2))
    first.attach(writer)
    second.attach(other)
    second.reply(Pong("p", 1))
    follow(first, channel, "a")
    follow(second, channel, 'quo"te', count=0)
    channel.push()
    assert [(m["seq"], m["id"], m.get("snapshot")) for m in writer.messages] == [(1, "a", True), (2, "a", False)]
    assert [(m["seq"], m["id"]) for m in other.messages] == [(1, "p"), (2, 'quo"te')]
    assert writer.messages[-1]["bars"] == other.messages[-1]["bars"]


def test_a_slow_client_gets_the_latest_state_of_each_bar_in_order(writer: Writer, session: SocketSession) -> None:
    channel = Counting("x")
    follow(session, channel, count=0)
    writer.reads = False
    for _ in range(25):
        channel.push()
    session.reply(Pong("p", 1))
    assert writer.texts == []
    writer.read_again()
    bars = [m["bars"][0] for m in writer.messages if m["type"] == "bars"]
    assert [(each["ts"], each["close"]) for each in bars] == [(0, 9.0), (1, 19.0), (2, 25.0)]
    assert [m["seq"] for m in writer.messages] == [1, 2, 3, 4]


def test_what_is_too_much_to_wait_for_a_slow_client_becomes_a_snapshot(writer: Writer, session: SocketSession) -> None:
    channel = Counting("x")
    follow(session, channel, count=0)
    writer.reads = False
    session.reply(Pong("p", 1))
    size = 0
    for id in range(10_000):
        channel.trade(id)
        size = max(size, session._pending_bytes)
    channel.push()
    assert size <= PENDING_BYTES
    writer.read_again()
    assert [m["type"] for m in writer.messages] == ["pong", "bars"]
    assert writer.messages[-1]["snapshot"]
    channel.trade(7)
    assert writer.messages[-1]["trades"][0]["id"] == "7"


def test_a_reset_discards_what_waits_of_its_subscription(writer: Writer, session: SocketSession) -> None:
    channel, other = Counting("x"), Counting("y")
    follow(session, channel, "a", count=0)
    follow(session, other, "b", count=0)
    writer.reads = False
    channel.push()
    other.push()
    channel.publish(ResetMessage("seek"), "reset")
    channel.publish_snapshots()
    writer.read_again()
    assert [(m["id"], m["type"], m.get("snapshot")) for m in writer.messages] == [
        ("b", "bars", False), ("a", "bars", True),
    ]  # fmt: skip


def test_an_ended_subscription_is_sent_nothing_more(writer: Writer, session: SocketSession) -> None:
    channel = Counting("x")
    follow(session, channel, count=0)
    writer.reads = False
    channel.push()
    assert session.remove("a") is not None
    assert session.remove("a") is None
    channel.push()
    writer.read_again()
    assert writer.texts == []


def test_a_client_that_does_not_read_is_closed_with_a_code_that_says_why(
    writer: Writer, session: SocketSession
) -> None:
    now = time.monotonic()
    session.tick(now)
    writer.reads = False
    session.tick(now + 1)
    session.tick(now + 1 + STALL)
    assert writer.close_codes == []
    writer.read_again()
    writer.reads = False
    session.tick(now + 2 + STALL)  # the time begins again
    session.tick(now + 1 + 2 * STALL)
    assert writer.close_codes == []
    session.tick(now + 3 + 2 * STALL)
    assert writer.close_codes == [4008]


def test_a_silent_socket_hears_a_ping(writer: Writer) -> None:
    before = time.monotonic()
    session = SocketSession(ANONYMOUS, "127.0.0.1", STALL)
    session.attach(writer)
    session.tick(before + PING_SECONDS - 1)
    assert writer.texts == []
    session.tick(time.monotonic() + PING_SECONDS)
    assert [m["type"] for m in writer.messages] == ["ping"]


def test_a_resume_repeats_what_was_lost_and_continues(writer: Writer, session: SocketSession) -> None:
    channel = Counting("x")
    follow(session, channel, count=0)
    for id in range(10):
        channel.trade(id)
    session.detach()
    for id in range(10, 13):
        channel.trade(id)
    other = Writer()
    session.resume(other, 6)
    assert [m["seq"] for m in other.messages] == [*range(7, 11), 11, *range(12, 15)]
    assert [m["type"] for m in other.messages] == ["trades"] * 4 + ["resumed"] + ["trades"] * 3
    assert [m["trades"][0]["ts"] for m in other.messages if m["type"] == "trades"] == list(range(6, 13))
    assert other.messages[:4] == writer.messages[6:]
    assert other.messages[4]["complete"]


@pytest.mark.parametrize("seq", [0, 5, 10**6])
def test_a_resume_that_is_too_late_says_so_and_a_snapshot_follows(
    writer: Writer, session: SocketSession, seq: int
) -> None:
    channel = Counting("x")
    follow(session, channel, count=0)
    for id in range(RESUME_MESSAGES + 10):
        channel.trade(id)
    channel.last = 77
    other = Writer()
    session.resume(other, seq)
    assert writer.close_codes == [4009]
    resumed, snapshot = other.messages
    assert (resumed["complete"], resumed["missed"]) == (False, max(0, RESUME_MESSAGES + 10 - seq))
    assert (snapshot["snapshot"], snapshot["bars"][0]["close"]) == (True, 77.0)
    assert [resumed["seq"], snapshot["seq"]] == [RESUME_MESSAGES + 11, RESUME_MESSAGES + 12]


def test_what_a_lost_session_keeps_is_bounded(writer: Writer, session: SocketSession) -> None:
    channel = Counting("x")
    follow(session, channel)
    session.detach()
    for id in range(5_000):
        channel.trade(id)
        channel.push()
    assert session._pending_bytes <= PENDING_BYTES
    assert len(session._sent) <= RESUME_MESSAGES
    other = Writer()
    session.resume(other, session.seq)
    assert other.messages[0]["complete"]
    assert other.messages[-1]["snapshot"]
