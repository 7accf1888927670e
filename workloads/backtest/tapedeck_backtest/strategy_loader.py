"""Which strategy, with which params: everything that a spec can get wrong about them is said here."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import backtrader as bt

from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.sandbox.trace import strategy_trace
from tapedeck_backtest.strategies import BUILTINS
from tapedeck_crds.backtest import ParamValue, Strategy


def strategy_class(wanted: Strategy, files: Path) -> type[Any]:
    """The class that is asked for; modules are looked for among the installed ones, then in ``files``.

    Raises RunFailed (BadStrategy).
    """
    if wanted.builtin is not None:
        return BUILTINS[wanted.builtin]
    name, _, attribute = (wanted.module or "").partition(":")
    module = _module(name, files)
    found = getattr(module, attribute, None)
    if isinstance(found, type) and issubclass(found, bt.Strategy):
        return found
    there = [n for n, v in vars(module).items() if isinstance(v, type) and issubclass(v, bt.Strategy)]
    raise RunFailed(
        "BadStrategy",
        f"strategy.module: {attribute!r} is not a backtrader.Strategy of {name} ({module.__file__}); "
        f"it has {', '.join(sorted(there)) or 'none'}",
    )


def _module(name: str, files: Path) -> Any:
    if str(files) not in sys.path:
        sys.path.append(str(files))  # last: a user's file must not hide a module that we need
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise RunFailed("BadStrategy", f"strategy.module: no module {name!r}, looked in {files} too") from None
        raise RunFailed("BadStrategy", f"strategy.module: {name} can't be imported: {error}") from error
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:
        raise RunFailed(
            "BadStrategy", f"strategy.module: {name} can't be imported:\n{strategy_trace(error)}"
        ) from error


def checked_params(
    cls: type[Any], given: dict[str, ParamValue], field: str = "strategy.params"
) -> dict[str, ParamValue]:
    """The params given in ``field``, an int made a float where the default is one. Raises RunFailed (BadParams)."""
    defaults: dict[str, Any] = dict(cls.params._getpairs())
    checked: dict[str, ParamValue] = {}
    for name, value in given.items():
        if name not in defaults:
            there = ", ".join(f"{n}={d!r}" for n, d in defaults.items())
            raise RunFailed("BadParams", f"{field}.{name}: not a param of {cls.__name__}; it has {there or 'none'}")
        checked[name] = _checked(f"{field}.{name}", value, defaults[name])
    return checked


def _checked(field: str, value: ParamValue, default: Any) -> ParamValue:
    wanted = type(default)
    if wanted not in (bool, int, float, str) or type(value) is wanted:
        return value
    if wanted is float and type(value) is int:
        return float(value)
    raise RunFailed(
        "BadParams",
        f"{field}: got {value!r} ({type(value).__name__}), expected {wanted.__name__} as its default {default!r}",
    )
