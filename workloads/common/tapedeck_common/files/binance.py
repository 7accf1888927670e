"""Trades as messages of Binance's websocket."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tapedeck_common.files.content.unpacking import unpack
from tapedeck_common.files.field_parsing import InvalidTrade, number
from tapedeck_common.files.layouts.file_names import unified
from tapedeck_common.files.source_files import SourceFile, open_file, size_of
from tapedeck_common.files.timestamps import FileTimes
from tapedeck_common.json_text import json_decoder
from tapedeck_common.market import Trade
from tapedeck_crds.files import Files
from tapedeck_crds.text import quoted

MESSAGE_MAX = 65_536  # bytes of a line


class _Message(msgspec.Struct):
    """The payload of the stream ``<symbol>@trade``; ``m`` is true where the buyer was the maker."""

    e: str
    s: str
    t: int
    p: str
    q: str
    T: int
    m: bool


class _Combined(msgspec.Struct):
    """The message inside a message of a combined stream."""

    data: _Message


_decode: Callable[[bytes | str], _Message] = json_decoder(_Message)
_decode_combined: Callable[[bytes | str], _Combined] = json_decoder(_Combined)


def trade_parser(files: Files, file: SourceFile, times: FileTimes) -> Callable[[str], tuple[int, Trade]]:
    """A parser of lines with one message each, plain or of a combined stream, with or without a leading receive time.

    It returns the time in microseconds and the trade. The fields are those of "Trade Streams" in Binance's
    documentation. The side is the taker's.
    """
    expected = file.symbol.partition(":")[0].replace("/", "").upper()

    def parse(text: str) -> tuple[int, Trade]:
        message = _message(text)
        if message.e != "trade":
            raise ValueError(f"e: got {quoted(message.e)}, expected 'trade'")
        if message.s != expected:
            raise ValueError(f"s: got {quoted(message.s)}, expected {expected!r} for {file.symbol}")
        id = str(message.t)
        try:
            us, ts = times.of_number("T", message.T)
            price, amount = number("p", message.p), number("q", message.q)
        except ValueError as error:
            raise InvalidTrade(str(error), id) from None
        return us, Trade(files.exchange, file.symbol, ts, id, price, amount, "sell" if message.m else "buy")

    return parse


def message_symbol(file: SourceFile) -> str | None:
    """The symbol of the first message of a file; None where its first line is none. Raises what reading a file does."""
    with open_file(file) as raw:
        content = next(unpack(file.name, raw, size_of(raw)), None)
        line = b"" if content is None else content.stream.readline(MESSAGE_MAX)
    try:
        return unified(_message(line.decode()).s)
    except ValueError:
        return None


def _message(text: str) -> _Message:
    body = text[text.find("{") :] if "{" in text else text
    try:
        return _decode_combined(body).data if '"data"' in body else _decode(body)
    except msgspec.DecodeError as error:
        raise ValueError(f"message: {error}, expected a trade of Binance's websocket") from None
