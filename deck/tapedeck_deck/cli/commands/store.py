"""The commands on the rows of the store: list, query, export and remove them."""

from __future__ import annotations

import signal
import sys
from typing import Annotated, cast, get_args

import typer

from tapedeck_deck.cli.completion import complete_backtest, complete_exported, complete_words
from tapedeck_deck.cli.context import HomeOption, resolve_home
from tapedeck_deck.cli.output import DOCUMENTS, NAME, WIDE, ObjectForm, RowsForm, as_text, print_lines
from tapedeck_deck.cli.printing import print_text
from tapedeck_deck.interruption import interruptible

FromOption = Annotated[
    str | None, typer.Option("--from", metavar="TIME", help="First time: a day, or a time with a UTC offset.")
]
ToOption = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Exclusive last time.")]


def sql(
    context: typer.Context,
    statement: Annotated[str, typer.Argument(metavar="STATEMENT", help="One statement that reads, or - for stdin.")],
    output: RowsForm = "table",
    home: HomeOption = None,
) -> None:
    """Run one SQL statement that reads the store.

    It runs in a read-only transaction, and its rows are printed on arrival.

    \b
    Examples:
      tapedeck sql "SELECT symbol, count(*) FROM trades GROUP BY 1"
      tapedeck sql "SELECT ts, close FROM bars WHERE symbol = 'BTC/USD' ORDER BY ts" -o csv > closes.csv
      tapedeck sql - -o json < report.sql
    """
    from tapedeck_deck.cli import sql as printing
    from tapedeck_deck.cli.store_query import reader_dsn

    text = sys.stdin.read() if statement == "-" else statement
    printing.run_sql(reader_dsn(resolve_home(home or context.obj)), text, output)


def psql(
    context: typer.Context,
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[ARGUMENTS]", help="Arguments of psql, behind --.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Open PostgreSQL's shell on the store, as a reader.

    It is psql, or a small prompt where there is none.

    \b
    Examples:
      tapedeck psql
      tapedeck psql -- -c '\\d bars'
    """
    from tapedeck_deck.cli import psql as shell
    from tapedeck_deck.cli.store_query import reader_dsn

    shell.open_shell(reader_dsn(resolve_home(home or context.obj)), arguments or [])


def symbols(
    context: typer.Context,
    exchange: Annotated[str | None, typer.Option(metavar="EXCHANGE", help="Only series of this exchange.")] = None,
    interval: Annotated[str | None, typer.Option(metavar="INTERVAL", help="Only bars of this interval.")] = None,
    output: ObjectForm = "table",
    home: HomeOption = None,
) -> None:
    """List the series of the store.

    Rows, first, last, what is missing between them, and how whole they are, which -o wide draws in blocks, as a
    terminal does. -o name has exchange, symbol, and interval or trades.

    \b
    Bars are counted on the grid of their interval; of a market with a session, trading days without a bar are
    (holidays, too). Of trades those are missing whose ids are; their coverage is that of hours with a trade.
    """
    from tapedeck_deck.cli import symbols as listing
    from tapedeck_deck.cli.store_query import reader_dsn

    found = listing.stored_series(reader_dsn(resolve_home(home or context.obj)), exchange, interval)
    if output in DOCUMENTS:
        print_text(as_text(listing.series_json(found), output))
    elif output == NAME:
        print_lines(listing.series_names(found))
    else:
        print_lines(listing.series_lines(found, blocks=output == WIDE or sys.stdout.isatty()))


def export(
    context: typer.Context,
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help="bars, trades, tickers, points, runs, run-trades, run-equity, gaps or errors.",
            autocompletion=complete_exported,
        ),
    ],
    exchange: Annotated[str | None, typer.Option(metavar="EXCHANGE", help="Only rows of this exchange.")] = None,
    symbol: Annotated[
        list[str] | None,
        typer.Option(metavar="SYMBOL", help="Only rows of this symbol; several by commas or repeated."),
    ] = None,
    interval: Annotated[str | None, typer.Option(metavar="INTERVAL", help="Only bars of this interval.")] = None,
    start: FromOption = None,
    end: ToOption = None,
    run: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="The id of a run, or the name of its Backtest (its last run).",
            autocompletion=complete_backtest,
        ),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="csv, jsonl, parquet, arrow, freqtrade, lean or backtrader; default: by the file's suffix, else csv.",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE|FOLDER|URL|-", help="Default: standard output for csv and jsonl."),
    ] = None,
    partition: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES", help="A folder of Parquet files by these columns and by year, month or day: symbol,month."
        ),
    ] = None,
    home: HomeOption = None,
) -> None:
    """Write rows of the store for other programs.

    As of one moment, streamed, with every digit.

    \b
    Examples:
      tapedeck export bars --exchange coinbase --symbol BTC/USD --interval 1m > btc.csv
      tapedeck export bars --exchange coinbase -o bars --partition symbol,month
      tapedeck export trades --from 2018-04-04 --to 2018-04-05 -o trades.parquet
      tapedeck export run-trades --run sma-cross --format jsonl
      tapedeck export bars --exchange binance --format freqtrade -o user_data/data
      tapedeck export bars --exchange coinbase -o s3://bucket/bars --partition symbol,month
    A file appears when it is whole. Exits 1 where no row matches.
    """

    from tapedeck_deck.cli.exports.export import export as export_rows
    from tapedeck_deck.cli.exports.request import parse_request
    from tapedeck_deck.cli.exports.selection import ExportSelection
    from tapedeck_deck.cli.moments import range_ms
    from tapedeck_deck.cli.store_query import reader_dsn

    symbols = tuple(name for text in symbol or [] for name in text.split(",") if name) or None
    selection = ExportSelection(exchange, symbols, interval, run, *range_ms(start, end))
    names = [name for name in (partition or "").split(",") if name]
    request = parse_request(kind, selection, form, output, names)
    with interruptible(signal.SIGTERM):  # removes unfinished files
        export_rows(reader_dsn(resolve_home(home or context.obj)), request)


def rm(
    context: typer.Context,
    kind: Annotated[
        str,
        typer.Argument(metavar="bars|trades", help="What to remove.", autocompletion=complete_words("bars", "trades")),
    ],
    exchange: Annotated[str, typer.Option(metavar="EXCHANGE", help="The exchange of the series.")],
    symbol: Annotated[str, typer.Option(metavar="SYMBOL", help="The symbol of the series.")],
    interval: Annotated[
        str | None, typer.Option(metavar="INTERVAL", help="Interval of the bars; all if omitted.")
    ] = None,
    start: FromOption = None,
    end: ToOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove them without a question.")] = False,
    home: HomeOption = None,
) -> None:
    """Remove stored bars or trades. It says which, and asks first.

    \b
    Examples:
      tapedeck rm bars --exchange coinbase --symbol BTC/USD --interval 1m --from 2018-04-04 --to 2018-04-05
      tapedeck rm trades --exchange binance --symbol BTC/USDT --yes
    """
    from tapedeck_common.store.removal import RemovedTable, RowSelection
    from tapedeck_crds.intervals import BAR_LENGTHS
    from tapedeck_deck.cli.moments import range_ms
    from tapedeck_deck.cli.removal import remove

    if kind not in get_args(RemovedTable):
        raise typer.BadParameter(f"got {kind!r}, expected bars or trades", param_hint="bars|trades")
    if interval is not None and kind == "trades":
        raise typer.BadParameter("got it beside trades, which have none", param_hint="--interval")
    if interval is not None and interval not in BAR_LENGTHS:
        raise typer.BadParameter(f"got {interval!r}, expected one of {', '.join(BAR_LENGTHS)}", param_hint="--interval")
    selection = RowSelection(cast(RemovedTable, kind), exchange, symbol, interval, *range_ms(start, end))
    remove(resolve_home(home or context.obj), selection, confirmed=yes)
