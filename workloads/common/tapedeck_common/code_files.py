"""What users' code may read in the folder of its resource's YAML: modules, and its own package with all data in it.

That folder may be a home: what else lies in it is not the code's.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import all_suffixes
from itertools import islice
from pathlib import Path

from tapedeck_crds.errors import causes

FILES_MAX = 10_000
_FOLDER_MAX, _SCANNED_MAX = 10_000, 100_000  # entries that are looked at in a folder, and in all
_LEFT_OUT = ("__pycache__", "node_modules")
_SUFFIXES = tuple(all_suffixes())
_ADVICE = (
    "beside its YAML it reads modules (.py), and all but hidden files of the package (a folder with an __init__.py) "
    "that `module` names: move the file into that package; links out of it are not followed"
)


def readable_files(folder: Path, module: str = "", secret: Iterable[Path] = ()) -> list[Path]:
    """The real paths of at most FILES_MAX files below a folder that the code of ``module`` (package.name:Class) reads.

    These are the files of its package, modules in the folder, and modules in folders there that have some. Hidden
    files, ``secret`` paths, and what a link leads to outside of the folder or the package are left out.
    """
    return list(islice(_CodeFolder(folder, secret).files(module), FILES_MAX))


def named_package(folder: Path, module: str, secret: Iterable[Path] = ()) -> Path | None:
    """The real path of the package below a folder that ``module`` is in, whose names may be listed; None without."""
    return _CodeFolder(folder, secret).package(module)


def reading_advice(error: BaseException, folders: Sequence[str]) -> str:
    """What to do where a read was refused of a file in one of these folders; empty where that is not the error."""
    for each in causes(error):
        if isinstance(each, PermissionError) and isinstance(each.filename, str | bytes):
            path = Path.cwd() / os.fsdecode(each.filename)
            if os.path.lexists(path) and any(path.is_relative_to(folder) for folder in folders if folder):
                return _ADVICE
    return ""


@dataclass(frozen=True)
class _Entry:
    """A file or a folder, by its real path. ``name`` is the one by which code finds it."""

    name: str
    path: Path
    is_folder: bool

    @property
    def is_module(self) -> bool:
        return not self.is_folder and self.name.endswith(_SUFFIXES) and self.path.name.endswith(_SUFFIXES)


class _CodeFolder:
    """A walk through a folder and its folders, each once."""

    def __init__(self, root: Path, secret: Iterable[Path]) -> None:
        self._root = root.resolve()
        kept_away = (path.resolve() for path in secret)
        self._secret = [path for path in kept_away if not self._root.is_relative_to(path)]
        self._walked: set[Path] = set()
        self._left = _SCANNED_MAX

    def package(self, module: str) -> Path | None:
        return self._place(module.partition(":")[0])[0]

    def files(self, module: str) -> Iterator[Path]:
        """Those of the module first: the number of files is limited."""
        package, above = self._place(module.partition(":")[0])
        if package is not None:
            yield from self._package_files(package)
        yield from self._modules([*above, self._root])

    def _place(self, module: str) -> tuple[Path | None, list[Path]]:
        """The package of a module, if it is in one, and the folders above that."""
        above: list[Path] = []
        folder = self._root
        for name in module.split("."):
            entry = self._entry(folder, name, self._root)
            if entry is None or not entry.is_folder:
                break
            folder = entry.path
            if (folder / "__init__.py").is_file():
                return folder, above
            above.append(folder)
        return None, above

    def _package_files(self, package: Path) -> Iterator[Path]:
        pending = deque([package])
        while pending:
            for entry in self._entries(pending.popleft(), package, lambda _: True):
                if entry.is_folder:
                    pending.append(entry.path)
                else:
                    yield entry.path

    def _modules(self, named: list[Path]) -> Iterator[Path]:
        """The modules of folders, and of folders in them that have modules."""
        pending = deque(named)
        while pending:
            folder = pending.popleft()
            entries = self._entries(folder, self._root, _may_be_code)
            modules = [entry.path for entry in entries if entry.is_module]
            if modules or folder in named:
                yield from modules
                pending.extend(entry.path for entry in entries if entry.is_folder)

    def _entries(self, folder: Path, within: Path, chosen: Callable[[os.DirEntry[str]], bool]) -> list[_Entry]:
        """The chosen entries of a folder that may be read, by name; none of a folder that was walked."""
        if folder in self._walked:
            return []
        self._walked.add(folder)
        try:
            with os.scandir(folder) as found:
                scanned = list(islice(found, min(self._left, _FOLDER_MAX)))
        except OSError:
            return []
        self._left -= len(scanned)
        names = sorted(entry.name for entry in scanned if chosen(entry))
        return [entry for name in names if (entry := self._entry(folder, name, within)) is not None]

    def _entry(self, folder: Path, name: str, within: Path) -> _Entry | None:
        """An entry of a real folder; None if it may not be read."""
        if not name or name.startswith(".") or name in _LEFT_OUT:
            return None
        path = folder / name
        try:
            if path.is_symlink():
                path = path.resolve(strict=True)
                if not path.is_relative_to(within) or any(map(_is_left_out, path.relative_to(within).parts)):
                    return None
            is_folder = path.is_dir()
            if any(path.is_relative_to(each) for each in self._secret) or not (is_folder or path.is_file()):
                return None
        except (OSError, RuntimeError):  # the target of a link is missing, or the link itself
            return None
        return _Entry(name, path, is_folder)


def _may_be_code(entry: os.DirEntry[str]) -> bool:
    return entry.name.endswith(_SUFFIXES) or entry.is_symlink() or entry.is_dir(follow_symlinks=False)


def _is_left_out(part: str) -> bool:
    """Whether a part of a link's target is. Kubernetes links the files of a volume to ``..data``."""
    return part in _LEFT_OUT or (part.startswith(".") and not part.startswith(".."))
