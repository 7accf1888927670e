"""The built-in strategies as programs list them that cannot load a strategy: a file which `make crds` writes."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from tapedeck_crds.json import Json

FILE = Path(__file__).with_suffix(".json")


@cache
def builtin_strategies() -> tuple[Json, ...]:
    """Of each the name, a description, and the params by name with type and default."""
    return tuple(json.loads(FILE.read_text()))


def builtin_defaults(name: str) -> dict[str, Any]:
    """The params of a built-in strategy with their defaults; none of a strategy of another name."""
    found = (each["params"] for each in builtin_strategies() if each["name"] == name)
    return {param: each["default"] for param, each in next(found, {}).items()}
