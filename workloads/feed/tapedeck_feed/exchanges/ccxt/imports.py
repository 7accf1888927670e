"""Loads one exchange of ccxt instead of all.

ccxt's packages import each of their over one hundred exchanges. A pod subscribes to one: loading that one alone saves
half of the pod's memory and half a second of CPU at its start.
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
_EXCHANGE_IMPORT = re.compile(rb"^from ccxt(?:\.async_support|\.pro)?\.(\w+) +import \1\b.*$", re.MULTILINE)


class _LazyPackage(ModuleType):
    """Imports an exchange's class at first access. As in ccxt, the attribute is the class, never its module."""

    def __getattr__(self, name: str) -> Any:
        if name not in self._exchanges():
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{self.__name__}.{name}"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        is_exchange = isinstance(value, ModuleType) and name in self._exchanges()
        super().__setattr__(name, getattr(value, name) if is_exchange else value)

    def _exchanges(self) -> Collection[str]:
        exchanges: Collection[str] = self.__dict__.get("exchanges", ())
        return exchanges


class _LazyPackageLoader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        # Not in ``source_to_code``: Python caches its result as bytecode for every other program.
        return compile(_EXCHANGE_IMPORT.sub(b"", self.get_data(self.path)), self.path, "exec", dont_inherit=True)

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        module.__class__ = _LazyPackage


class _LazyPackageFinder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname in _PACKAGES else None
        if spec is not None and spec.origin is not None and spec.origin.endswith(".py"):
            spec.loader = _LazyPackageLoader(fullname, spec.origin)
        return spec


def install_lazy_imports() -> None:
    """Make later imports of ccxt lazy. A ccxt that is already loaded does not change."""
    if not any(isinstance(finder, _LazyPackageFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _LazyPackageFinder())
