"""The client for notebooks, scripts and tests: ``import tapedeck``.

``td = tapedeck.connect()`` finds the deck on this machine, or takes the address and the token of a gateway;
``with tapedeck.deck() as td:`` starts a private one. It reaches them by the gateway's REST interface alone, so it
installs without a broker, a database or an engine. docs/guides/notebooks.md leads through it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tapedeck.version import VERSION

if TYPE_CHECKING:
    from tapedeck.client import TapedeckClient, connect
    from tapedeck.comparison import ComparedRuns
    from tapedeck.embedded import deck
    from tapedeck.errors import ClientError
    from tapedeck.playback import PlayedBar
    from tapedeck.replays import ReplayHandle
    from tapedeck.runs import RunHandle
    from tapedeck.sweeps import SweepHandle
    from tapedeck.table import MarketTable

__all__ = [
    "VERSION",
    "ClientError",
    "ComparedRuns",
    "MarketTable",
    "PlayedBar",
    "ReplayHandle",
    "RunHandle",
    "SweepHandle",
    "TapedeckClient",
    "connect",
    "deck",
]

# Loaded at the first use: the pytest plugin is imported in every test run, also of programs that use nothing of it.
_PLACES = {
    "ClientError": "errors", "MarketTable": "table", "PlayedBar": "playback", "ReplayHandle": "replays",
    "ComparedRuns": "comparison", "RunHandle": "runs", "SweepHandle": "sweeps", "TapedeckClient": "client",
    "connect": "client", "deck": "embedded",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
