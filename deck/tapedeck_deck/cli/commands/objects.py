"""The commands that write, apply, change and delete resources."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tapedeck_crds.json import Json
from tapedeck_deck.cli.completion import complete_name, complete_targets
from tapedeck_deck.cli.context import (
    FilesOption,
    HomeOption,
    NamespaceOption,
    note_if_not_running,
    open_objects,
    print_note,
    resolve_home,
)
from tapedeck_deck.cli.output import DOCUMENTS, NAME, ChangeForm, as_text
from tapedeck_deck.embedded.errors import DeckError

KIND_HELP = "feed, replay, backtest (plural or short: fd, rp, bt)."
CONTROLS = "--speed, --max, --pause, --resume, --seek, --step, --loop, --until"
RecursiveOption = Annotated[bool, typer.Option("--recursive", "-R", help="Also read the folders in a folder.")]
TimeoutOption = Annotated[float, typer.Option(min=1, metavar="SECONDS", help="With --wait: give up after so long.")]


def new(
    what: Annotated[str, typer.Argument(metavar="WHAT", help="feed, replay, backtest, strategy or scenario.")],
    name: Annotated[
        str | None, typer.Argument(help="Its name, of a-z, 0-9 and -; my-replay and so on if omitted.")
    ] = None,
    folder: Annotated[Path, typer.Option("--folder", metavar="FOLDER", help="Where to write the file.")] = Path(),
    stdout: Annotated[bool, typer.Option("--stdout", help="Print it instead of writing a file.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
) -> None:
    """Write a commented file to start from: each field with its description, those with a default as comments.

    \b
    Examples:
      tapedeck new replay
      tapedeck new strategy breakout
      tapedeck new scenario crash --stdout | tapedeck apply -f -
    """
    from tapedeck_deck.cli.new_files import starters

    files = starters.new_files(what, name)
    if stdout and len(files) > 1:
        raise typer.BadParameter(f"got it with {what}, which is two files", param_hint="--stdout")
    if stdout:
        print(*files.values(), end="")
        return
    for path in starters.write_files(files, folder, replace=force):
        print(path)
    manifest = next(path for path in files if path.endswith(".yaml"))
    print_note(f"next: edit it, then `tapedeck apply -f {folder / manifest}`; `tapedeck explain` describes each field")


def apply(
    context: typer.Context,
    filename: FilesOption,
    recursive: RecursiveOption = False,
    wait: Annotated[
        bool,
        typer.Option("--wait", help="Wait until each has ended, or works where it has no end. Exits 1 if one failed."),
    ] = False,
    timeout: TimeoutOption = 600.0,
    output: ChangeForm = "text",
    namespace: NamespaceOption = "default",
    home: HomeOption = None,
) -> None:
    """Create or update resources from files. On any error, nothing is applied.

    \b
    Examples:
      tapedeck apply -f examples/replay.yaml
      tapedeck apply -f examples/ --wait
      tapedeck apply -f experiments/ --recursive
      cat mine.yaml | tapedeck apply -f -
    """
    from tapedeck_deck.cli import changes
    from tapedeck_deck.embedded import documents

    deck_home = resolve_home(home or context.obj)
    found = documents.read(filename, recursive=recursive)
    if not deck_home.objects.exists():
        changes.validate(found, namespace)  # a rejected file creates no folder
    with open_objects(deck_home, create=True) as objects:
        applied = changes.apply(objects, found, namespace)
        _print_changes([document for document, _ in applied], [line for _, line in applied], output)
        if wait:
            from tapedeck_deck.cli.wait import wait_applied

            if not wait_applied(deck_home, objects, [document for document, _ in applied], timeout):
                raise typer.Exit(1)
            return
    note_if_not_running(deck_home)


def _print_changes(documents: list[Json], lines: list[str], output: str) -> None:
    from tapedeck_deck.cli.get import list_of
    from tapedeck_deck.cli.kinds import label

    if output in DOCUMENTS:
        print(as_text(documents[0] if len(documents) == 1 else list_of(documents), output))
        return
    for line in map(label, documents) if output == NAME else lines:
        print(line)


def patch(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help=KIND_HELP, autocompletion=complete_targets)],
    name: Annotated[
        str | None, typer.Argument(help="Its name; KIND/NAME works, too.", autocompletion=complete_name)
    ] = None,
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
    output: ChangeForm = "text",
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
    from tapedeck_crds.resource import is_finished
    from tapedeck_deck.cli import changes, kinds
    from tapedeck_deck.embedded import documents

    target = kinds.parse_kind_and_name(kind, name)
    if speed is not None and unpaced:
        raise typer.BadParameter("got --speed and --max, expected one of them")
    if step is not None and pause is False:
        raise typer.BadParameter("got --step and --resume, expected one of them: a step ends paused")
    change = changes.control_patch(
        speed=speed, unpaced=unpaced, paused=pause, seek=seek, step=step, loop=loop, until=until
    )
    if change and target.kind != "Replay":
        raise typer.BadParameter(f"{CONTROLS} control a replay, got a {target.kind.lower()}")
    if bool(change) == (given is not None):
        raise typer.BadParameter(f"expected either -p or some of {CONTROLS}")
    if given is not None:
        change = documents.parse(given, "--patch")
        if not isinstance(change, dict):
            raise DeckError(f"--patch: got {change!r}, expected a mapping such as {{spec: {{speed: 60}}}}")
    deck_home = resolve_home(home or context.obj)
    with open_objects(deck_home) as objects:
        before = kinds.find(objects, target.kind, namespace, target.name)
        after = objects.patch_spec(target.kind, namespace, target.name, change)
    changed = before["metadata"]["resourceVersion"] != after["metadata"]["resourceVersion"]
    _print_changes([after], [f"{kinds.label(after)} patched" + ("" if changed else " (no change)")], output)
    if is_finished(after):
        phase = after["status"]["phase"]
        print_note(f"note: it is {phase}, so the change has no effect: delete it and apply it again")
    note_if_not_running(deck_home)


def delete(
    context: typer.Context,
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KIND NAME… | KIND/NAME…]",
            help=f"{KIND_HELP} Then names.",
            autocompletion=complete_targets,
            show_default=False,
        ),
    ] = None,
    filename: Annotated[
        list[str] | None,
        typer.Option("--filename", "-f", metavar="FILE", help="Delete the resources in a file or a folder."),
    ] = None,
    recursive: RecursiveOption = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until their pods have stopped.")] = False,
    timeout: TimeoutOption = 60.0,
    output: ChangeForm = "text",
    namespace: NamespaceOption = "default",
    home: HomeOption = None,
) -> None:
    """Delete resources and stop their pods. Stored bars and results are kept.

    \b
    Examples:
      tapedeck delete replay coinbase-sample
      tapedeck delete replay/coinbase-sample backtest/sma-cross
      tapedeck delete -f examples/ --wait
    """
    from tapedeck_deck.cli import changes, kinds
    from tapedeck_deck.cli.wait import running_pids, wait_stopped
    from tapedeck_deck.embedded import documents

    if bool(targets) == bool(filename):
        raise typer.BadParameter("expected either KIND NAME or -f FILE")
    deck_home = resolve_home(home or context.obj)
    chosen = (
        [(each.kind, namespace, each.name) for each in kinds.parse_targets(targets)]
        if targets
        else changes.delete_targets(documents.read(filename or [], recursive=recursive), namespace)
    )
    with open_objects(deck_home) as objects:
        found = [kinds.find(objects, *each) for each in chosen]
        pids = running_pids(objects, found) if wait and deck_home.locked() else []
        lines = changes.delete(objects, chosen)
    _print_changes(found, lines, output)
    wait_stopped(pids, timeout)
    note_if_not_running(deck_home)
