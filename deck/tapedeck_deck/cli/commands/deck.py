"""The commands that start, stop, inspect, back up and restore the deck."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from tapedeck_deck.cli.context import HomeOption, resolve_home

ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?")


def _checked_origins(origins: list[str] | None) -> list[str]:
    for origin in origins or []:
        if not ORIGIN.fullmatch(origin):
            raise typer.BadParameter(f"got {origin!r}, expected scheme, host and port, like http://localhost:5173")
    return origins or []


def up(
    context: typer.Context,
    home: HomeOption = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The page's port; 0 means 8750, or a free port if that is in use.")
    ] = 0,
    origins: Annotated[
        list[str] | None,
        typer.Option(
            "--origin",
            metavar="URL",
            callback=_checked_origins,
            help="The origin of a front end of your own, such as http://localhost:5173, whose pages may ask the "
            "gateway. Repeat it for several.",
        ),
    ] = None,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay in this terminal until Ctrl-C.")] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            min=1, metavar="SECONDS", help="Give up after so long; by default it waits while the deck makes progress."
        ),
    ] = None,
) -> None:
    """Start the deck and wait until it is ready, as long as it makes progress.

    \b
    Examples:
      tapedeck up
      tapedeck up --home /data/deck --port 9000
      tapedeck up --origin http://localhost:5173
      tapedeck up --foreground
      tapedeck up --timeout 300
    """
    from tapedeck_deck.cli import deck

    deck_home = resolve_home(home or context.obj)
    if foreground:
        if timeout is not None:
            raise typer.BadParameter("got it beside --foreground, which waits for no one", param_hint="--timeout")
        deck.foreground(deck_home, port, origins or [])
    else:
        deck.up(deck_home, port, origins or [], timeout)


def down(context: typer.Context, home: HomeOption = None) -> None:
    """Stop the deck. Resources, bars and results are kept in its folder."""
    from tapedeck_deck.cli import deck

    deck.down(resolve_home(home or context.obj))


def status(
    context: typer.Context,
    output: Annotated[str, typer.Option("--output", "-o", metavar="FORM", help="table or json.")] = "table",
    home: HomeOption = None,
) -> None:
    """Show the state of the deck, of its parts and of its resources. Exits 1 if any component is unhealthy."""
    import json

    from tapedeck_deck.cli import deck

    if output not in ("table", "json"):
        raise typer.BadParameter(f"got {output!r}, expected table or json", param_hint="--output")
    deck_home = resolve_home(home or context.obj)
    state = deck.status(deck_home)
    if output == "json":
        print(json.dumps(state, indent=2))
    else:
        deck.print_status(deck_home, state)
    if not state["running"] or state["problems"] or set(state["parts"].values()) != {"ok"}:
        raise typer.Exit(1)


def migrate(context: typer.Context, home: HomeOption = None) -> None:
    """Upgrade the database schema and create missing topics.

    Uses the running deck's connections, or those in the folder that TAPEDECK_CONNECTIONS names.
    """
    from tapedeck_deck.cli import deck

    raise typer.Exit(deck.migrate(resolve_home(home or context.obj)))


def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The new file.", show_default=False)],
    home: HomeOption = None,
) -> None:
    """Write a backup of the running deck into one file: resources, store, and settings of sinks.

    \b
    The file holds the Secrets of your resources; only you can read it. Topics, logs and the files that resources
    name are not in it.
    """
    from tapedeck_deck.cli import backup as backups

    backups.backup(resolve_home(home or context.obj), file)


def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file of `tapedeck backup`.", show_default=False)],
    home: HomeOption = None,
) -> None:
    """Make a new deck's folder from a backup. Restore only files that you trust: they hold SQL.

    \b
    The folder must not exist or be empty:
      tapedeck restore deck.backup --home /data/restored
      tapedeck up --home /data/restored
    """
    from tapedeck_deck.cli import backup as backups

    backups.restore(resolve_home(home or context.obj), file)


def demo(
    context: typer.Context,
    examples: Annotated[
        Path, typer.Option(metavar="FOLDER", help="The folder of feed.yaml, replay.yaml and backtest.yaml.")
    ] = Path("examples"),
    keep: Annotated[bool, typer.Option("--keep", help="Keep the deck and its page running.")] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The page's port; 0 means 8750, or a free port if that is in use.")
    ] = 0,
    home: HomeOption = None,
) -> None:
    """Play the sample bars through the whole pipeline: files, topic, store, replay, strategy, results.

    Afterwards, independent code compares every bar between the source files, the topic and the store.
    Exits 1 if a bar was lost or doubled.
    """
    from rich.console import Console

    from tapedeck_deck.demo.run import demo as run_demo

    result = run_demo(resolve_home(home or context.obj), examples, Console(), keep=keep, port=port)
    print(result)
    if result.lost or result.doubled:
        raise typer.Exit(1)
