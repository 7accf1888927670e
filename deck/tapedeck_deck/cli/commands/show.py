"""The commands that show resources: their state, their fields, their logs, and what was refused or is missing."""

from __future__ import annotations

from typing import Annotated, cast, get_args

import typer

from tapedeck_deck.cli.completion import (
    complete_field,
    complete_logs,
    complete_name,
    complete_targets,
    complete_words,
)
from tapedeck_deck.cli.context import (
    NOT_RUNNING,
    HomeOption,
    NamespaceOption,
    fail_with,
    note_if_not_running,
    open_objects,
    resolve_home,
)
from tapedeck_deck.cli.output import DOCUMENTS, NAME, WIDE, ObjectForm, TableForm, TextForm, as_text, print_lines
from tapedeck_deck.cli.printing import print_note, print_text
from tapedeck_deck.embedded.errors import DeckError

KIND_HELP = "feed, replay, backtest (plural or short: fd, rp, bt), pod, or all."
NameArgument = Annotated[
    str | None, typer.Argument(help="Its name, unless given as KIND/NAME.", autocompletion=complete_name)
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
    """Show resources. Exits 1 where one that is named does not exist.

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

    selection = printing.parse_selection(targets or [kinds.ALL], namespace, everywhere=all_namespaces)
    deck_home = resolve_home(home or context.obj)
    with open_objects(deck_home) as objects:
        note_if_not_running(deck_home)
        (printing.watch_objects if watch else printing.print_objects)(objects, selection, output)


def describe(
    context: typer.Context,
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="KIND [NAME…] | KIND/NAME…",
            help=f"{KIND_HELP} All resources of a kind where no name is given.",
            autocompletion=complete_targets,
        ),
    ],
    namespace: NamespaceOption = "default",
    output: TextForm = "text",
    home: HomeOption = None,
) -> None:
    """Show everything about resources.

    Spec, status, conditions, pods with restarts and logs, events. Exits 1 where one that is named does not exist.

    \b
    Examples:
      tapedeck describe replay coinbase-sample
      tapedeck describe replays
      tapedeck describe feed/coinbase-sample backtest/sma-cross
      tapedeck describe backtest sma-cross -o json
    """
    from tapedeck_deck.cli.describe import describe as text_of
    from tapedeck_deck.cli.describe import description
    from tapedeck_deck.cli.get import parse_selection

    selection = parse_selection(targets, namespace)
    deck_home = resolve_home(home or context.obj)
    with open_objects(deck_home) as objects:
        note_if_not_running(deck_home)
        found, missing = selection.matching(objects)
        if output in DOCUMENTS and not (missing and not found):
            print_text(as_text([description(objects, document) for document in found], output))
        elif found:
            print_text("\n\n".join(text_of(objects, document) for document in found))
        elif not missing:
            print_note(selection.absence)
    fail_with(missing)


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
    """Describe a kind of resource or one of its fields.

    Type, default, unit, limits.

    \b
    Examples:
      tapedeck explain replay
      tapedeck explain replay.spec.seek
      tapedeck explain feed.spec.source.files --recursive
    """
    from tapedeck_deck.cli import explain as explaining

    field = explaining.find(path)
    if output in DOCUMENTS:
        print_text(as_text(explaining.as_document(field), output))
    else:
        print_text("\n".join(explaining.lines(field, recursive=recursive)))


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
    name: NameArgument = None,
    output: ObjectForm = "table",
    namespace: NamespaceOption = "default",
    home: HomeOption = None,
) -> None:
    """List what was refused or lost on its way into the store.

    Rows, place of the first, and reason. With -o wide their time, with -o name the resources that have errors.

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
        owners = {d["metadata"]["name"]: kinds.label(d) for kind in ("Replay", "Feed") for d in objects.list(kind)}
    found = ingest_errors.errors_of(facts["dsn"], resource)
    if output in DOCUMENTS:
        print_text(as_text(ingest_errors.error_documents(found), output))
        return
    if output == NAME:
        print_lines(ingest_errors.error_owners(found, owners))
        return
    feed = resource if target is None or target[0] == "Feed" else None
    lasting = 0 if feed is not resource else gaps_of_series.lasting_gaps(facts["dsn"], feed)
    print_lines(ingest_errors.error_lines(found, wide=output == WIDE))
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
    name: NameArgument = None,
    state: Annotated[
        str | None,
        typer.Option(
            metavar="STATE",
            help="open, filled or unfillable; all if omitted.",
            autocompletion=complete_words("open", "filled", "unfillable"),
        ),
    ] = None,
    output: ObjectForm = "table",
    namespace: NamespaceOption = "default",
    home: HomeOption = None,
) -> None:
    """List missing trades and bars.

    Open ones, filled ones, and those that the exchange cannot fill. With -o name the series that have gaps.

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
        print_text(as_text(gaps_of_series.gap_documents(headers, found), output))
    elif output == NAME:
        print_lines(gaps_of_series.gap_series(found))
    else:
        print_lines(gaps_of_series.gap_lines(headers, found, wide=output == WIDE))


def logs(
    context: typer.Context,
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND/NAME",
            help="The owner of the pods; or recorder, gateway or deck.",
            autocompletion=complete_logs,
        ),
    ],
    name: NameArgument = None,
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
    if kind == log_files.DECK and name is None:
        log_files.print_deck_log(deck_home, following=follow, tail=tail)
        return
    if kind in log_files.DEPLOYMENTS and name is None:
        kind, name = "deployment", kind
    with open_objects(deck_home) as objects:
        document = kinds.find(objects, *_target(kind, name, namespace))
        log_files.print_logs(objects, document, following=follow, tail=tail)
