"""The command line `tapedeck`."""

from __future__ import annotations

import signal

from tapedeck_deck.interruption import interruptible

INTERRUPTED = 130
"""The exit code after Ctrl-C: 128 and the number of SIGINT, as of a shell."""


def main() -> None:
    """Run the command line with the arguments of this process."""
    try:
        with interruptible(signal.SIGINT):  # also while the packages are imported
            from tapedeck_deck.cli.app import app

            app(prog_name="tapedeck")
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
