"""What one does with resources."""

from __future__ import annotations

from typing import Annotated

import typer

from tapedeck_deck.cli.session import FilesOption, HomeOption, NamespaceOption, home_of, note_if_down, opened
from tapedeck_deck.embedded.errors import DeckError

KIND_HELP = "feed, replay, backtest (plural or short: fd, rp, bt), pod, or all."
CONTROLS = "--speed, --max, --pause, --resume, --seek, --step, --loop, --until"
Form = Annotated[str, typer.Option("--output", "-o", metavar="FORM", help="table, wide, yaml, json or name.")]


def _target(kind: str, name: str | None, namespace: str) -> tuple[str, str, str]:
    from tapedeck_deck.cli.kinds import kind_and_name

    which, known = kind_and_name(kind, name)
    return which, namespace, known


def apply(
    context: typer.Context, filename: FilesOption, namespace: NamespaceOption = "default", home: HomeOption = None
) -> None:
    """Create resources from files, or change them to what the files say. All of them or, on any error, none.

    \b
    Examples:
      tapedeck apply -f examples/replay.yaml
      tapedeck apply -f examples/
      cat mine.yaml | tapedeck apply -f -
    """
    from tapedeck_deck.cli import write
    from tapedeck_deck.embedded import documents

    deck_home = home_of(home or context.obj)
    found = documents.read(filename)
    with opened(deck_home, make=True) as objects:
        for line in write.apply(objects, found, namespace):
            print(line)
    note_if_down(deck_home)


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
    from tapedeck_deck.cli import kinds, show

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
    from tapedeck_deck.cli import kinds
    from tapedeck_deck.cli.describe import describe as text_of

    deck_home = home_of(home or context.obj)
    with opened(deck_home) as objects:
        note_if_down(deck_home)
        print(text_of(objects, kinds.find(objects, *_target(kind, name, namespace))))


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
    from tapedeck_crds.resource import FINAL_PHASES
    from tapedeck_deck.cli import kinds, write
    from tapedeck_deck.embedded import documents

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
    if after.get("status", {}).get("phase") in FINAL_PHASES:
        phase = after["status"]["phase"]
        typer.echo(f"note: it is {phase}, and no change plays it again: delete it and apply it anew", err=True)
    note_if_down(deck_home)


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
    from tapedeck_deck.cli import write
    from tapedeck_deck.embedded import documents

    if bool(kind) == bool(filename):
        raise typer.BadParameter("expected either KIND NAME or -f FILE")
    deck_home = home_of(home or context.obj)
    targets = [_target(kind, name, namespace)] if kind else write.targets_of(documents.read(filename or []), namespace)
    with opened(deck_home) as objects:
        for line in write.delete(objects, targets):
            print(line)
    note_if_down(deck_home)


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
    from tapedeck_deck.cli import kinds
    from tapedeck_deck.cli import logs as log_files

    deck_home = home_of(home or context.obj)
    if kind == "deck" and name is None:
        log_files.show_deck(deck_home, following=follow, tail=tail)
        return
    if kind in ("recorder", "gateway") and name is None:
        kind, name = "deployment", kind
    with opened(deck_home) as objects:
        document = kinds.find(objects, *_target(kind, name, namespace))
        log_files.show(objects, document, following=follow, tail=tail)
