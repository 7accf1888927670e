"""Imports from a folder whose names may not be listed: Python's own finder lists each folder that it looks in."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import BYTECODE_SUFFIXES, EXTENSION_SUFFIXES, SOURCE_SUFFIXES, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

_SUFFIXES = (*EXTENSION_SUFFIXES, *SOURCE_SUFFIXES, *BYTECODE_SUFFIXES)


class UnlistedModules(MetaPathFinder):
    """Finds modules of a folder, and of its packages and folders, by whether the file of a name exists."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's place. A folder without ``__init__.py`` is a package, too."""
        name = fullname.rpartition(".")[2]
        folders = [Path(each) for each in path] if path is not None else [self._folder]
        places = [folder / name for folder in folders if folder.is_relative_to(self._folder)]
        for place in places:
            if (spec := _spec_at(fullname, place)) is not None:
                return spec
        namespace = [str(place) for place in places if place.is_dir()]
        if not namespace:
            return None
        spec = ModuleSpec(fullname, None, is_package=True)
        spec.submodule_search_locations = namespace
        return spec


def _spec_at(fullname: str, place: Path) -> ModuleSpec | None:
    for suffix in _SUFFIXES:
        file = place / f"__init__{suffix}"
        if file.is_file():
            return spec_from_file_location(fullname, file, submodule_search_locations=[str(place)])
    for suffix in _SUFFIXES:
        file = place.with_name(place.name + suffix)
        if file.is_file():
            return spec_from_file_location(fullname, file)
    return None
