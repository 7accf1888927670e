"""Text of requests: valid UTF-8 without NUL, which Postgres can neither store nor compare."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from starlette.types import Scope

from tapedeck_crds.errors import InvalidInput


def check_request_text(scope: Scope) -> None:
    """Raises InvalidInput, which names the part, where the path or the query is not text."""
    _check_bytes("path", unquote_to_bytes(scope["raw_path"]))
    for pair in scope["query_string"].replace(b"+", b" ").split(b"&"):
        name, _, value = pair.partition(b"=")
        _check_bytes("query", unquote_to_bytes(name))
        _check_bytes(unquote_to_bytes(name).decode(), unquote_to_bytes(value))


def refuse_nul(texts: Mapping[str, object]) -> None:
    """Raises InvalidInput, which names the text, where one of the texts by name holds NUL."""
    for name, text in texts.items():
        if "\x00" in str(text):
            raise InvalidInput(f"{name[:80]}: got {str(text)[:80]!r}, expected text without NUL")


def _check_bytes(name: str, text: bytes) -> None:
    try:
        decoded = text.decode()
    except UnicodeDecodeError:
        raise InvalidInput(f"{name[:80]}: got {text[:80]!r}, expected UTF-8") from None
    refuse_nul({name: decoded})
