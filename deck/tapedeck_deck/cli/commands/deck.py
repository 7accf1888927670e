"""The commands that start, stop, inspect, back up and restore the deck."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from tapedeck_deck.cli.context import HomeOption, resolve_home
from tapedeck_deck.cli.examples import EXAMPLES, installed_examples
from tapedeck_deck.cli.output import DOCUMENTS, NAME, WIDE, LiveForm, ObjectForm, TableForm, as_text, print_lines
from tapedeck_deck.cli.printing import print_text

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do it without a question.")]
ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?")
TRACES = re.compile(r"https?://[^@\s]+")


def _checked_origins(origins: list[str] | None) -> list[str]:
    for origin in origins or []:
        if not ORIGIN.fullmatch(origin):
            raise typer.BadParameter(f"got {origin!r}, expected scheme, host and port, like http://localhost:5173")
    return origins or []


def _checked_traces(url: str) -> str:
    if url and not TRACES.fullmatch(url):
        raise typer.BadParameter(f"got {url!r}, expected a URL without an account, like http://127.0.0.1:4318")
    return url


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
    metrics: Annotated[
        bool,
        typer.Option(
            "--metrics",
            help="Also run the installed Prometheus, with the chart's alerts and with its data in the deck's folder.",
        ),
    ] = False,
    traces: Annotated[
        str,
        typer.Option(
            "--traces",
            metavar="URL",
            callback=_checked_traces,
            show_default=False,
            help="Export traces of sampled records to this receiver of OpenTelemetry's OTLP over HTTP, such as "
            "http://127.0.0.1:4318.",
        ),
    ] = "",
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay in this terminal until Ctrl-C.")] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Fail at once where something would have to be downloaded.")
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            min=1, metavar="SECONDS", help="Give up after so long; by default it waits while the deck makes progress."
        ),
    ] = None,
) -> None:
    """Start the deck and wait until it is ready.

    It waits as long as the deck makes progress.

    \b
    Examples:
      tapedeck up
      tapedeck up --home /data/deck --port 9000
      tapedeck up --origin http://localhost:5173
      tapedeck up --metrics
      tapedeck up --traces http://127.0.0.1:4318
      tapedeck up --foreground
      tapedeck up --timeout 300
    """
    from tapedeck_deck.cli import deck

    deck_home = resolve_home(home or context.obj)
    if offline:
        deck.require_prefetched()
    if foreground:
        if timeout is not None:
            raise typer.BadParameter("got it beside --foreground, which waits for no one", param_hint="--timeout")
        deck.foreground(deck_home, port, origins or [], metrics=metrics, traces=traces)
    else:
        deck.up(deck_home, port, origins or [], timeout, metrics=metrics, traces=traces)


def prefetch() -> None:
    """Download what the first start needs.

    These are Kafka's jars: a deck then starts without a network.
    """
    from tapedeck_deck.cli import deck

    deck.prefetch()


def down(
    context: typer.Context,
    purge: Annotated[
        bool, typer.Option("--purge", help="Also remove the deck's folder, with all that is in it. It asks first.")
    ] = False,
    yes: YesOption = False,
    home: HomeOption = None,
) -> None:
    """Stop the deck. Resources, bars and results are kept in its folder.

    \b
    Examples:
      tapedeck down
      tapedeck down --purge
    """
    from tapedeck_deck.cli import deck
    from tapedeck_deck.cli import purge as removal

    deck_home = resolve_home(home or context.obj)
    if purge:
        removal.purge(deck_home, confirmed=yes)
    else:
        deck.down(deck_home)


def reset(context: typer.Context, yes: YesOption = False, home: HomeOption = None) -> None:
    """Remove resources, bars and results. It asks first.

    The settings of sinks and endpoints are kept. A deck that runs is started again, empty.
    """
    from tapedeck_deck.cli import deck
    from tapedeck_deck.cli import purge as removal

    deck_home = resolve_home(home or context.obj)
    if removal.reset(deck_home, confirmed=yes):
        deck.up(deck_home, 0)


def status(context: typer.Context, output: ObjectForm = "table", home: HomeOption = None) -> None:
    """Show the state of the deck, its parts and its resources.

    With -o wide also the log of each part, and all that is unhealthy. Exits 1 if any component is unhealthy.
    """
    from tapedeck_deck.cli import deck

    deck_home = resolve_home(home or context.obj)
    state = deck.status(deck_home)
    if output in DOCUMENTS:
        print_text(as_text(state, output))
    elif output == NAME:
        print_lines(deck.part_names(state))
    else:
        deck.print_status(deck_home, state, wide=output == WIDE)
    if not state["running"] or state["problems"] or set(state["parts"].values()) != {"ok"}:
        raise typer.Exit(1)


def doctor(context: typer.Context, output: TableForm = "table", home: HomeOption = None) -> None:
    """Check this machine and say what to do.

    Python, packages, kernel, disk, memory, ports. It needs no deck and starts none. Exits 1 if a deck cannot run here.
    """
    from tapedeck_deck.cli import doctor as checks

    found = checks.findings(checks.look(resolve_home(home or context.obj)))
    if output in DOCUMENTS:
        print_text(as_text(checks.as_documents(found), output))
    else:
        print_text("\n".join(checks.lines(found)))
    if any(each.state == "bad" for each in found):
        raise typer.Exit(1)


def top(
    context: typer.Context,
    output: LiveForm = "table",
    once: Annotated[bool, typer.Option("--once", help="Print once and end, as into a pipe or a file.")] = False,
    interval: Annotated[
        float, typer.Option("--interval", min=0.5, max=3600, metavar="SECONDS", help="Time between two looks.")
    ] = 2.0,
    home: HomeOption = None,
) -> None:
    """Show live what the deck does. Ctrl-C ends it.

    Resources with speed, rate and lateness, lag, processes and disk. JSON has a line for each look, YAML a document.

    \b
    Examples:
      tapedeck top
      tapedeck top --once
      tapedeck top -o json --once | jq '.recorder.lag_seconds'
    """
    from tapedeck_deck.cli.top import run

    run.show(resolve_home(home or context.obj), output, once=once, interval=interval)


def page(context: typer.Context, home: HomeOption = None) -> None:
    """Print the page's address with the deck's token.

    By the token the page, a notebook or a script changes resources.

    \b
    The token is valid until the deck stops. Who has it may do what its owner can with `tapedeck apply`. The page at the
    address without it only reads.
    """
    from tapedeck_deck.cli import deck

    print_text(deck.page_address(resolve_home(home or context.obj)))


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
    """Write a backup of the running deck into one file.

    It has resources, store, and settings of sinks.

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
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="The folder of feed.yaml, replay.yaml and backtest.yaml; ./examples, else those of the installation.",
        ),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the deck and its page running.")] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The page's port; 0 means 8750, or a free port if that is in use.")
    ] = 0,
    home: HomeOption = None,
) -> None:
    """Play the sample bars through the whole pipeline.

    Files, topic, store, replay, strategy, results. Afterwards, independent code compares every bar between the source
    files, the topic and the store. Exits 1 if a bar was lost or doubled.
    """
    from rich.console import Console

    from tapedeck_deck.demo.run import demo as run_demo

    found = examples or (EXAMPLES if EXAMPLES.is_dir() else installed_examples())
    result = run_demo(resolve_home(home or context.obj), found, Console(), keep=keep, port=port)
    print_text(str(result))
    if result.lost or result.doubled:
        raise typer.Exit(1)
