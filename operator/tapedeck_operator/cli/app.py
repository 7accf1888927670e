"""The commands and their options. What they do lies in the modules beside; each imports its own when called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tapedeck_operator.cli.session import HomeOption, NamespaceOption, home_of, note_if_down, opened, say
from tapedeck_operator.local.errors import DeckError

KIND_HELP = "feed, replay, backtest (plural or short: fd, rp, bt), pod, or all."


class Commands(TyperGroup):
    """Turns what people can mend into a line on standard error and exit code 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except DeckError as error:
            say(f"error: {error}")
        except (ValueError, KeyError) as error:
            if not _for_people(error):
                raise
            say(f"error: {error}")
        except KeyboardInterrupt:
            say("")
            raise typer.Exit(130) from None
        raise typer.Exit(1)


def _for_people(error: Exception) -> bool:
    from tapedeck_crds.kinds import InvalidResource
    from tapedeck_operator.local.objects import Conflict, NotFound

    return isinstance(error, InvalidResource | Conflict | NotFound)


CONTROLS = "--speed, --max, --pause, --resume, --seek, --step, --loop, --until"

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


@app.callback()
def root(context: typer.Context, home: HomeOption = None) -> None:
    """Market data with the controls of a tape deck, on this machine.

    \b
    Start here:
      tapedeck up                              broker, database, recorder and page
      tapedeck apply -f examples/replay.yaml   the same YAML as for kubectl
      tapedeck get all -w                      watch it play
      tapedeck patch replay coinbase-sample --speed 60
      tapedeck down
    """
    context.obj = home


@app.command()
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
    from tapedeck_operator.cli import deck

    start = deck.foreground if foreground else deck.up
    start(home_of(home or context.obj), port)


@app.command()
def down(context: typer.Context, home: HomeOption = None) -> None:
    """End the deck. Resources, bars and results stay in its folder."""
    from tapedeck_operator.cli import deck

    deck.down(home_of(home or context.obj))


Files = Annotated[
    list[str], typer.Option("--filename", "-f", metavar="FILE", help="A file, a folder of them, or - (repeatable).")
]
Form = Annotated[str, typer.Option("--output", "-o", metavar="FORM", help="table, wide, yaml, json or name.")]


@app.command()
def apply(
    context: typer.Context, filename: Files, namespace: NamespaceOption = "default", home: HomeOption = None
) -> None:
    """Create resources from files, or change them to what the files say. All of them or, on any error, none.

    \b
    Examples:
      tapedeck apply -f examples/replay.yaml
      tapedeck apply -f examples/
      cat mine.yaml | tapedeck apply -f -
    """
    from tapedeck_operator.cli import documents, write

    deck_home = home_of(home or context.obj)
    found = documents.read(filename)
    with opened(deck_home, make=True) as objects:
        for line in write.apply(objects, found, namespace):
            print(line)
    note_if_down(deck_home)


@app.command()
def get(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help=KIND_HELP)] = "all",
    name: Annotated[str | None, typer.Argument(help="One of them; KIND/NAME does as well.")] = None,
    output: Form = "table",
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on showing changes until Ctrl-C.")] = False,
    namespace: NamespaceOption = "default",
    all_namespaces: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Of every namespace.")] = False,
    home: HomeOption = None,
) -> None:
    """Show resources.

    \b
    Examples:
      tapedeck get
      tapedeck get replays -w
      tapedeck get replay coinbase-sample -o yaml
      tapedeck get bt -o json | jq .items[0].status
    """
    from tapedeck_operator.cli import kinds, show

    if output not in list(show.Output):
        raise typer.BadParameter(f"got {output!r}, expected one of {', '.join(show.Output)}", param_hint="--output")
    named = "/" in kind or name is not None
    which, name = kinds.kind_and_name(kind, name) if named else (None, None)
    chosen = (which,) if which else kinds.kinds_named(kind)
    scope = None if all_namespaces and not name else namespace
    deck_home = home_of(home or context.obj)
    with opened(deck_home) as objects:
        note_if_down(deck_home)
        (show.watch if watch else show.get)(objects, chosen, scope, name, show.Output(output))


@app.command()
def describe(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help=KIND_HELP)],
    name: Annotated[str | None, typer.Argument(help="Its name; KIND/NAME does as well.")] = None,
    namespace: NamespaceOption = "default",
    home: HomeOption = None,
) -> None:
    """Show all about one resource: spec, conditions, pods with restarts and logs, events.

    \b
    Examples:
      tapedeck describe replay coinbase-sample
    """
    from tapedeck_operator.cli import kinds
    from tapedeck_operator.cli.describe import describe as text_of

    deck_home = home_of(home or context.obj)
    with opened(deck_home) as objects:
        note_if_down(deck_home)
        print(text_of(objects, kinds.find(objects, *_target(kind, name, namespace))))


def _target(kind: str, name: str | None, namespace: str) -> tuple[str, str, str]:
    from tapedeck_operator.cli.kinds import kind_and_name

    which, known = kind_and_name(kind, name)
    return which, namespace, known


@app.command()
def patch(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help=KIND_HELP)],
    name: Annotated[str | None, typer.Argument(help="Its name; KIND/NAME does as well.")] = None,
    given: Annotated[
        str | None, typer.Option("--patch", "-p", metavar="TEXT", help="A JSON merge patch, as JSON or YAML.")
    ] = None,
    speed: Annotated[float | None, typer.Option(help="Replay: virtual seconds a second.")] = None,
    unpaced: Annotated[bool, typer.Option("--max", help="Replay: as fast as possible.")] = False,
    pause: Annotated[bool | None, typer.Option("--pause/--resume", help="Replay: hold virtual time, or go on.")] = None,
    seek: Annotated[str | None, typer.Option(metavar="TIME", help="Replay: jump to this virtual time.")] = None,
    step: Annotated[int | None, typer.Option(metavar="N", help="Replay: move on by N bars' length, paused.")] = None,
    loop: Annotated[
        str | None, typer.Option(metavar="N|forever|off", help="Replay: how often the range is played.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME|off", help="Replay: virtual time to stand still at.")
    ] = None,
    namespace: NamespaceOption = "default",
    home: HomeOption = None,
) -> None:
    """Change part of a resource; a Replay's controls have options of their own. Takes effect without a restart.

    \b
    Examples:
      tapedeck patch replay coinbase-sample --speed 60
      tapedeck patch replay coinbase-sample --pause
      tapedeck patch replay coinbase-sample --seek 2018-04-04T12:00:00Z --resume
      tapedeck patch replay coinbase-sample --step 5
      tapedeck patch replay coinbase-sample --loop forever --until 2018-04-05T00:00:00Z
      tapedeck patch replay coinbase-sample --max
      tapedeck patch replay coinbase-sample -p '{"spec": {"atEnd": "hold"}}'
    """
    from tapedeck_operator.cli import documents, kinds, write

    target = _target(kind, name, namespace)
    if speed is not None and unpaced:
        raise typer.BadParameter("got --speed and --max, expected one of them")
    if step is not None and pause is False:
        raise typer.BadParameter("got --step and --resume, expected one of them: a step ends paused")
    change = write.controls(speed=speed, unpaced=unpaced, paused=pause, seek=seek, step=step, loop=loop, until=until)
    if change and target[0] != "Replay":
        raise typer.BadParameter(f"{CONTROLS} are a replay's, got a {target[0].lower()}")
    if bool(change) == (given is not None):
        raise typer.BadParameter(f"expected either -p or some of {CONTROLS}")
    if given is not None:
        change = documents.parse(given, "--patch")
        if not isinstance(change, dict):
            raise DeckError(f"--patch: got {change!r}, expected a mapping such as {{spec: {{speed: 60}}}}")
    deck_home = home_of(home or context.obj)
    with opened(deck_home) as objects:
        before = kinds.find(objects, *target)
        after = objects.patch_spec(*target, change)
    changed = before["metadata"]["resourceVersion"] != after["metadata"]["resourceVersion"]
    print(f"{kinds.label(after)} patched" + ("" if changed else " (no change)"))
    note_if_down(deck_home)


@app.command()
def delete(
    context: typer.Context,
    kind: Annotated[str | None, typer.Argument(help=KIND_HELP)] = None,
    name: Annotated[str | None, typer.Argument(help="Its name; KIND/NAME does as well.")] = None,
    filename: Annotated[
        list[str] | None, typer.Option("--filename", "-f", metavar="FILE", help="Delete what these files name.")
    ] = None,
    namespace: NamespaceOption = "default",
    home: HomeOption = None,
) -> None:
    """Delete resources and end their pods. Bars and results stay.

    \b
    Examples:
      tapedeck delete replay coinbase-sample
      tapedeck delete -f examples/
    """
    from tapedeck_operator.cli import documents, write

    if bool(kind) == bool(filename):
        raise typer.BadParameter("expected either KIND NAME or -f FILE")
    deck_home = home_of(home or context.obj)
    targets = [_target(kind, name, namespace)] if kind else write.targets_of(documents.read(filename or []), namespace)
    with opened(deck_home) as objects:
        for line in write.delete(objects, targets):
            print(line)
    note_if_down(deck_home)


@app.command()
def fetch(
    context: typer.Context,
    exchange: Annotated[str, typer.Option(help="Id of an exchange of ccxt, such as binance.")],
    symbols: Annotated[
        list[str], typer.Option(metavar="SYMBOL", help="Unified names or patterns, by commas or repeated; * for all.")
    ],
    start: Annotated[str, typer.Option(metavar="TIME", help="First open time: a day, or a time with an offset.")],
    end: Annotated[str | None, typer.Option(metavar="TIME", help="Open time to stop before; now if left out.")] = None,
    interval: Annotated[list[str] | None, typer.Option(help="Length of the bars (repeatable); 1m if left out.")] = None,
    pods: Annotated[int, typer.Option(min=1, max=64, help="Processes that share the range.")] = 1,
    rest: Annotated[str | None, typer.Option(metavar="URL", help="Another host for the exchange's own.")] = None,
    output: Annotated[str, typer.Option("--output", "-o", metavar="FORM", help="text or json.")] = "text",
    home: HomeOption = None,
) -> None:
    """Bring an exchange's past into the store, newest first. What is there already is not asked for again.

    \b
    Examples:
      tapedeck fetch --exchange binance --symbols BTC/USDT,ETH/USDT --start 2024-01-01
      tapedeck fetch --exchange kraken --symbols '*/EUR' --start 2024-01-01 --end 2024-02-01 --interval 1h -o json
    """
    import json

    from rich.console import Console

    from tapedeck_operator.cli import fetch as past

    if output not in ("text", "json"):
        raise typer.BadParameter(f"got {output!r}, expected text or json", param_hint="--output")
    spec = past.spec_of(exchange, symbols, start, end, interval or ["1m"], pods, rest)
    found = past.fetch(home_of(home or context.obj), spec, Console(stderr=True))
    print(json.dumps(found, indent=2) if output == "json" else found["message"])


@app.command()
def rerun(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="The id of a run, or its Backtest's name (the last one).")],
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for the end.")] = 600.0,
    home: HomeOption = None,
) -> None:
    """Do a run again with what its record keeps of it, and compare. Exit 1 where the trades are not the same.

    \b
    Examples:
      tapedeck rerun sma-cross
    """
    from tapedeck_operator.cli.rerun import rerun as run_again

    if not run_again(home_of(home or context.obj), run, timeout):
        raise typer.Exit(1)


@app.command()
def logs(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(metavar="KIND/NAME", help="Whose pods; recorder, gateway or deck do as well.")],
    name: Annotated[str | None, typer.Argument(help="The name, where it is not part of the first.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on while it runs, until Ctrl-C.")] = False,
    tail: Annotated[int | None, typer.Option(min=0, help="Only the last lines of each log.")] = None,
    namespace: NamespaceOption = "default",
    home: HomeOption = None,
) -> None:
    """Print what pods wrote.

    \b
    Examples:
      tapedeck logs replay/coinbase-sample
      tapedeck logs backtest/sma -f
      tapedeck logs recorder --tail 20
      tapedeck logs deck
    """
    from tapedeck_operator.cli import kinds
    from tapedeck_operator.cli import logs as log_files

    deck_home = home_of(home or context.obj)
    if kind == "deck" and name is None:
        log_files.show_deck(deck_home, following=follow, tail=tail)
        return
    if kind in ("recorder", "gateway") and name is None:
        kind, name = "deployment", kind
    with opened(deck_home) as objects:
        document = kinds.find(objects, *_target(kind, name, namespace))
        log_files.show(objects, document, following=follow, tail=tail)


@app.command()
def status(
    context: typer.Context,
    output: Annotated[str, typer.Option("--output", "-o", metavar="FORM", help="table or json.")] = "table",
    home: HomeOption = None,
) -> None:
    """Say whether the deck is up, whether its parts answer, and how its resources do. Exit 1 where it is not well."""
    import json

    from tapedeck_operator.cli import deck

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


@app.command()
def check(
    context: typer.Context, filename: Files, namespace: NamespaceOption = "default", home: HomeOption = None
) -> None:
    """Check the strategies of Backtests for look-ahead and for indicators that are not ready. Keeps nothing.

    \b
    lookAhead  orders that change when the bars after them are cut off
    startUp    indicators that depend on how many bars came before
    Each runs over the first 20,000 stored bars of a Backtest's data.store. Exit code 1 where something was found.
    """
    from tapedeck_operator.cli import check as checks
    from tapedeck_operator.cli import documents

    deck_home = home_of(home or context.obj)
    with opened(deck_home) as objects:
        note_if_down(deck_home)
        found = checks.check(objects, documents.read(filename), namespace)
    for name, report in found.items():
        print(f"{name}: {report.message or report.reason}")
    if any(report.state == "failed" for report in found.values()):
        raise typer.Exit(1)


@app.command()
def strategies(
    output: Annotated[str, typer.Option("--output", "-o", metavar="FORM", help="text or json.")] = "text",
) -> None:
    """List the built-in strategies of a Backtest with their params and defaults."""
    import json

    from tapedeck_operator.cli import strategies as built_in

    if output not in ("text", "json"):
        raise typer.BadParameter(f"got {output!r}, expected text or json", param_hint="--output")
    found = built_in.listing()
    print(json.dumps(found, indent=2) if output == "json" else built_in.text(found))


@app.command()
def migrate(context: typer.Context, home: HomeOption = None) -> None:
    """Bring the database's schema and the market topics up to date.

    Uses the running deck's connections, or those of the folder that TAPEDECK_CONNECTIONS names.
    """
    from tapedeck_operator.cli import deck

    raise typer.Exit(deck.migrate(home_of(home or context.obj)))


@app.command()
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

    from tapedeck_operator.demo.run import demo as run_demo

    outcome = run_demo(home_of(home or context.obj), examples, Console(), keep=keep, port=port)
    print(outcome)
    if outcome.lost or outcome.doubled:
        raise typer.Exit(1)
