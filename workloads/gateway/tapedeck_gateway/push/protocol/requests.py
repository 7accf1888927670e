"""What a client sends: JSON in text frames. Times are milliseconds UTC."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal, TypeAlias, get_args

import msgspec
from msgspec import Meta

from tapedeck_common.json_text import json_decoder
from tapedeck_crds.errors import InvalidInput
from tapedeck_gateway.access.request_text import refuse_nul

SNAPSHOT_MAX = 1_000
SNAPSHOT_DEFAULT = 100

SubscriptionId: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=64, description="The client's own name of a subscription, one of a kind.")
]
SymbolText: TypeAlias = Annotated[
    str,
    Meta(
        max_length=200,
        description="exchange:SYMBOL, such as coinbase:BTC/USD, or replay/<namespace>/<name>:SYMBOL for a replay's.",
        examples=["coinbase:BTC/USD"],
    ),
]
SnapshotCount: TypeAlias = Annotated[
    int, Meta(ge=0, le=SNAPSHOT_MAX, description="How many items the snapshot has, the newest; 0 for none.")
]
Future: TypeAlias = Annotated[bool, Meta(description="Also what lies beyond the positions of replays.")]
RunId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200, description="The id of a stored run.")]


class _Subscribe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="channel", kw_only=True):
    type: Literal["subscribe"]
    id: SubscriptionId
    snapshot: SnapshotCount = SNAPSHOT_DEFAULT
    future: Future = False


class SubscribeBars(_Subscribe, frozen=True, tag="bars", kw_only=True):
    """Bars of a series: those of an exchange as they are built and corrected, those of a replay as it plays.

    Results of a transform are bars, too: their symbol ends with @ and its name. Where a series has no bars of its own,
    they are made of its stored trades or tickers, about once a second.
    """

    symbol: SymbolText
    interval: Annotated[str, Meta(max_length=20, description="1m, 5m, 1h, 1d …", examples=["1m"])]


class SubscribeTrades(_Subscribe, frozen=True, tag="trades", kw_only=True):
    """Trades of an exchange, or of a replay of trades."""

    symbol: SymbolText


class SubscribeTickers(_Subscribe, frozen=True, tag="tickers", kw_only=True):
    """Tickers of an exchange. A slow client gets the newest."""

    symbol: SymbolText


class SubscribePoints(_Subscribe, frozen=True, tag="points", kw_only=True):
    """Results of a transform."""

    symbol: SymbolText
    series: Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,39}$", description="The name of the transform.")]


class SubscribeRun(_Subscribe, frozen=True, tag="run", kw_only=True):
    """The state and the headline figures of a run."""

    run: RunId


class SubscribeFills(_Subscribe, frozen=True, tag="fills", kw_only=True):
    """The fills of a run."""

    run: RunId


class SubscribeEquity(_Subscribe, frozen=True, tag="equity", kw_only=True):
    """The equity curve of a run."""

    run: RunId


class SubscribeReplay(_Subscribe, frozen=True, tag="replay", kw_only=True):
    """The state of a replay, at each change and once a second, also while it is paused."""

    replay: Annotated[
        str,
        Meta(min_length=1, max_length=200, description="<namespace>/<name> of the newest one, or a uid."),
    ]


Subscribe: TypeAlias = (
    SubscribeBars
    | SubscribeTrades
    | SubscribeTickers
    | SubscribePoints
    | SubscribeRun
    | SubscribeFills
    | SubscribeEquity
    | SubscribeReplay
)


class Unsubscribe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="unsubscribe"):
    """End a subscription."""

    id: SubscriptionId


class Resume(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="resume"):
    """Continue the session of a socket that was lost: to be sent before anything is subscribed to."""

    session: Annotated[str, Meta(max_length=64, description="The session of the earlier socket's welcome.")]
    seq: Annotated[int, Meta(ge=0, description="The seq of the last message that was received in it.")]


class Ping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="ping"):
    """Ask for a pong."""

    id: Annotated[str, Meta(max_length=64, description="Is returned with the pong.")] = ""


Request: TypeAlias = Subscribe | Unsubscribe | Resume | Ping
REQUESTS: tuple[type[msgspec.Struct], ...] = (*get_args(Subscribe), Unsubscribe, Resume, Ping)


class _Envelope(msgspec.Struct, frozen=True):
    type: str


_TYPES = ("subscribe", "unsubscribe", "resume", "ping")
_decode_envelope: Callable[[bytes | str], _Envelope] = json_decoder(_Envelope)
_decode_subscribe: Callable[[bytes | str], Subscribe] = json_decoder(Subscribe)
_decode_other: Callable[[bytes | str], Unsubscribe | Resume | Ping] = json_decoder(Unsubscribe | Resume | Ping)


def decode_request(text: str) -> Request:
    """The request in a text frame. Raises InvalidInput."""
    try:
        kind = _decode_envelope(text).type
        if kind not in _TYPES:
            raise InvalidInput(f"type: got {kind[:80]!r}, expected one of {', '.join(_TYPES)}")
        request: Request = _decode_subscribe(text) if kind == "subscribe" else _decode_other(text)
    except msgspec.DecodeError as error:
        raise InvalidInput(f"message: {error}") from None
    refuse_nul(msgspec.structs.asdict(request))
    return request
