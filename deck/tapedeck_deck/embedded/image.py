"""The deck's counterpart of an image digest: a hash of a workload's code and of the installed packages."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path

SHARED = ("tapedeck_common", "tapedeck_crds")


def with_digest(module: str) -> str:
    """``module@sha256:…``, which changes with the code, the packages and their versions.

    The code is read on each call, as each pod reads it when it starts.
    """
    digest = sha256("\n".join(_packages()).encode())
    for package in (*SHARED, module.partition(".")[0]):
        for name, path in _files(package):
            content = path.read_bytes()
            digest.update(f"\n{package}/{name} {len(content)}\n".encode() + content)
    return f"{module}@sha256:{digest.hexdigest()}"


def _files(package: str) -> list[tuple[str, Path]]:
    """The Python files of a package, by their path within it."""
    found = find_spec(package)
    folders = [] if found is None else found.submodule_search_locations or []
    return sorted(
        (path.relative_to(folder).as_posix(), path) for folder in folders for path in Path(folder).rglob("*.py")
    )


@cache
def _packages() -> list[str]:
    return sorted({f"{each.metadata['Name']}=={each.version}" for each in distributions()})
