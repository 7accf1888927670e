"""What a deck has in the place of an image's digest: one of the code that a pod runs and the packages beside it."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path

SHARED = ("tapedeck_common", "tapedeck_crds")


def with_digest(module: str) -> str:
    """``module@sha256:…``: the digest is another one where code, packages or their versions are others.

    Read anew each time, as a pod's code is.
    """
    digest = sha256("\n".join(_packages()).encode())
    for package in (*SHARED, module.partition(".")[0]):
        for name, path in _files(package):
            content = path.read_bytes()
            digest.update(f"\n{package}/{name} {len(content)}\n".encode() + content)
    return f"{module}@sha256:{digest.hexdigest()}"


def _files(package: str) -> list[tuple[str, Path]]:
    """The package's modules, by their names within it."""
    found = find_spec(package)
    folders = [] if found is None else found.submodule_search_locations or []
    return sorted(
        (path.relative_to(folder).as_posix(), path) for folder in folders for path in Path(folder).rglob("*.py")
    )


@cache
def _packages() -> list[str]:
    return sorted({f"{each.metadata['Name']}=={each.version}" for each in distributions()})
