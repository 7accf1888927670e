"""What the gateway sends: JSON in text frames. Times are milliseconds UTC.

Each message has ``seq``, which counts up by one in a session, before the fields that its type has here. Messages of a
subscription have its ``id``.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from tapedeck_gateway.store.runs import EquityPoint

Snapshot: TypeAlias = Annotated[
    bool, Meta(description="Whether this replaces all that was sent of the subscription; otherwise it continues that.")
]
Missed: TypeAlias = Annotated[
    int,
    Meta(ge=0, description="How many items before these were left out because they came faster than they are sent."),
]
ErrorReason: TypeAlias = Annotated[str, Meta(description="One CamelCase word: InvalidInput, NotFound, Unavailable …")]


class SocketLimits(msgspec.Struct, frozen=True):
    """What a socket may use."""

    subscriptions: int
    sockets_of_client: int
    message_bytes: Annotated[int, Meta(description="Of a client's message; a longer one closes with 1009.")]
    messages_per_second: Annotated[float, Meta(description="Of a client, with its requests; later ones wait.")]
    message_burst: int
    snapshot_items: int
    queue_bytes: Annotated[int, Meta(description="What waits for a slow client; beyond it, snapshots replace it.")]
    stall_seconds: Annotated[float, Meta(description="A client that reads nothing for so long is closed with 4008.")]
    ping_seconds: Annotated[float, Meta(description="A client hears something at least so often.")]
    resume_seconds: Annotated[float, Meta(description="How long a session is kept after its socket is lost.")]
    resume_messages: Annotated[int, Meta(description="How many of the last messages a resume can repeat, at most.")]
    resume_bytes: Annotated[int, Meta(description="How many bytes of the last messages a resume can repeat, at most.")]


class Welcome(msgspec.Struct, frozen=True, tag="welcome"):
    """The first message of a socket."""

    session: Annotated[str, Meta(description="Names the session in a resume. Keep it secret, as a token.")]
    at: Annotated[int, Meta(description="The gateway's clock.")]
    version: str
    limits: SocketLimits


class Resumed(msgspec.Struct, frozen=True, tag="resumed"):
    """The answer to a resume.

    ``complete``: all messages after the client's seq have been sent before this one. Otherwise the resume came too late
    for ``missed`` of them, and a snapshot of each of ``subscriptions`` follows; without any, subscribe again.
    """

    session: str
    complete: bool
    missed: int
    subscriptions: list[str]
    detail: str = ""


class Subscribed(msgspec.Struct, frozen=True, tag="subscribed"):
    """A subscription has begun; its snapshot follows. ``of`` names the series, the run or the replay."""

    id: str
    channel: str
    of: str


class Unsubscribed(msgspec.Struct, frozen=True, tag="unsubscribed"):
    """A subscription has ended."""

    id: str


class SocketError(msgspec.Struct, frozen=True, tag="error"):
    """A request was refused. ``id`` is that of its subscription, if it has one."""

    id: str
    reason: ErrorReason
    detail: str


class Pong(msgspec.Struct, frozen=True, tag="pong"):
    """The answer to a ping."""

    id: str
    at: int


class SocketPing(msgspec.Struct, frozen=True, tag="ping"):
    """Sent where nothing else was for ``ping_seconds``: a longer silence means that the connection is dead."""

    at: int


class ServicesState(msgspec.Struct, frozen=True, tag="services"):
    """Whether broker and database answer: sent at the beginning and at each change."""

    broker: bool
    database: bool


class BarItem(msgspec.Struct, frozen=True, gc=False):
    """A bar; ``ts`` is its open. One that is not closed changes until it is."""

    ts: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    closed: bool


class BarsMessage(msgspec.Struct, frozen=True, tag="bars"):
    """Bars by open: each is new, or the new state of the last one."""

    bars: list[BarItem]
    snapshot: Snapshot = False


class ReviseMessage(msgspec.Struct, frozen=True, tag="revise"):
    """Bars that had closed and have changed, or were late: they replace those of the same open, or are put between."""

    bars: list[BarItem]


class ResetMessage(msgspec.Struct, frozen=True, tag="reset"):
    """What was sent of the subscription is no longer valid; a snapshot follows."""

    reason: Literal["seek", "loop"]


class TradeItem(msgspec.Struct, frozen=True, gc=False):
    """A trade; ``side`` is that of the taker."""

    ts: int
    id: str
    price: float
    amount: float
    side: str


class TradesMessage(msgspec.Struct, frozen=True, tag="trades"):
    """Trades in order."""

    trades: list[TradeItem]
    missed: Missed = 0
    snapshot: Snapshot = False


class TickerItem(msgspec.Struct, frozen=True, gc=False):
    """The state of a market; what the exchange did not send is null."""

    ts: int
    price: float
    volume24h: float | None
    high24h: float | None
    low24h: float | None
    bid: float | None
    ask: float | None


class TickersMessage(msgspec.Struct, frozen=True, tag="tickers"):
    """Tickers in order; of several at once the newest alone."""

    tickers: list[TickerItem]
    snapshot: Snapshot = False


class PointItem(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A result of a transform: of the bar that opens at ``ts``, or of the trade ``id``. A null value withdraws it.

    A bar as a result has its close in ``value``.
    """

    ts: int
    value: float | None
    id: str = ""
    open: float | None = None
    high: float | None = None
    low: float | None = None
    volume: float | None = None


class PointsMessage(msgspec.Struct, frozen=True, tag="points"):
    """Results: each is new, or replaces that of the same ``ts`` and ``id``. Those of trades have no ``interval``."""

    interval: str
    points: list[PointItem]
    missed: Missed = 0
    snapshot: Snapshot = False


class RunMessage(msgspec.Struct, frozen=True, tag="run"):
    """The state and the headline figures of a run, shares in percent.

    ``shown_until`` is the position of the run's replay where the run is ahead of it, null where all of it is shown;
    ``metrics`` are null until then and before the end, and ``undefined`` says why one of them is.
    """

    run: str
    state: Literal["running", "complete", "failed"]
    message: str
    ts: int | None
    value: float
    return_percent: float
    max_drawdown_percent: float
    trades: int
    bars: int | None
    metrics: dict[str, float | None] | None
    undefined: dict[str, str] | None
    shown_until: int | None


class FillItem(msgspec.Struct, frozen=True):
    """A fill of an order."""

    seq: int
    symbol: str
    ts: int
    side: Literal["buy", "sell"]
    size: float
    price: float


class FillsMessage(msgspec.Struct, frozen=True, tag="fills"):
    """Fills in order."""

    run: str
    fills: list[FillItem]
    snapshot: Snapshot = False


class EquityMessage(msgspec.Struct, frozen=True, tag="equity"):
    """Points of the equity curve as [seq, ts, value, cash, change %, drawdown %, Sharpe].

    A snapshot is the whole curve, thinned; each later point is sent.
    """

    run: str
    points: list[EquityPoint]
    snapshot: Snapshot = False


class ReplayMessage(msgspec.Struct, frozen=True, tag="replay"):
    """The state of a replay. ``position`` and ``range_…`` are virtual times, null before the first record.

    ``speed`` is what its controls want: virtual seconds per second, null where it is not known yet, and without meaning
    while ``unpaced``. ``measured_speed`` is that of the last seconds. ``lateness_ms`` is how late the latest record of
    the last transaction was published. ``epoch`` is the number of seeks, a dot, and ``round`` of the loop, from 0.
    """

    replay: str
    namespace: str
    name: str
    position: int | None
    range_from: int | None
    range_to: int | None
    epoch: str
    round: int
    speed: float | None
    unpaced: bool
    measured_speed: float
    paused: bool
    ended: bool
    lateness_ms: int
    published: int
    at: Annotated[int, Meta(description="The gateway's clock.")]


ChannelMessage: TypeAlias = (
    BarsMessage
    | ReviseMessage
    | ResetMessage
    | TradesMessage
    | TickersMessage
    | PointsMessage
    | RunMessage
    | FillsMessage
    | EquityMessage
    | ReplayMessage
)
SocketMessage: TypeAlias = (
    Welcome | Resumed | Subscribed | Unsubscribed | SocketError | Pong | SocketPing | ServicesState
)

CLOSE_CODES = {
    1000: "The client closed the socket: its session ends with it.",
    1003: "The client sent a binary frame; messages are JSON in text frames.",
    1008: "The token is no longer valid.",
    1009: "The client's message was longer than `message_bytes`.",
    1011: "An error of the gateway, which its log describes; or no answer to a protocol ping.",
    1012: "The gateway stops. Connect again and resume.",
    4008: "The client was too slow: it read nothing for `stall_seconds`. Connect again and resume.",
    4009: "Another socket has resumed this session.",
}
UNSUPPORTED_DATA, POLICY_VIOLATION, TOO_SLOW, TAKEN_OVER = 1003, 1008, 4008, 4009
