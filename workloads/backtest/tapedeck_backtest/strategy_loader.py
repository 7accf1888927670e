"""Loads the strategy's class and checks its params, with a message for everything that a spec can get wrong."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import backtrader as bt

from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.sandbox.strategy_trace import strategy_trace
from tapedeck_backtest.strategies import BUILTINS
from tapedeck_crds.backtest import ParamValue, Strategy


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


def checked_params(
    strategy: type[Any], given: dict[str, ParamValue], field: str = "strategy.params"
) -> dict[str, ParamValue]:
    """The params given in ``field``; an int becomes a float if the param's default is one.

    Raises RunFailed (BadParams) for a param that the strategy does not declare, or a value of another type.
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


def _checked_value(field: str, value: ParamValue, default: Any) -> ParamValue:
    expected = type(default)
    if expected not in (bool, int, float, str) or type(value) is expected:
        return value
    if expected is float and type(value) is int:
        return float(value)
    raise RunFailed(
        "BadParams",
        f"{field}: got {value!r} ({type(value).__name__}), expected {expected.__name__} like its default {default!r}",
    )
