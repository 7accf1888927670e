"""The commands that show resources: their state, their fields, their logs, and what was refused or is missing."""

from __future__ import annotations

from typing import Annotated, cast, get_args

import typer

from tapedeck_deck.cli.completion import complete_field, complete_targets
from tapedeck_deck.cli.context import (
    NOT_RUNNING,
    HomeOption,
    NamespaceOption,
    note_if_not_running,
    open_objects,
    print_note,
    resolve_home,
)
from tapedeck_deck.cli.output import DOCUMENTS, ObjectForm, TableForm, TextForm, as_text
from tapedeck_deck.embedded.errors import DeckError

KIND_HELP = "feed, replay, backtest (plural or short: fd, rp, bt), pod, or all."
Targets = Annotated[
    list[str],
    typer.Argument(metavar="KIND NAME… | KIND/NAME…", help=f"{KIND_HELP} Then names.", autocompletion=complete_targets),
]


def get(
    context: typer.Context,
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KIND [NAME…] | KIND/NAME…]",
            help=f"{KIND_HELP} Several kinds by commas; all resources of a kind where no name is given.",
            autocompletion=complete_targets,
            show_default=False,
        ),
    ] = None,
    output: ObjectForm = "table",
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
      tapedeck get replay coinbase-sample other -o yaml
      tapedeck get feed/coinbase-sample replay/coinbase-sample
      tapedeck get bt -o json | jq .items[0].status
    """
    from tapedeck_deck.cli import get as printing
    from tapedeck_deck.cli import kinds

    words = targets or [kinds.ALL]
    named = kinds.parse_targets(words) if len(words) > 1 or "/" in words[0] else ()
    chosen = tuple(dict.fromkeys(each.kind for each in named)) or kinds.parse_kinds(words[0])
    selection = printing.ObjectSelection(chosen, None if all_namespaces and not named else namespace, named)
    deck_home = resolve_home(home or context.obj)
    with open_objects(deck_home) as objects:
        note_if_not_running(deck_home)
        (printing.watch_objects if watch else printing.print_objects)(objects, selection, output)


def describe(
    context: typer.Context,
    targets: Targets,
    namespace: NamespaceOption = "default",
    output: TextForm = "text",
    home: HomeOption = None,
) -> None:
    """Show everything about resources: spec, status, conditions, pods with restarts and logs, events.

    \b
    Examples:
      tapedeck describe replay coinbase-sample
      tapedeck describe feed/coinbase-sample backtest/sma-cross
      tapedeck describe backtest sma-cross -o json
    """
    from tapedeck_deck.cli import kinds
    from tapedeck_deck.cli.describe import describe as text_of
    from tapedeck_deck.cli.describe import description

    chosen = kinds.parse_targets(targets)
    deck_home = resolve_home(home or context.obj)
    with open_objects(deck_home) as objects:
        note_if_not_running(deck_home)
        found = [kinds.find(objects, kind, namespace, name) for kind, name in chosen]
        if output in DOCUMENTS:
            print(as_text([description(objects, document) for document in found], output))
        else:
            print("\n\n".join(text_of(objects, document) for document in found))


def explain(
    path: Annotated[
        str,
        typer.Argument(
            metavar="KIND[.FIELD…]", help="A kind, or a field such as replay.spec.seek.", autocompletion=complete_field
        ),
    ],
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="All fields below, with their types alone.")
    ] = False,
    output: TableForm = "table",
) -> None:
    """Describe a kind of resource or one of its fields: type, default, unit, limits.

    \b
    Examples:
      tapedeck explain replay
      tapedeck explain replay.spec.seek
      tapedeck explain feed.spec.source.files --recursive
    """
    from tapedeck_deck.cli import explain as explaining

    field = explaining.find(path)
    if output in DOCUMENTS:
        print(as_text(explaining.as_document(field), output))
    else:
        print("\n".join(explaining.lines(field, recursive=recursive)))


def _target(kind: str, name: str | None, namespace: str) -> tuple[str, str, str]:
    from tapedeck_deck.cli.kinds import parse_kind_and_name

    target = parse_kind_and_name(kind, name)
    return target.kind, namespace, target.name


def errors(
    context: typer.Context,
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="[KIND/NAME]", help="A feed or replay; all of them if omitted.", autocompletion=complete_targets
        ),
    ] = None,
    name: Annotated[str | None, typer.Argument(help="Its name, unless given as KIND/NAME.")] = None,
    output: TableForm = "table",
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
    found = ingest_errors.errors_of(facts["dsn"], resource)
    if output in DOCUMENTS:
        print(as_text(ingest_errors.error_documents(found), output))
        return
    feed = resource if target is None or target[0] == "Feed" else None
    lasting = 0 if feed is not resource else gaps_of_series.lasting_gaps(facts["dsn"], feed)
    for line in ingest_errors.error_lines(found):
        print(line)
    if lasting:
        command = "tapedeck gaps" if target is None else f"tapedeck gaps feed/{target[2]}"
        print_note(f"{lasting} {'gap' if lasting == 1 else 'gaps'} of missing trades or bars: `{command}` lists them")


def gaps(
    context: typer.Context,
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="[feed/NAME]", help="A feed; a count of each series if omitted.", autocompletion=complete_targets
        ),
    ] = None,
    name: Annotated[str | None, typer.Argument(help="Its name, unless given as feed/NAME.")] = None,
    state: Annotated[
        str | None, typer.Option(metavar="STATE", help="open, filled or unfillable; all if omitted.")
    ] = None,
    output: TableForm = "table",
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
    headers, found = gaps_of_series.gap_table(facts["dsn"], feed, cast("gaps_of_series.State | None", state))
    if output in DOCUMENTS:
        print(as_text(gaps_of_series.gap_documents(headers, found), output))
        return
    for line in gaps_of_series.gap_lines(headers, found):
        print(line)


def logs(
    context: typer.Context,
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND/NAME",
            help="The owner of the pods; or recorder, gateway or deck.",
            autocompletion=complete_targets,
        ),
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
