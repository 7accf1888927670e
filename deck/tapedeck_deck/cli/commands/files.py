"""The command for files of any layout."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from tapedeck_deck.cli.context import HomeOption, resolve_home
from tapedeck_deck.cli.output import DOCUMENTS, TextForm
from tapedeck_deck.cli.printing import ask, print_note, print_text
from tapedeck_deck.embedded.errors import DeckError

STDIN = "-"


def import_files(
    context: typer.Context,
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH…", help="Files, folders, patterns or URLs; - for standard input.")
    ],
    exchange: Annotated[str | None, typer.Option(help="Exchange id of the rows.")] = None,
    symbol: Annotated[str | None, typer.Option(help="Symbol of all files, such as BTC/USD.")] = None,
    interval: Annotated[str | None, typer.Option(help="Length of the bars, or of those made of trades.")] = None,
    kind: Annotated[str | None, typer.Option(help="bars or trades.")] = None,
    layout: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="A preset, such as binance-klines, or a YAML file with a layout."),
    ] = None,
    security_type: Annotated[
        str | None,
        typer.Option(help="That of LEAN's files outside its folders: equity, forex, cfd, crypto or cryptofuture."),
    ] = None,
    file_name: Annotated[
        str | None,
        typer.Option(metavar="PATTERN", help="How files are named: {symbol}-{interval}-{date}; {any} for other text."),
    ] = None,
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
    output: TextForm = "text",
    home: HomeOption = None,
) -> None:
    """Import files of any layout into the store.

    CSV, JSON, Parquet, Arrow; compressed or in archives. What the files hold is recognized, shown, and read by a Feed.
    Options are needed only where a file does not say it. Exits 0 only if the rows are in the store.

    \b
    Examples:
      tapedeck import BTCUSDT-1m-2024-12.zip
      tapedeck import ~/data --exchange mine --yes
      tapedeck import https://data.binance.vision/data/spot/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2024-01.zip
      tapedeck import prices.csv --symbol BTC/USD --zone America/New_York --dry-run
    """
    from rich.console import Console

    from tapedeck_deck.cli.imports import paths as found_paths
    from tapedeck_deck.cli.imports.download import is_url
    from tapedeck_deck.cli.imports.import_files import Import, parse_columns
    from tapedeck_deck.cli.imports.own_layout import layout_fields
    from tapedeck_deck.inspection.options import declared, default_layout

    given: dict[str, Any] = {
        "exchange": exchange, "symbol": symbol, "interval": interval,
        "kind": kind, "securityType": security_type, "fileName": file_name,
        "delimiter": {"tab": "\t", "\\t": "\t"}.get(delimiter or "", delimiter),
        "decimal": decimal, "thousands": thousands, "encoding": encoding, "scale": scale, "adjust": adjust or None,
        "unit": unit, "timeFormat": time_format, "zone": zone, "stamp": stamp,
        "columns": parse_columns(columns, mapping or []) or None,
    }  # fmt: skip
    own = layout_fields(layout or default_layout(given))
    if write is not None and any(map(is_url, paths)):
        raise typer.BadParameter("got a URL, expected files of this machine beside --write", param_hint="PATH")
    with ExitStack() as stack:
        names = [str(stack.enter_context(found_paths.standard_input())) if path == STDIN else path for path in paths]
        if any(map(is_url, names)):
            names = _downloaded(names, stack)
        work = Import(
            home=resolve_home(home or context.obj),
            listed=found_paths.listed(names),
            declared=declared(given, own),
            console=Console(stderr=True),
        )
        looked = work.look()
        text = work.described(looked, output)
        if dry_run or output in DOCUMENTS:
            print_text(text)
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
        print_note(work.run(looked)) if output in DOCUMENTS else print_text(work.run(looked))


def _downloaded(names: list[str], stack: ExitStack) -> list[str]:
    """The names with what URLs name in place of these, until the stack is closed."""
    import tempfile

    from tapedeck_deck.cli.imports.download import Download, is_url
    from tapedeck_deck.cli.progress import shown_progress

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tapedeck-download-")))
    with shown_progress("downloading") as show:
        download = Download(folder, lambda url, size: show(f"downloading {url}: {size / 2**20:,.0f} MB"))
        return [str(download.fetch(name)) if is_url(name) else name for name in names]


def _confirmed() -> bool:
    return sys.stdin.isatty() and ask("import with what is assumed?")
