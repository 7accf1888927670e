"""Text of the strategy's author on its way to the store."""

from __future__ import annotations


def storable(text: str) -> str:
    """The text without NUL and lone surrogates, which the database rejects."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
