"""The source of a strategy that is defined in a notebook: the class, and what it uses of the notebook.

A module of its own is written: imports for what was imported, the source of functions and classes of the notebook, and
plain values. What cannot be written so is refused by name.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import linecache
import math
import symtable
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from tapedeck.errors import StrategySourceMissing
from tapedeck.resources import name_part

MODULE = "strategy"
PLAIN = (bool, int, float, str, bytes, type(None))
LONGEST_VALUE = 10_000  # characters of a plain value: larger ones are data, which belongs into the store


@dataclass(frozen=True)
class SentStrategy:
    """A module with the strategy's class. ``name`` is that of its ConfigMap: it changes with the source."""

    class_name: str
    text: str

    @property
    def name(self) -> str:
        """A name for a resource: the class's, and a part of the source's hash."""
        digest = hashlib.sha256(self.text.encode()).hexdigest()[:8]
        return f"{name_part(self.class_name)[:30].rstrip('-')}-{digest}"


def strategy_source(strategy: type) -> SentStrategy:
    """The module of a class, from the cells or the file that define it. Raises StrategySourceMissing."""
    collected = _Collected(strategy.__module__, strategy.__name__)
    collected.add(strategy.__name__, strategy, _globals_of(strategy))
    text = "\n".join([*sorted(set(collected.imports)), "", *collected.values, "", *collected.definitions])
    return SentStrategy(strategy.__name__, text.strip() + "\n")


@dataclass
class _Collected:
    """What the module consists of so far. ``home`` is the module that the class is of."""

    home: str
    strategy: str
    imports: list[str] = field(default_factory=list)
    values: list[str] = field(default_factory=list)
    definitions: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def add(self, name: str, value: Any, namespace: dict[str, Any]) -> None:
        """Add what ``name`` means, after what that uses itself."""
        if name in self.seen:
            return
        self.seen.add(name)
        if isinstance(value, ModuleType):
            self.imports.append(f"import {value.__name__} as {name}" if value.__name__ != name else f"import {name}")
        elif isinstance(value, type | FunctionType) and value.__module__ == self.home:
            self._add_definition(name, value, namespace)
        elif (place := _importable(value)) is not None:
            module, attribute = place
            self.imports.append(f"from {module} import {attribute}" + (f" as {name}" if attribute != name else ""))
        elif _is_plain(value):
            self.values.append(f"{name} = {value!r}")
        else:
            raise StrategySourceMissing(
                f"{self.strategy}: uses {name}, a {type(value).__name__} of the notebook, which is not sent with the "
                "source; expected imports, functions, classes and plain values: pass it in params, or read data from "
                "the strategy's bars"
            )

    def _add_definition(self, name: str, value: type | FunctionType, namespace: dict[str, Any]) -> None:
        source = _source_of(value)
        for used in sorted(_free_names(source)):
            if used != name and used in namespace:
                self.add(used, namespace[used], namespace)
            elif used not in namespace and not hasattr(builtins, used):
                raise StrategySourceMissing(f"{self.strategy}: uses {used}, which the notebook does not define")
        if value.__name__ != name:
            source += f"\n\n{name} = {value.__name__}"
        self.definitions.append(f"\n{source}")


def _globals_of(strategy: type) -> dict[str, Any]:
    """The names that the class's module knows."""
    for function in _functions(strategy):
        return function.__globals__
    return vars(sys.modules[strategy.__module__])


def _functions(value: type) -> Iterator[FunctionType]:
    """The functions that the class itself defines."""
    for member in vars(value).values():
        function = getattr(member, "__func__", None) or getattr(member, "fget", None) or member
        if isinstance(function, FunctionType) and function.__module__ == value.__module__:
            yield function


def _source_of(value: type | FunctionType) -> str:
    """The statement that defines a class or a function. Raises StrategySourceMissing.

    In a notebook ``inspect`` finds functions but no classes: a class is searched for where its methods come from.
    """
    functions = [value] if isinstance(value, FunctionType) else list(_functions(value))
    files = [function.__code__.co_filename for function in functions]
    if not functions:
        home = getattr(sys.modules.get(value.__module__), "__file__", None)
        cells = [file for file in reversed(linecache.cache) if not Path(file).exists()]  # the newest first
        files = [*([home] if home else []), *map(str, cells)]
    for file in dict.fromkeys(files):
        found = _definition(value, file)
        if found is not None:
            return found
    raise StrategySourceMissing(
        f"{value.__qualname__}: Python does not have its source; define it in a cell or a file, not in exec()"
    )


def _definition(value: type | FunctionType, file: str) -> str | None:
    """The statement in a file or cell; None where it has none."""
    text = "".join(linecache.getlines(file))
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return None  # IPython keeps cells as Python; other files may be anything
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)]
    nodes = [
        node
        for node in nodes
        if node.name == value.__name__ and isinstance(node, ast.ClassDef) == isinstance(value, type)
    ]
    functions = [value] if isinstance(value, FunctionType) else list(_functions(value))
    lines = {function.__code__.co_firstlineno for function in functions if function.__code__.co_filename == file}
    # Of several classes with this name it is the one that has the functions; one without functions is the last.
    nodes = [node for node in nodes if not lines or lines & set(range(_first_line(node), (node.end_lineno or 0) + 1))]
    if not nodes:
        return None
    node = nodes[-1]
    return textwrap.dedent("\n".join(text.splitlines()[_first_line(node) - 1 : node.end_lineno]))


def _first_line(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return min([node.lineno, *(each.lineno for each in node.decorator_list)])


def _free_names(source: str) -> set[str]:
    """The names that a statement takes from outside of itself."""
    table = symtable.symtable(source, MODULE, "exec")
    found: set[str] = set()
    tables = [table]
    while tables:
        current = tables.pop()
        tables += current.get_children()
        for symbol in current.get_symbols():
            outside = symbol.is_global() if current is not table else symbol.is_referenced()
            if outside and symbol.is_referenced() and not (current is table and symbol.is_assigned()):
                found.add(symbol.get_name())
    return found - {name for name in found if name.startswith("__") and name.endswith("__")}


def _importable(value: Any) -> tuple[str, str] | None:
    """The module and the attribute by which another process imports the value; None where there is none."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or "." in name or module in ("__main__", "builtins"):
        return None
    return (module, name) if getattr(sys.modules.get(module), name, None) is value else None


def _is_plain(value: Any, within: tuple[int, ...] = ()) -> bool:
    """Whether the text of a value gives it again: not that of a named tuple or a default dict, nor of what has itself.

    ``within`` are the ids of the values that it is in.
    """
    if id(value) in within:
        return False
    inner = (*within, id(value))
    if type(value) in (list, tuple, set, frozenset):
        plain = all(_is_plain(each, inner) for each in value)
    elif type(value) is dict:
        plain = all(_is_plain(key, inner) and _is_plain(each, inner) for key, each in value.items())
    else:
        plain = type(value) in PLAIN and (not isinstance(value, float) or math.isfinite(value))
    return plain and len(repr(value)) <= LONGEST_VALUE
