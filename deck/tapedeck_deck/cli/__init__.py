"""The command line `tapedeck`."""

from __future__ import annotations


def main() -> None:
    """Run the command line with the arguments of this process."""
    from tapedeck_deck.cli.app import app

    app(prog_name="tapedeck")
