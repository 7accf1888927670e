"""Text from outside as a message, a terminal or a page may show it."""

from __future__ import annotations

QUOTED_MAX = 60
"""Characters of a foreign value in a message."""


def printable(text: str, keep: str = "") -> str:
    r"""The text with each character that is not visible as an escape such as ``\x1b``, except those of ``keep``.

    These are control characters, those that change the direction of text or have no width, separators other than a
    blank, and surrogates.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in keep else _escape(each) for each in text)


def excerpt(text: str) -> str:
    """A foreign text in a message: at most QUOTED_MAX of its characters, printable."""
    return printable(text if len(text) <= QUOTED_MAX else text[: QUOTED_MAX - 1] + "…")


def quoted(value: object) -> str:
    """A foreign value in a message: as in source code, with at most QUOTED_MAX of its characters."""
    if isinstance(value, str):
        return f"{value[:QUOTED_MAX]!r}" if len(value) <= QUOTED_MAX else f"{value[: QUOTED_MAX - 1] + '…'!r}"
    text = repr(value)
    return text if len(text) <= QUOTED_MAX else text[: QUOTED_MAX - 1] + "…"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
