"""ccxt's packages load each of their exchanges, over a hundred: a pod listens to one, and loads that alone.

It spares each pod half of its memory and half a second of a core at its start.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Collection, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any

_PACKAGES = ("ccxt", "ccxt.async_support", "ccxt.pro")
# from ccxt.pro.binance import binance
_EXCHANGE = re.compile(rb"^from ccxt(?:\.async_support|\.pro)?\.(\w+) +import \1\b.*$", re.MULTILINE)


class _Package(ModuleType):
    """Has an exchange's class from when it is asked for, and, as in ccxt, never the module of that name."""

    def __getattr__(self, name: str) -> Any:
        if name not in self._exchanges():
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{self.__name__}.{name}"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        is_exchange = isinstance(value, ModuleType) and name in self._exchanges()
        super().__setattr__(name, getattr(value, name) if is_exchange else value)

    def _exchanges(self) -> Collection[str]:
        found: Collection[str] = self.__dict__.get("exchanges", ())
        return found


class _Loader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        # Not by way of ``source_to_code``: what that returns is kept beside the source, for everyone.
        return compile(_EXCHANGE.sub(b"", self.get_data(self.path)), self.path, "exec", dont_inherit=True)

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        module.__class__ = _Package


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname in _PACKAGES else None
        if spec is not None and spec.origin is not None and spec.origin.endswith(".py"):
            spec.loader = _Loader(fullname, spec.origin)
        return spec


def one_exchange_at_a_time() -> None:
    """From now on; a ccxt that is loaded already stays as it is."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
