"""Cursors: the place after which a page begins, as opaque text."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from tapedeck_common.json_text import json_decoder
from tapedeck_crds.errors import InvalidInput
from tapedeck_gateway.access.request_text import refuse_nul
from tapedeck_gateway.store.page import Place

CURSOR_MAX = 2_000  # characters
_BIG = 2**62
P = TypeVar("P", bound=Place)


def encode_cursor(place: Place | None) -> str | None:
    """The text of a place; None for None."""
    if place is None:
        return None
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def decode_cursor(text: str, kind: type[P]) -> P | None:
    """The place in a cursor; None for an empty one. Raises InvalidInput for what no page has given."""
    if not text:
        return None
    decode: Callable[[bytes | str], Any] = json_decoder(kind)
    try:
        place: P = decode(base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True))
        if any(isinstance(part, int) and abs(part) > _BIG for part in place):
            raise ValueError("too large")
    except (ValueError, binascii.Error):
        raise InvalidInput(f"cursor: got {text[:80]!r}, expected `next` of the page before, or none") from None
    refuse_nul({"cursor": "".join(map(str, place))})
    return place
