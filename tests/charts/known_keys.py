"""Keys of the values of a vendor's chart, which is not here to be rendered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

FREE: dict[str, Any] = {}  # any key


def names(text: str) -> dict[str, Any]:
    """Keys with values of any form."""
    return dict.fromkeys(text.split(), FREE)


def unknown_keys(values: dict[str, Any], known: dict[str, Any], path: str = "") -> Iterator[str]:
    """The paths of the keys in ``values`` that ``known`` lacks."""
    for key, value in values.items():
        if known and key not in known:
            yield f"{path}{key}"
        elif isinstance(value, dict):
            yield from unknown_keys(value, known.get(key, FREE), f"{path}{key}.")
