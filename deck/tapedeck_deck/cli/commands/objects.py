"""The commands that write, apply, change and delete resources."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tapedeck_crds.json import Json
from tapedeck_deck.cli.completion import complete_name, complete_targets, complete_what, complete_words
from tapedeck_deck.cli.context import (
    FilesOption,
    HomeOption,
    NamespaceOption,
    WrongArgument,
    note_if_not_running,
    open_objects,
    print_errors,
    resolve_home,
)
from tapedeck_deck.cli.output import DOCUMENTS, NAME, ChangeForm, as_text
from tapedeck_deck.cli.printing import print_note, print_text
from tapedeck_deck.embedded.errors import DeckError

if TYPE_CHECKING:
    from tapedeck_deck.cli.get import ObjectSelection

MERGE = "merge"
KIND_HELP = "feed, replay, backtest (plural or short: fd, rp, bt)."
CONTROLS = "--speed, --max, --pause, --resume, --seek, --step, --loop, --until"
RecursiveOption = Annotated[bool, typer.Option("--recursive", "-R", help="Also read the folders in a folder.")]
TimeoutOption = Annotated[float, typer.Option(min=1, metavar="SECONDS", help="With --wait: give up after so long.")]


def _checked_type(text: str) -> str:
    if text != MERGE:
        raise typer.BadParameter(
            f"got {text!r}, expected {MERGE}: the fields of the patch replace those of the resource"
        )
    return text


def new(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="feed, replay, backtest, strategy or scenario; or examples, a folder.",
            autocompletion=complete_what,
        ),
    ],
    name: Annotated[
        str | None,
        typer.Argument(help="Its name, of a-z, 0-9 and -; my-replay and so on, or examples, if omitted."),
    ] = None,
    folder: Annotated[Path, typer.Option("--folder", metavar="FOLDER", help="Where to write it.")] = Path(),
    stdout: Annotated[bool, typer.Option("--stdout", help="Print it instead of writing a file.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
) -> None:
    """Write a commented file to start from, or the examples.

    The file has each field with its description, those with a default as comments. The examples are a course with its
    data: each file says in its first line what it is for.

    \b
    Examples:
      tapedeck new replay
      tapedeck new strategy breakout
      tapedeck new scenario crash --stdout | tapedeck apply -f -
      tapedeck new examples
    """
    from tapedeck_deck.cli.examples import EXAMPLES
    from tapedeck_deck.cli.new_files import starters

    if what == EXAMPLES.name:
        if stdout:
            raise typer.BadParameter(f"got it with {what}, which is a folder", param_hint="--stdout")
        _new_examples(folder / starters.checked_name(name or what), replace=force)
        return
    files = starters.new_files(what, name)
    if stdout and len(files) > 1:
        raise typer.BadParameter(f"got it with {what}, which is two files", param_hint="--stdout")
    if stdout:
        print_text("".join(files.values()), end="")
        return
    for path in starters.write_files(files, folder, replace=force):
        print_text(str(path))
    manifest = next(path for path in files if path.endswith(".yaml"))
    print_note(f"next: edit it, then `tapedeck apply -f {folder / manifest}`; `tapedeck explain` describes each field")


def _new_examples(folder: Path, *, replace: bool) -> None:
    from tapedeck_deck.cli.examples import copy_examples

    copy_examples(folder, replace=replace)
    print_text(str(folder))
    print_note(f"next: `tapedeck apply -f {folder}/` plays the samples; {folder / 'more'} has the rest of the course")


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
    from tapedeck_deck.cli.sources import read_sources

    deck_home = resolve_home(home or context.obj)
    found = read_sources("apply", filename, recursive=recursive)
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
        print_text(as_text(documents[0] if len(documents) == 1 else list_of(documents), output))
        return
    for line in map(label, documents) if output == NAME else lines:
        print_text(line)


def patch(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help=KIND_HELP, autocompletion=complete_targets)],
    name: Annotated[
        str | None, typer.Argument(help="Its name; KIND/NAME works, too.", autocompletion=complete_name)
    ] = None,
    given: Annotated[
        str | None, typer.Option("--patch", "-p", metavar="TEXT", help="A JSON merge patch, as JSON or YAML.")
    ] = None,
    _type: Annotated[
        str,
        typer.Option(
            "--type",
            metavar=MERGE,
            help="The type of -p, as of kubectl; there is no other.",
            callback=_checked_type,
            autocompletion=complete_words(MERGE),
        ),
    ] = MERGE,
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
      tapedeck patch replay coinbase-sample --type merge -p '{"spec": {"atEnd": "hold"}}'
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
            help=f"{KIND_HELP} Then names, or --all.",
            autocompletion=complete_targets,
            show_default=False,
        ),
    ] = None,
    filename: Annotated[
        list[str] | None,
        typer.Option("--filename", "-f", metavar="FILE", help="Delete the resources in a file or a folder."),
    ] = None,
    recursive: RecursiveOption = False,
    everything: Annotated[
        bool, typer.Option("--all", help="All resources of the kind in the namespace, without a question.")
    ] = False,
    ignore_missing: Annotated[
        bool, typer.Option("--ignore-not-found", help="Exit 0 where a resource does not exist.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until their pods have stopped.")] = False,
    timeout: TimeoutOption = 60.0,
    output: ChangeForm = "text",
    namespace: NamespaceOption = "default",
    home: HomeOption = None,
) -> None:
    """Delete resources and stop their pods. Stored bars and results are kept.

    Those that exist are deleted, also where others do not.

    \b
    Examples:
      tapedeck delete replay coinbase-sample
      tapedeck delete replay/coinbase-sample backtest/sma-cross
      tapedeck delete backtests --all
      tapedeck delete -f examples/ --wait --ignore-not-found
    """
    from tapedeck_deck.cli import changes, kinds
    from tapedeck_deck.cli.sources import read_sources
    from tapedeck_deck.cli.wait import running_pids, wait_stopped

    if bool(targets) == bool(filename):
        raise typer.BadParameter("expected either KIND NAME or -f FILE")
    deck_home = resolve_home(home or context.obj)
    if everything and filename:
        raise typer.BadParameter("got it beside -f, expected it behind a kind", param_hint="--all")
    selection = _selection_to_delete(targets, namespace, everything=everything) if targets else None
    documents = read_sources("delete", filename, recursive=recursive) if filename else []
    of_files = changes.delete_targets(documents, namespace)
    with open_objects(deck_home) as objects, objects.transaction():
        found, missing = selection.matching(objects) if selection else kinds.find_each(objects, of_files)
        pids = running_pids(objects, found) if wait and deck_home.locked() else []
        lines = changes.delete(objects, found)
    errors = [] if ignore_missing else missing
    if found or (output in DOCUMENTS and not errors):
        _print_changes(found, lines, output)
    if selection and everything and not found:
        print_note(selection.absence)
    print_errors(errors)
    wait_stopped(pids, timeout)
    note_if_not_running(deck_home)
    if errors:
        raise typer.Exit(1)


def _selection_to_delete(words: Sequence[str], namespace: str, *, everything: bool) -> ObjectSelection:
    """What the arguments of `tapedeck delete` name. Raises WrongArgument for a kind alone without --all."""
    from tapedeck_deck.cli.get import parse_selection

    selection = parse_selection(words, namespace)
    if everything and selection.named:
        raise typer.BadParameter("got it beside names, expected it behind a kind", param_hint="--all")
    if not everything and not selection.named:
        one = selection.kinds[0].lower()
        raise WrongArgument(
            f"name: missing, expected `tapedeck delete {one} NAME`, or `tapedeck delete {words[0]} --all` for all"
        )
    return selection
