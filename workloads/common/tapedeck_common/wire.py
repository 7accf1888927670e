"""What a record on the log looks like: JSON value, ``exchange:symbol`` key, one header ``td``.

The header is ``1;source`` for market data, ``1;replay;uid;epoch`` for a replay's, and
``1;replay;uid;epoch;c`` for a replay's control records, whose value says which.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from tapedeck_common.market import Bar, OrderKey, Point, Source, Ticker, Trade

HEADER = "td"
HEADER_VERSION = "1"
Headers: TypeAlias = list[tuple[str, str | bytes | None]]
Received: TypeAlias = Headers | dict[str, str | bytes | None] | None
"""What the client's type says of a message's headers; in fact a list or nothing, and a value may be null."""

encode = msgspec.json.Encoder().encode
decode_bar = msgspec.json.Decoder(Bar).decode
decode_bars = msgspec.json.Decoder(list[Bar]).decode
decode_trade = msgspec.json.Decoder(Trade).decode
decode_ticker = msgspec.json.Decoder(Ticker).decode
decode_point = msgspec.json.Decoder(Point).decode


class Origin(msgspec.Struct, frozen=True):
    """Where a record comes from, as its header says."""

    source: Source
    replay_uid: str = ""
    epoch: str = ""
    control: bool = False


class Epoch(msgspec.Struct, frozen=True, order=True):
    """Which pass of a replay: jumps asked for, then rounds of its loop."""

    control: int = 0
    loop: int = 0

    def __str__(self) -> str:
        return f"{self.control}.{self.loop}"

    @classmethod
    def parse(cls, text: str) -> Epoch:
        """``3.0`` → Epoch(3, 0); ValueError otherwise."""
        control, loop = text.split(".")
        return cls(int(control), int(loop))


class Start(msgspec.Struct, frozen=True, tag="start"):
    """First record of each partition: what the replay resolved its spec to.

    ``rows`` counts the bars, or the trades, of each symbol; ``channel`` says which of them it plays.
    """

    uid: str
    name: str
    namespace: str
    spec: msgspec.Raw
    exchange: str
    symbols: list[str]
    interval: str
    range_from: int
    range_to: int
    rows: dict[str, int]
    fingerprint: str
    image: str = ""
    channel: Literal["bars", "trades"] = "bars"


class EpochStart(msgspec.Struct, frozen=True, tag="epoch"):
    """The stream goes on from another virtual time, or begins there: forget what is later than ``v``."""

    epoch: str
    v: int
    reason: Literal["seek", "loop"]


class Watermark(msgspec.Struct, frozen=True, tag="watermark"):
    """Last record of each transaction: this partition is complete up to and with event time ``v``.

    ``position`` is the order key of the last bar published in this epoch, null before the first.
    """

    epoch: str
    v: int
    position: OrderKey | None = None
    published: int = 0


class End(msgspec.Struct, frozen=True, tag="end"):
    """The replay is over: ``published`` bars in this partition, all epochs together."""

    epoch: str
    v: int
    published: int


ControlRecord: TypeAlias = Start | EpochStart | Watermark | End
decode_control = msgspec.json.Decoder(ControlRecord).decode


def market_headers(source: Source) -> Headers:
    """Headers of a record of the live market's topics."""
    return [(HEADER, f"{HEADER_VERSION};{source}".encode())]


def replay_headers(uid: str, epoch: Epoch, *, control: bool = False) -> Headers:
    """Headers of a record of a replay's topic."""
    text = f"{HEADER_VERSION};replay;{uid};{epoch}"
    return [(HEADER, f"{text};c".encode() if control else text.encode())]


_known: dict[bytes, Origin] = {}


def origin_of(headers: Received) -> Origin:
    """The origin that a record's headers state; ValueError where they state none or an unknown one."""
    for name, value in headers if isinstance(headers, list) else ():
        if name == HEADER and isinstance(value, bytes):
            known = _known.get(value)
            if known is None:
                if len(_known) > 4096:  # one entry a replay and epoch: bounded all the same
                    _known.clear()
                known = _known[value] = _parse_origin(value)
            return known
    raise ValueError(f"header {HEADER}: missing, expected {HEADER_VERSION};source")


def _parse_origin(value: bytes) -> Origin:
    parts = value.decode("utf-8", "replace").split(";")
    if len(parts) < 2 or parts[0] != HEADER_VERSION:
        raise ValueError(f"header {HEADER}: got {value!r}, expected version {HEADER_VERSION}")
    try:
        source = msgspec.convert(parts[1], Source)
    except msgspec.ValidationError:
        raise ValueError(
            f"header {HEADER}: got source {parts[1]!r}, expected live, backfill, replay or synthetic"
        ) from None
    if source != "replay":
        return Origin(source)
    if len(parts) < 4:
        raise ValueError(f"header {HEADER}: got {value!r}, expected a replay's uid and epoch")
    return Origin(source, parts[2], parts[3], parts[4:] == ["c"])
