"""The commands that create, show, change and delete resources."""

from __future__ import annotations

from typing import Annotated, cast, get_args

import typer

from tapedeck_deck.cli.context import (
    NOT_RUNNING,
    FilesOption,
    HomeOption,
    NamespaceOption,
    note_if_not_running,
    open_objects,
    print_note,
    resolve_home,
)
from tapedeck_deck.embedded.errors import DeckError

KIND_HELP = "feed, replay, backtest (plural or short: fd, rp, bt), pod, or all."
CONTROLS = "--speed, --max, --pause, --resume, --seek, --step, --loop, --until"
Form = Annotated[str, typer.Option("--output", "-o", metavar="FORM", help="table, wide, yaml, json or name.")]


def _target(kind: str, name: str | None, namespace: str) -> tuple[str, str, str]:
    from tapedeck_deck.cli.kinds import parse_kind_and_name

    parsed_kind, parsed_name = parse_kind_and_name(kind, name)
    return parsed_kind, namespace, parsed_name


def apply(
    context: typer.Context, filename: FilesOption, namespace: NamespaceOption = "default", home: HomeOption = None
) -> None:
    """Create or update resources from files. On any error, nothing is applied.

    \b
    Examples:
      tapedeck apply -f examples/replay.yaml
      tapedeck apply -f examples/
      cat mine.yaml | tapedeck apply -f -
    """
    from tapedeck_deck.cli import changes
    from tapedeck_deck.embedded import documents

    deck_home = resolve_home(home or context.obj)
    found = documents.read(filename)
    if not deck_home.objects.exists():
        changes.validate(found, namespace)  # a rejected file creates no folder
    with open_objects(deck_home, create=True) as objects:
        for line in changes.apply(objects, found, namespace):
            print(line)
    note_if_not_running(deck_home)


def get(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help=KIND_HELP)] = "all",
    name: Annotated[str | None, typer.Argument(help="A single resource; KIND/NAME works, too.")] = None,
    output: Form = "table",
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Print changes until Ctrl-C.")] = False,
    namespace: NamespaceOption = "default",
    all_namespaces: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Show all namespaces.")] = False,
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
    from tapedeck_deck.cli import get as printing
    from tapedeck_deck.cli import kinds

    if output not in list(printing.OutputFormat):
        raise typer.BadParameter(
            f"got {output!r}, expected one of {', '.join(printing.OutputFormat)}", param_hint="--output"
        )
    named = "/" in kind or name is not None
    which, name = kinds.parse_kind_and_name(kind, name) if named else (None, None)
    chosen = (which,) if which else kinds.parse_kinds(kind)
    scope = None if all_namespaces and not name else namespace
    deck_home = resolve_home(home or context.obj)
    with open_objects(deck_home) as objects:
        note_if_not_running(deck_home)
        (printing.watch_objects if watch else printing.print_objects)(
            objects, chosen, scope, name, printing.OutputFormat(output)
        )


def describe(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help=KIND_HELP)],
    name: Annotated[str | None, typer.Argument(help="Its name; KIND/NAME works, too.")] = None,
    namespace: NamespaceOption = "default",
    home: HomeOption = None,
) -> None:
    """Show everything about one resource: spec, status, conditions, pods with restarts and logs, events.

    \b
    Examples:
      tapedeck describe replay coinbase-sample
    """
    from tapedeck_deck.cli import kinds
    from tapedeck_deck.cli.describe import describe as text_of

    deck_home = resolve_home(home or context.obj)
    with open_objects(deck_home) as objects:
        note_if_not_running(deck_home)
        print(text_of(objects, kinds.find(objects, *_target(kind, name, namespace))))


def errors(
    context: typer.Context,
    kind: Annotated[
        str | None, typer.Argument(metavar="[KIND/NAME]", help="A feed or replay; all of them if omitted.")
    ] = None,
    name: Annotated[str | None, typer.Argument(help="Its name, unless given as KIND/NAME.")] = None,
    namespace: NamespaceOption = "default",
    home: HomeOption = None,
) -> None:
    """List what was refused or lost on its way into the store: rows, place of the first, and reason.

    \b
    Examples:
      tapedeck errors
      tapedeck errors feed/coinbase-sample
    """
    from tapedeck_deck.cli import gaps as gaps_of_series
    from tapedeck_deck.cli import ingest_errors, kinds

    target = None if kind is None else _target(kind, name, namespace)
    if target is not None and target[0] not in ("Feed", "Replay"):
        raise typer.BadParameter(f"got a {target[0].lower()}, expected a feed or a replay; describe shows its state")
    deck_home = resolve_home(home or context.obj)
    facts = deck_home.running()
    if facts is None:
        raise DeckError(NOT_RUNNING)
    with open_objects(deck_home) as objects:
        resource = None if target is None else kinds.find(objects, *target)
    feed = resource if target is None or target[0] == "Feed" else None
    lasting = 0 if feed is not resource else gaps_of_series.lasting_gaps(facts["dsn"], feed)
    for line in ingest_errors.error_lines(facts["dsn"], resource) or ["nothing was refused"]:
        print(line)
    if lasting:
        command = "tapedeck gaps" if target is None else f"tapedeck gaps feed/{target[2]}"
        print_note(f"{lasting} {'gap' if lasting == 1 else 'gaps'} of missing trades or bars: `{command}` lists them")


def gaps(
    context: typer.Context,
    kind: Annotated[
        str | None, typer.Argument(metavar="[feed/NAME]", help="A feed; a count of each series if omitted.")
    ] = None,
    name: Annotated[str | None, typer.Argument(help="Its name, unless given as feed/NAME.")] = None,
    state: Annotated[
        str | None, typer.Option(metavar="STATE", help="open, filled or unfillable; all if omitted.")
    ] = None,
    namespace: NamespaceOption = "default",
    home: HomeOption = None,
) -> None:
    """List missing trades and bars: open ones, filled ones, and those that the exchange cannot fill.

    \b
    Examples:
      tapedeck gaps
      tapedeck gaps feed/coinbase-sample --state open
    """
    from tapedeck_deck.cli import gaps as gaps_of_series
    from tapedeck_deck.cli import kinds

    target = None if kind is None else _target(kind, name, namespace)
    if target is not None and target[0] != "Feed":
        raise typer.BadParameter(f"got a {target[0].lower()}, expected a feed; gaps are those of an exchange's series")
    if state not in (None, *get_args(gaps_of_series.State)):
        expected = ", ".join(get_args(gaps_of_series.State))
        raise typer.BadParameter(f"got {state!r}, expected one of {expected}", param_hint="--state")
    deck_home = resolve_home(home or context.obj)
    facts = deck_home.running()
    if facts is None:
        raise DeckError(NOT_RUNNING)
    with open_objects(deck_home) as objects:
        feed = None if target is None else kinds.find(objects, *target)
    chosen = cast("gaps_of_series.State | None", state)
    for line in gaps_of_series.gap_lines(facts["dsn"], feed, chosen) or ["no gaps"]:
        print(line)


def patch(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help=KIND_HELP)],
    name: Annotated[str | None, typer.Argument(help="Its name; KIND/NAME works, too.")] = None,
    given: Annotated[
        str | None, typer.Option("--patch", "-p", metavar="TEXT", help="A JSON merge patch, as JSON or YAML.")
    ] = None,
    speed: Annotated[float | None, typer.Option(help="Replay: virtual seconds per second.")] = None,
    unpaced: Annotated[bool, typer.Option("--max", help="Replay: as fast as possible.")] = False,
    pause: Annotated[
        bool | None, typer.Option("--pause/--resume", help="Replay: pause or resume virtual time.")
    ] = None,
    seek: Annotated[str | None, typer.Option(metavar="TIME", help="Replay: move virtual time to TIME.")] = None,
    step: Annotated[
        int | None, typer.Option(metavar="N", help="Replay: move virtual time by N intervals and pause.")
    ] = None,
    loop: Annotated[
        str | None, typer.Option(metavar="N|forever|off", help="Replay: how many times to play the range.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME|off", help="Replay: pause virtual time at TIME.")] = None,
    namespace: NamespaceOption = "default",
    home: HomeOption = None,
) -> None:
    """Change fields of a resource. A Replay's controls have their own options and take effect without a restart.

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
    from tapedeck_crds.resource import FINAL_PHASES
    from tapedeck_deck.cli import changes, kinds
    from tapedeck_deck.embedded import documents

    target = _target(kind, name, namespace)
    if speed is not None and unpaced:
        raise typer.BadParameter("got --speed and --max, expected one of them")
    if step is not None and pause is False:
        raise typer.BadParameter("got --step and --resume, expected one of them: a step ends paused")
    change = changes.control_patch(
        speed=speed, unpaced=unpaced, paused=pause, seek=seek, step=step, loop=loop, until=until
    )
    if change and target[0] != "Replay":
        raise typer.BadParameter(f"{CONTROLS} control a replay, got a {target[0].lower()}")
    if bool(change) == (given is not None):
        raise typer.BadParameter(f"expected either -p or some of {CONTROLS}")
    if given is not None:
        change = documents.parse(given, "--patch")
        if not isinstance(change, dict):
            raise DeckError(f"--patch: got {change!r}, expected a mapping such as {{spec: {{speed: 60}}}}")
    deck_home = resolve_home(home or context.obj)
    with open_objects(deck_home) as objects:
        before = kinds.find(objects, *target)
        after = objects.patch_spec(*target, change)
    changed = before["metadata"]["resourceVersion"] != after["metadata"]["resourceVersion"]
    print(f"{kinds.label(after)} patched" + ("" if changed else " (no change)"))
    if after.get("status", {}).get("phase") in FINAL_PHASES:
        phase = after["status"]["phase"]
        typer.echo(f"note: it is {phase}, so the change has no effect: delete it and apply it again", err=True)
    note_if_not_running(deck_home)


def delete(
    context: typer.Context,
    kind: Annotated[str | None, typer.Argument(help=KIND_HELP)] = None,
    name: Annotated[str | None, typer.Argument(help="Its name; KIND/NAME works, too.")] = None,
    filename: Annotated[
        list[str] | None, typer.Option("--filename", "-f", metavar="FILE", help="Delete the resources in a file.")
    ] = None,
    namespace: NamespaceOption = "default",
    home: HomeOption = None,
) -> None:
    """Delete resources and stop their pods. Stored bars and results are kept.

    \b
    Examples:
      tapedeck delete replay coinbase-sample
      tapedeck delete -f examples/
    """
    from tapedeck_deck.cli import changes
    from tapedeck_deck.embedded import documents

    if bool(kind) == bool(filename):
        raise typer.BadParameter("expected either KIND NAME or -f FILE")
    deck_home = resolve_home(home or context.obj)
    targets = (
        [_target(kind, name, namespace)] if kind else changes.delete_targets(documents.read(filename or []), namespace)
    )
    with open_objects(deck_home) as objects:
        for line in changes.delete(objects, targets):
            print(line)
    note_if_not_running(deck_home)


def logs(
    context: typer.Context,
    kind: Annotated[
        str, typer.Argument(metavar="KIND/NAME", help="The owner of the pods; or recorder, gateway or deck.")
    ],
    name: Annotated[str | None, typer.Argument(help="Its name, unless given as KIND/NAME.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print new lines until it ends, or Ctrl-C.")] = False,
    tail: Annotated[int | None, typer.Option(min=0, help="Print only the last lines of each log.")] = None,
    namespace: NamespaceOption = "default",
    home: HomeOption = None,
) -> None:
    """Print the logs of pods.

    \b
    Examples:
      tapedeck logs replay/coinbase-sample
      tapedeck logs backtest/sma -f
      tapedeck logs recorder --tail 20
      tapedeck logs deck
    """
    from tapedeck_deck.cli import kinds
    from tapedeck_deck.cli import logs as log_files

    deck_home = resolve_home(home or context.obj)
    if kind == "deck" and name is None:
        log_files.print_deck_log(deck_home, following=follow, tail=tail)
        return
    if kind in ("recorder", "gateway") and name is None:
        kind, name = "deployment", kind
    with open_objects(deck_home) as objects:
        document = kinds.find(objects, *_target(kind, name, namespace))
        log_files.print_logs(objects, document, following=follow, tail=tail)
