"""Decoding JSON that somebody else wrote."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec


def json_decoder(wanted: Any) -> Callable[[bytes | str], Any]:
    """A function that decodes one value of the type. It raises msgspec.DecodeError, a ValueError, and nothing else.

    msgspec itself raises RecursionError for deep nesting, which would end a consumer that expects invalid records.
    """
    decode = msgspec.json.Decoder(wanted).decode

    def decoded(text: bytes | str) -> Any:
        try:
            return decode(text)
        except RecursionError:
            raise msgspec.DecodeError("got values nested too deep, expected a record") from None
        except UnicodeError as error:  # a lone surrogate in text
            raise msgspec.DecodeError(f"got text that is no Unicode ({error})") from None

    return decoded
