"""The presets: layouts of files that programs and exchanges write, one YAML file each."""

from __future__ import annotations

from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

FOLDER = files("tapedeck_crds") / "presets"


@lru_cache(maxsize=1)
def preset_names() -> tuple[str, ...]:
    """The names of the presets, in the order of the alphabet."""
    return tuple(sorted(each.name.removesuffix(".yaml") for each in FOLDER.iterdir() if each.name.endswith(".yaml")))


@cache
def preset_document(name: str) -> dict[str, Any]:
    """A preset's document. Only programs that read files need the package that parses it."""
    import yaml

    document: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    return document
