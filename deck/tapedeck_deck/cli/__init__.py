"""The command line `tapedeck`."""

from __future__ import annotations

INTERRUPTED = 130
"""The exit code after Ctrl-C: 128 and the number of SIGINT, as of a shell."""


def main() -> None:
    """Run the command line with the arguments of this process."""
    try:
        from tapedeck_deck.cli.app import app

        app(prog_name="tapedeck")
    except KeyboardInterrupt:  # pressed while the packages are imported: the application itself catches it later
        raise SystemExit(INTERRUPTED) from None
