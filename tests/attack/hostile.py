"""Hostile values, and documents with such values in the place of right ones. Everything follows from the seed."""

from __future__ import annotations

import copy
import math
import random
from typing import Any

TEXTS = (
    "", " ", "\0", "a\0b", "\n", "BTC/USD\n", "a\r\nSet-Cookie: x=1", "\x1b[31m", "\x1b]0;title\x07", "\u202etxt.exe",
    "\ud800", "\U0001f4c8" * 300, "a" * 10_000, "ﬁ", "İ", "1m ", "١m", "BTC/USD'; DROP TABLE bars; --",
    "../../../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "/proc/self/environ", "//host/share", "C:\\boot.ini",
    "http://169.254.169.254/latest/meta-data/", "http://[::1]:1/", "s3://", "gopher://x", "${jndi:ldap://x}", "$(id)",
    "`id`", "{{7*7}}", "%s%n%x", "%00", "%2e%2e/", "*", "**/*", "[", "(a+)+$", "true", "null", "~", "0x7fffffff",
    "1e999", "NaN", "-inf", "9" * 400, "1_000", "0o17", "2018-02-30T00:00:00Z", "9999-12-31T23:59:60Z", "P1Y",
    "0000-00-00T00:00:00Z", "2018-04-04T00:00:00+99:99", "-1", "0", "1m", "BTC/USD", "coinbase", "tapedeck-connections",
)  # fmt: skip
NUMBERS = (
    0, -1, 1, 2, 59_999, 2**30, 2**31 - 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**40, -0.0, 0.1,
    1e-320, 1e308, -1e308, math.nan, math.inf, -math.inf, 1_522_800_000_000, 253_402_300_800_000,
)  # fmt: skip


def text(rng: random.Random) -> str:
    """A text that nobody means well with."""
    if rng.random() < 0.7:
        return rng.choice(TEXTS)
    return "".join(chr(rng.choice((rng.randrange(0x20), rng.randrange(0x20, 0x7F), rng.randrange(0xD7FF))))
                   for _ in range(rng.randrange(1, 40)))  # fmt: skip


def value(rng: random.Random, depth: int = 2) -> Any:
    """A value of any JSON type; a number may be none that JSON has."""
    kind = rng.randrange(8 if depth else 5)
    if kind < 2:
        return text(rng)
    if kind < 4:
        return rng.choice(NUMBERS)
    if kind == 4:
        return rng.choice((True, False, None))
    if kind == 5:
        return [value(rng, depth - 1) for _ in range(rng.randrange(4))]
    if kind == 6:
        return {text(rng): value(rng, depth - 1) for _ in range(rng.randrange(4))}
    return nested(rng.choice((10, 90, 300)))


def nested(depth: int) -> Any:
    """A list in a list in a list …"""
    inner: Any = 0
    for _ in range(depth):
        inner = [inner]
    return inner


def mutated(rng: random.Random, document: Any) -> Any:
    """A copy of a document with one to three hostile changes in random places."""
    changed = copy.deepcopy(document)
    for _ in range(rng.randint(1, 3)):
        _change(rng, rng.choice(_containers(changed)))
    return changed


def _containers(document: Any) -> list[Any]:
    """All mappings and lists of a document, itself first."""
    found = [document]
    for each in found:
        inner = each.values() if isinstance(each, dict) else each
        found.extend(one for one in inner if isinstance(one, dict | list))
    return found


def _change(rng: random.Random, container: Any) -> None:
    places = list(container) if isinstance(container, dict) else list(range(len(container)))
    if not places or rng.random() < 0.15:
        if isinstance(container, dict):
            container[text(rng)] = value(rng)
        else:
            container.append(value(rng))
        return
    place = rng.choice(places)
    how = rng.random()
    if how < 0.7:
        container[place] = value(rng)
    elif how < 0.85:
        del container[place]
    elif isinstance(container, dict):
        container[place.swapcase() if isinstance(place, str) else text(rng)] = container.pop(place)
    else:
        container.extend([container[place]] * rng.choice((2, 50)))
