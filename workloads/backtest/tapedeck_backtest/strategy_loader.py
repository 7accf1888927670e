"""Loads the strategy's class and checks its params, with a message for everything that a spec can get wrong."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import backtrader as bt
import numpy as np

from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.sandbox.strategy_trace import strategy_trace
from tapedeck_backtest.strategies import BUILTINS
from tapedeck_crds.backtest import ParamValue, Strategy

_NUMBER = (int, float, np.number)  # a bool is an int


def load_strategy(spec: Strategy, files: Path) -> type[Any]:
    """The built-in strategy, or the class of a module that is installed or is in ``files``.

    Raises RunFailed (BadStrategy).
    """
    if spec.builtin is not None:
        return BUILTINS[spec.builtin]
    name, _, attribute = (spec.module or "").partition(":")
    module = _import(name, files)
    found = getattr(module, attribute, None)
    if isinstance(found, type) and issubclass(found, bt.Strategy):
        return found
    available = [n for n, v in vars(module).items() if isinstance(v, type) and issubclass(v, bt.Strategy)]
    raise RunFailed(
        "BadStrategy",
        f"strategy.module: got {attribute!r}, expected a backtrader.Strategy of {name} ({module.__file__}); "
        f"it has {', '.join(sorted(available)) or 'none'}",
    )


def _import(name: str, files: Path) -> ModuleType:
    if str(files) not in sys.path:
        sys.path.append(str(files))  # at the end, so that a user's file hides no module of the run
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise RunFailed(
                "BadStrategy", f"strategy.module: no module {name!r} is installed, and none is in {files}"
            ) from None
        raise RunFailed("BadStrategy", f"strategy.module: {name} cannot be imported: {error}") from error
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:
        raise RunFailed(
            "BadStrategy", f"strategy.module: {name} cannot be imported:\n{strategy_trace(error)}"
        ) from error


def open_hook_note(strategy: type[Any], cheat_on_open: bool) -> str | None:
    """A note for a strategy whose ``next_open`` is not called; None if it has none, or ``broker.cheatOnOpen`` is set.

    Raises RunFailed (BadStrategy) if the strategy has no other method that is called with a bar.
    """
    if cheat_on_open or not _overrides(strategy, "next_open", "nextstart_open", "prenext_open"):
        return None
    if _overrides(strategy, "next", "nextstart", "prenext"):
        return f"broker.cheatOnOpen: got false, so next_open of {strategy.__name__} is not called; set it to true"
    raise RunFailed(
        "BadStrategy",
        f"broker.cheatOnOpen: got false, expected true: {strategy.__name__} has next_open and no next",
    )


def _overrides(strategy: type[Any], *methods: str) -> bool:
    return any(getattr(strategy, name) is not getattr(bt.Strategy, name) for name in methods)


def checked_params(
    strategy: type[Any], given: dict[str, ParamValue], field: str = "strategy.params"
) -> dict[str, ParamValue]:
    """The params given in ``field``, as Python would take them: any number for a number, text for text.

    Raises RunFailed (BadParams) for a param that the strategy does not declare, and for text in place of a number or a
    number in place of text.
    """
    defaults: dict[str, Any] = dict(strategy.params._getpairs())
    params: dict[str, ParamValue] = {}
    for name, value in given.items():
        if name not in defaults:
            available = ", ".join(f"{n}={d!r}" for n, d in defaults.items())
            raise RunFailed(
                "BadParams", f"{field}.{name}: not a param of {strategy.__name__}; it has {available or 'none'}"
            )
        params[name] = _checked_value(f"{field}.{name}", value, defaults[name])
    return params


def param_notes(strategy: type[Any], params: Mapping[str, ParamValue], field: str = "strategy.params") -> list[str]:
    """A note for each of these checked params that is a bool where the default is a number, or the reverse."""
    defaults: dict[str, Any] = dict(strategy.params._getpairs())
    return [
        f"{field}.{name}: got {value!r}, which is used as it is, though the default {defaults[name]!r} is a "
        f"{'bool' if isinstance(defaults[name], bool) else 'number'}"
        for name, value in params.items()
        if isinstance(value, _NUMBER) and isinstance(defaults[name], _NUMBER)
        if isinstance(value, bool) != isinstance(defaults[name], bool)
    ]


def _checked_value(field: str, value: ParamValue, default: Any) -> ParamValue:
    """Backtrader's params have no types; that of the default says whether a number or text is meant."""
    if not isinstance(default, (*_NUMBER, str)):
        return value
    if isinstance(default, str) != isinstance(value, str):
        expected = "text" if isinstance(default, str) else "a number"
        raise RunFailed(
            "BadParams",
            f"{field}: got {value!r} ({type(value).__name__}), expected {expected} like its default {default!r}",
        )
    if isinstance(value, str | bool):
        return value
    if isinstance(default, bool):
        return bool(value) if value in (0, 1) else value
    if isinstance(default, int) and isinstance(value, float):
        return int(value) if value.is_integer() else value  # range(20.0) fails, and JSON does not tell 2.0 from 2
    return float(value) if isinstance(default, float) else value
