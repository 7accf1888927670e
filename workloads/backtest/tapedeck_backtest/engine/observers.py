"""The observers and analyzers of a run: those of its spec, and Backtrader's standard ones if its strategy reads them.

Backtrader adds its standard observers (Broker, BuySell, Trades) to each run, which costs an eighth of its time.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import backtrader as bt

from tapedeck_backtest.errors import RunFailed
from tapedeck_crds.backtest import BacktestSpec

_READS = {"stats", "observers"}  # the two names of a strategy's observers
_WRAPPERS = ("tapedeck_backtest.engine.", "tapedeck_backtest.bias_checks.")  # where a strategy's class is extended
_OTHER_PACKAGES = ("backtrader", "tapedeck_backtest", "builtins")


def reads_observers(strategy: type[Any]) -> bool:
    """Whether a module of the strategy's class, or of a class that it derives from names ``stats`` or ``observers``."""
    modules = {cls.__module__ for cls in strategy.__mro__ if cls.__module__.partition(".")[0] not in _OTHER_PACKAGES}
    return any(_reads_observers(module) for module in modules)


@cache
def _reads_observers(module: str) -> bool:
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (OSError, KeyError, TypeError, SyntaxError):  # without its source, it might
        return True
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return bool(_READS & (attributes | texts))


def observer_classes(spec: BacktestSpec, strategy: type[Any]) -> list[type[Any]]:
    """The classes of spec.observers. Raises RunFailed (BadSpec), and what the import of a module raises."""
    return list(_classes("observers", spec.observers, strategy, bt.Observer, bt.observers))


def analyzer_classes(spec: BacktestSpec, strategy: type[Any]) -> list[type[Any]]:
    """The classes of spec.analyzers. Raises RunFailed (BadSpec), and what the import of a module raises."""
    return list(_classes("analyzers", spec.analyzers, strategy, bt.Analyzer, bt.analyzers))


def add_observers(engine: bt.Cerebro, observers: Iterable[type[Any]]) -> None:
    """Add the observers to the engine, which has its feeds, unless they are among its standard ones."""
    trades = bt.observers.Trades if len(engine.datas) == 1 else bt.observers.DataTrades
    standard = (bt.observers.Broker, bt.observers.BuySell, trades) if engine.p.stdstats else ()
    for observer in observers:
        if observer in standard:
            continue
        if issubclass(observer, bt.observers.BuySell):  # one for each feed
            engine.addobservermulti(observer)
        else:
            engine.addobserver(observer)


def _classes(field: str, names: Iterable[str], strategy: type[Any], base: type[Any], package: Any) -> Iterator[Any]:
    own = next(cls for cls in strategy.__mro__ if not cls.__module__.startswith(_WRAPPERS))
    for name in names:
        module, _, attribute = name.rpartition(":")
        places = [importlib.import_module(module)] if module else [sys.modules[own.__module__], package]
        found = next((vars(place)[attribute] for place in places if attribute in vars(place)), None)
        if not _is_kind(found, base):
            available = sorted(n for n, cls in vars(package).items() if _is_kind(cls, base))
            searched = " or ".join(place.__name__ for place in places)
            raise RunFailed(
                "BadSpec",
                f"{field}: got {name!r}, expected a backtrader.{base.__name__} of {searched}; "
                f"{package.__name__} has {', '.join(available)}",
            )
        yield found


def _is_kind(found: Any, base: type[Any]) -> bool:
    return isinstance(found, type) and issubclass(found, base) and found is not base
