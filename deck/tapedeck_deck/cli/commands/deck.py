"""The deck itself: up, down, how it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tapedeck_deck.cli.session import HomeOption, home_of


def up(
    context: typer.Context,
    home: HomeOption = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The page's port; 0 takes 8750 or a free one.")] = 0,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay in this terminal until Ctrl-C.")] = False,
) -> None:
    """Start the deck and wait until it is ready.

    \b
    Examples:
      tapedeck up
      tapedeck up --home /data/deck --port 9000
      tapedeck up --foreground
    """
    from tapedeck_deck.cli import deck

    start = deck.foreground if foreground else deck.up
    start(home_of(home or context.obj), port)


def down(context: typer.Context, home: HomeOption = None) -> None:
    """End the deck. Resources, bars and results stay in its folder."""
    from tapedeck_deck.cli import deck

    deck.down(home_of(home or context.obj))


def status(
    context: typer.Context,
    output: Annotated[str, typer.Option("--output", "-o", metavar="FORM", help="table or json.")] = "table",
    home: HomeOption = None,
) -> None:
    """Say whether the deck is up, whether its parts answer, and how its resources do. Exit 1 where it is not well."""
    import json

    from tapedeck_deck.cli import deck

    if output not in ("table", "json"):
        raise typer.BadParameter(f"got {output!r}, expected table or json", param_hint="--output")
    deck_home = home_of(home or context.obj)
    said = deck.status(deck_home)
    if output == "json":
        print(json.dumps(said, indent=2))
    else:
        deck.print_status(deck_home, said)
    if not said["running"] or set(said["parts"].values()) != {"ok"}:
        raise typer.Exit(1)


def migrate(context: typer.Context, home: HomeOption = None) -> None:
    """Bring the database's schema and the market topics up to date.

    Uses the running deck's connections, or those of the folder that TAPEDECK_CONNECTIONS names.
    """
    from tapedeck_deck.cli import deck

    raise typer.Exit(deck.migrate(home_of(home or context.obj)))


def demo(
    context: typer.Context,
    examples: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where feed.yaml, replay.yaml and backtest.yaml are.")
    ] = Path("examples"),
    keep: Annotated[bool, typer.Option("--keep", help="Leave the deck and its page up.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The page's port; 0 takes 8750 or a free one.")] = 0,
    home: HomeOption = None,
) -> None:
    """Run the main job and check it: files, log, store, replay, strategy, results.

    Every bar is then compared between source files, topic and store by code that shares nothing with what moved
    them; exit 1 where one was lost or doubled.
    """
    from rich.console import Console

    from tapedeck_deck.demo.run import demo as run_demo

    outcome = run_demo(home_of(home or context.obj), examples, Console(), keep=keep, port=port)
    print(outcome)
    if outcome.lost or outcome.doubled:
        raise typer.Exit(1)
