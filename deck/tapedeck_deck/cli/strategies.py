"""`tapedeck strategies`: asked of the workload, in a process of its own as its pods are."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tapedeck_deck.embedded.errors import DeckError

ANSWER_SECONDS = 60.0
COMMAND = (sys.executable, "-m", "tapedeck_backtest.strategies")


def listing() -> list[dict[str, Any]]:
    """Name, about and params (type, default) of each built-in strategy. Raises DeckError."""
    try:
        done = subprocess.run(COMMAND, capture_output=True, text=True, timeout=ANSWER_SECONDS)
    except subprocess.TimeoutExpired:
        raise DeckError(f"{' '.join(COMMAND)} did not answer within {ANSWER_SECONDS:g} s") from None
    if done.returncode:
        raise DeckError(f"{' '.join(COMMAND)} ended with {done.returncode}: {done.stderr.strip()[-1000:]}")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def text(strategies: list[dict[str, Any]]) -> str:
    """A block a strategy: its name, what it does, and each param with its default and type."""
    blocks = []
    for strategy in strategies:
        lines = [strategy["name"], f"  {strategy['about']}"]
        lines += [
            f"    {name}: {json.dumps(param['default'])} ({param['type']})"
            for name, param in strategy["params"].items()
        ]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)
