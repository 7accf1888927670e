"""The command line `tapedeck`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path

from tapedeck_deck.installer import reinstall
from tapedeck_deck.interruption import interruptible

INTERRUPTED = 130
"""The exit code after Ctrl-C: 128 and the number of SIGINT, as of a shell."""


def main() -> None:
    """Run the command line with the arguments of this process."""
    try:
        with interruptible(signal.SIGINT):  # also while the packages are imported
            app = _loaded_app()
            app(prog_name="tapedeck")
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # one more, while Python ends, is no traceback


def _loaded_app() -> Callable[..., None]:
    """The commands. Exits with what to do where the packages of a deck are not installed."""
    try:
        from tapedeck_deck.cli.app import app
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("tapedeck"):
            raise
        print(
            f"tapedeck: the package {error.name} is missing in {sys.prefix}: "
            f"install it and others by: {reinstall(Path(sys.prefix))}",
            file=sys.stderr,
        )
        raise SystemExit(1) from None
    return app
