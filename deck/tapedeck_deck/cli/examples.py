"""The examples: those of the current folder, and those that Tapedeck is installed with, which `tapedeck new` copies."""

from __future__ import annotations

import shutil
import sysconfig
from pathlib import Path

from tapedeck_deck.embedded.errors import DeckError

EXAMPLES = Path("examples")
"""Where a reader of the documentation has them."""
WRITE = "`tapedeck new examples` writes the samples into ./examples"
CLONE = Path(__file__).parents[3] / "examples"
"""Where a clone has them; a wheel installs them below ``_INSTALLED`` of its environment or its user."""
_INSTALLED = Path("share", "tapedeck", "examples")
_FIRST = "feed.yaml"
_LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__")


def installed_examples() -> Path:
    """The folder of the examples of this installation. Raises DeckError where there is none."""
    schemes = (sysconfig.get_preferred_scheme("prefix"), sysconfig.get_preferred_scheme("user"))
    places = [CLONE, *(Path(sysconfig.get_path("data", scheme)) / _INSTALLED for scheme in schemes)]
    for path in places:
        if (path / _FIRST).is_file():
            return path
    raise DeckError(
        f"examples: got none in {', '.join(map(str, places))}, expected them in one; "
        "install Tapedeck again, by pip into an environment or a user's packages"
    )


def copy_examples(folder: Path, *, replace: bool) -> None:
    """Copy the examples into a new or an empty folder; with ``replace`` also over its files. Raises DeckError."""
    if not replace and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DeckError(f"{folder} exists already: give another name, or --force to replace the files of the examples")
    shutil.copytree(installed_examples(), folder, ignore=_LEFT_OUT, copy_function=shutil.copyfile, dirs_exist_ok=True)


def hint_of_missing(source: str) -> str:
    """What to do about a missing path among the examples; empty for a path elsewhere, or that no example has."""
    parts = Path(source).parts
    if parts[:1] != EXAMPLES.parts:
        return ""
    if not EXAMPLES.exists():
        return WRITE
    try:
        found = installed_examples().joinpath(*parts[1:])
    except DeckError:
        return ""
    return f"the installation has {found}" if found.exists() else ""
