"""``python -m tapedeck_backtest.strategies``: writes the list of the built-in strategies and their params."""

from __future__ import annotations

import json

from tapedeck_backtest.strategies import BUILTINS
from tapedeck_crds.builtin_strategies import FILE
from tapedeck_crds.json import Json


def listing() -> list[Json]:
    """One object per strategy: name, description, and its params by name with type and default."""
    return [
        {
            "name": name,
            "about": (cls.__doc__ or "").strip().splitlines()[0],
            "params": {
                param: {"type": type(default).__name__, "default": default}
                for param, default in cls.params._getpairs().items()
            },
        }
        for name, cls in BUILTINS.items()
    ]


def text() -> str:
    """The list as the file has it."""
    return json.dumps(listing(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
