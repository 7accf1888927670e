"""The page of benchmarks: what each measures, and its last recorded figures."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from typing import Any

from bench.__main__ import BENCHES
from bench.recorded import recorded
from reference.markdown import code, prose, table


def page() -> str:
    """The page."""
    found = recorded()
    parts = [
        "# Benchmarks\n",
        "A figure is beside a reference that the same run measures, so the ratio tells more than the value: machines "
        "differ. `make bench NAME=…` measures again, `make bench RECORD=1` also keeps the figures for this page.\n",
    ]
    for module in dict.fromkeys(BENCHES.values()):
        parts += _section(module, [found[name] for name, of in BENCHES.items() if of == module and name in found])
    machines = sorted({each["machine"] for each in found.values()})
    if machines:
        parts += ["## Machines\n", *(f"- {prose(each)}" for each in machines)]
    return "\n".join(parts).rstrip("\n") + "\n"


def _section(module: str, figures: list[dict[str, Any]]) -> Iterator[str]:
    yield f"## {module.replace('_', ' ').capitalize()}\n"
    text = inspect.cleandoc(importlib.import_module(f"bench.{module}").__doc__ or "")
    for paragraph in text.split("\n\n"):
        yield f"{prose(paragraph)}\n"
    rows = [_row(each) for each in figures]
    if rows:
        yield table(("figure", "value", "reference", "ratio", "measured"), rows)
    else:
        yield "No figure is recorded.\n"


def _row(figure: dict[str, Any]) -> tuple[str, ...]:
    reference, ratio = (("–" if each is None else f"{each:,g}") for each in (figure["reference"], figure["ratio"]))
    return code(figure["name"]), f"{figure['value']:,g} {figure['unit']}", reference, ratio, figure["measured"]
