"""``python -m tapedeck_backtest.strategies``: lists the built-in strategies with their params as JSON."""

from __future__ import annotations

import json
from typing import Any

from tapedeck_backtest.strategies import BUILTINS


def listing() -> list[dict[str, Any]]:
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


if __name__ == "__main__":
    print(json.dumps(listing()))
