"""Patterns of files' names, such as {symbol}-{interval}-{date}.

A pattern fits as a regular expression does: the first way that fits, in the order in which a part's ends are tried. It
takes one step for each part and character, where an expression may take hours: first, from the last part to the first,
where in the name the parts from there on fit; then, from the first to the last, the first end from which they do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Protocol

_WORDS = re.compile(r"[A-Za-z0-9]+(?:[-_][A-Za-z0-9]+)*")
_WORD = re.compile(r"[A-Za-z0-9]+")
_IN_WORD = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_BETWEEN_WORDS = frozenset("-_")


class _Part(Protocol):
    """A part of a pattern."""

    def ends(self, name: str, start: int) -> Iterator[int]:
        """Where a part that begins there may end, in the order in which the ends are tried."""
        ...

    def fits(self, name: str, rest: list[bool]) -> list[bool]:
        """Whether the part and the rest fit, for each place of a name; ``rest`` tells where the rest does."""
        ...


class _Short:
    """A part with few ends: each of ``ways`` is an expression with one way to fit, in the order of trial."""

    def __init__(self, *ways: str) -> None:
        self._ways = [re.compile(way) for way in ways]

    def ends(self, name: str, start: int) -> Iterator[int]:
        return (found.end() for way in self._ways if (found := way.match(name, start)) is not None)

    def fits(self, name: str, rest: list[bool]) -> list[bool]:
        return [any(rest[end] for end in self.ends(name, start)) for start in range(len(name) + 1)]


class _Any:
    """Any text of at least one character, the shortest first."""

    def ends(self, name: str, start: int) -> Iterator[int]:
        line_end = name.find("\n", start)
        return iter(range(start + 1, (line_end if line_end >= 0 else len(name)) + 1))

    def fits(self, name: str, rest: list[bool]) -> list[bool]:
        found = [False] * (len(name) + 1)
        for start in range(len(name) - 1, -1, -1):
            found[start] = name[start] != "\n" and (rest[start + 1] or found[start + 1])
        return found


class _Symbol:
    """Words with - or _ between them: whole words first, few before many; then parts of them, the longest first."""

    def ends(self, name: str, start: int) -> Iterator[int]:
        if (words := _WORDS.match(name, start)) is None:
            return
        whole = [word.end() for word in _WORD.finditer(name, start, words.end())]
        yield from whole
        for end in range(words.end() - 1, start, -1):
            if name[end - 1] in _IN_WORD and name[end] in _IN_WORD:
                yield end

    def fits(self, name: str, rest: list[bool]) -> list[bool]:
        found = [False] * (len(name) + 2)
        for start in range(len(name) - 1, -1, -1):
            if name[start] in _IN_WORD:
                goes_on = start + 1 < len(name) and name[start + 1] in _BETWEEN_WORDS and found[start + 2]
                found[start] = rest[start + 1] or found[start + 1] or goes_on
        return found[:-1]


_KIND = r"(?:intraday|daily|weekly|monthly)"
_PARTS: dict[str, _Part] = {
    "symbol": _Symbol(),
    "interval": _Short(r"\d+[smhdw]", r"\d+mo", r"\d+M"),
    "date": _Short(r"\d{4}-?\d{2}-?\d{2}", r"\d{4}-?\d{2}", r"\d{4}"),
    "minutes": _Short(r"\d{5}", r"\d{4}", r"\d{3}", r"\d{2}", r"\d"),
    "word": _Short(rf"{_KIND}_adjusted_\d+min", rf"{_KIND}_adjusted", rf"{_KIND}_\d+min", _KIND),
    "any": _Any(),
}


class NamePattern:
    """A pattern of names without suffixes: a name may go on with a point behind it."""

    def __init__(self, text: str) -> None:
        self._parts: list[tuple[str, _Part]] = []
        for number, part in enumerate(re.split(r"\{(\w+)\}", text)):
            if number % 2:
                self._parts.append((part, _PARTS[part]))
            elif part:
                self._parts.append(("", _Short(re.escape(part))))

    def match(self, name: str) -> Mapping[str, str] | None:
        """What a name has for each part, of one that is there more than once the first; None if it does not fit."""
        rests = [[name[end : end + 1] in ("", ".") or name[end:] == "\n" for end in range(len(name) + 1)]]
        for _, part in reversed(self._parts):
            rests.append(part.fits(name, rests[-1]))
        if not rests.pop()[0]:
            return None
        found: dict[str, str] = {}
        start = 0
        for (key, part), rest in zip(self._parts, reversed(rests), strict=True):
            end = next(each for each in part.ends(name, start) if rest[each])
            if key:
                found.setdefault(key, name[start:end])
            start = end
        return found


@lru_cache(maxsize=256)
def name_pattern(text: str) -> NamePattern:
    """The pattern of a text such as {symbol}-{interval}-{date}."""
    return NamePattern(text)
