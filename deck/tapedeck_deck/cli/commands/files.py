"""The command for files of any layout."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from tapedeck_deck.cli.context import HomeOption, print_note, resolve_home
from tapedeck_deck.embedded.errors import DeckError

STDIN = "-"


def import_files(
    context: typer.Context,
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH…", help="Files, folders or patterns; - for standard input.")
    ],
    exchange: Annotated[str | None, typer.Option(help="Exchange id of the rows.")] = None,
    symbol: Annotated[str | None, typer.Option(help="Symbol of all files, such as BTC/USD.")] = None,
    interval: Annotated[str | None, typer.Option(help="Length of the bars, or of those made of trades.")] = None,
    kind: Annotated[str | None, typer.Option(help="bars or trades.")] = None,
    layout: Annotated[str | None, typer.Option(metavar="NAME", help="A preset, such as binance-klines.")] = None,
    columns: Annotated[
        str | None,
        typer.Option(metavar="FIELD,…", help="Fields of the columns in their order; - skips one: ts,open,-,close."),
    ] = None,
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="FIELD=COLUMN", help="A field's column: its name, or its number from 1."),
    ] = None,
    zone: Annotated[str | None, typer.Option(help="Zone of times without an offset, such as America/New_York.")] = None,
    unit: Annotated[str | None, typer.Option(help="Unit of times that are numbers: s, ms, us or ns.")] = None,
    time_format: Annotated[str | None, typer.Option(metavar="FORMAT", help="Format of times, as %d/%m/%Y.")] = None,
    stamp: Annotated[str | None, typer.Option(help="Which end of its bar a time is of: open or close.")] = None,
    delimiter: Annotated[str | None, typer.Option(help="Delimiter of the cells.")] = None,
    decimal: Annotated[str | None, typer.Option(help="Decimal sign: . or ,")] = None,
    thousands: Annotated[str | None, typer.Option(help="Sign between thousands.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Encoding of text, such as latin-1.")] = None,
    scale: Annotated[float | None, typer.Option(help="Number that prices are divided by.")] = None,
    adjust: Annotated[bool, typer.Option("--adjust", help="Adjust prices by the column Adj Close.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Look at the files, and import nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Accept what is assumed.")] = False,
    write: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the Feeds as YAML to a file beside the data, or -.")
    ] = None,
    output: Annotated[str, typer.Option("--output", "-o", metavar="FORM", help="text or json.")] = "text",
    home: HomeOption = None,
) -> None:
    """Import files of any layout into the store: CSV, JSON, Parquet, Arrow; compressed or in archives.

    What the files hold is recognized, shown, and read by a Feed. Options are needed only where a file does not say it.
    Exits 0 only if the rows are in the store.

    \b
    Examples:
      tapedeck import BTCUSDT-1m-2024-12.zip
      tapedeck import ~/data --exchange mine --yes
      tapedeck import prices.csv --symbol BTC/USD --zone America/New_York --dry-run
    """
    from rich.console import Console

    from tapedeck_deck.cli.imports import paths as found_paths
    from tapedeck_deck.cli.imports.import_files import Import, parse_columns

    if output not in ("text", "json"):
        raise typer.BadParameter(f"got {output!r}, expected text or json", param_hint="--output")
    time = {"unit": unit, "format": time_format, "zone": zone, "stamp": stamp}
    fields: dict[str, Any] = {
        "format": layout, "kind": kind, "delimiter": {"tab": "\t", "\\t": "\t"}.get(delimiter or "", delimiter),
        "decimal": decimal, "thousands": thousands, "encoding": encoding, "scale": scale, "adjust": adjust or None,
        "time": {name: value for name, value in time.items() if value is not None} or None,
        "columns": parse_columns(columns, mapping or []) or None,
    }  # fmt: skip
    with ExitStack() as stack:
        names = [str(stack.enter_context(found_paths.standard_input())) if path == STDIN else path for path in paths]
        work = Import(
            home=resolve_home(home or context.obj),
            listed=found_paths.listed(names),
            fields={name: value for name, value in fields.items() if value is not None},
            symbol=symbol,
            exchange=exchange,
            interval=interval,
            console=Console(stderr=True),
        )
        looked = work.look()
        text = work.described(looked, output)
        if dry_run or output == "json":
            print(text)
        else:
            print_note(text)
        if looked.refused:
            raise DeckError("\n".join([*looked.refused.values(), "nothing was imported"]))
        if not looked.found:
            raise DeckError("no file holds market data; nothing was imported")
        if write is not None:
            work.write(looked, write)
        if dry_run:
            return
        if not yes and any(each.assumed for each in looked.found) and not _confirmed():
            raise DeckError("nothing was imported; --yes accepts what is assumed, options change it")
        print_note(work.run(looked)) if output == "json" else print(work.run(looked))


def _confirmed() -> bool:
    return sys.stdin.isatty() and typer.confirm("import with what is assumed?", err=True)
