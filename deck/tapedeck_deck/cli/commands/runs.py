"""The commands for backfills, strategies and repeated runs."""

from __future__ import annotations

from typing import Annotated

import typer

from tapedeck_deck.cli.completion import complete_backtest
from tapedeck_deck.cli.context import (
    FilesOption,
    HomeOption,
    NamespaceOption,
    note_if_not_running,
    open_objects,
    resolve_home,
)
from tapedeck_deck.cli.output import DOCUMENTS, NAME, ListForm, TextForm, as_text
from tapedeck_deck.cli.printing import print_note, print_text

RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="The id of a run, or the name of its Backtest (its last run).",
        autocompletion=complete_backtest,
    ),
]


def fetch(
    context: typer.Context,
    exchange: Annotated[
        list[str],
        typer.Option(metavar="EXCHANGE", help="Ids of exchanges of ccxt, or cryptocompare; by commas or repeated."),
    ],
    symbols: Annotated[
        list[str] | None,
        typer.Option(metavar="SYMBOL", help="Unified symbols or patterns, by commas or repeated; * for all."),
    ] = None,
    start: Annotated[
        str | None, typer.Option(metavar="TIME", help="First open time: a day, or a time with a UTC offset.")
    ] = None,
    last: Annotated[
        str | None, typer.Option(metavar="LENGTH", help="In place of --start: 90m, 12h, 30d, 4w or 1y before the end.")
    ] = None,
    end: Annotated[str | None, typer.Option(metavar="TIME", help="Exclusive last open time; default: now.")] = None,
    interval: Annotated[list[str] | None, typer.Option(help="Interval of the bars (repeatable); default: 1m.")] = None,
    pods: Annotated[int, typer.Option(min=1, max=64, help="Number of pods that share the range.")] = 1,
    rest: Annotated[
        str | None, typer.Option(metavar="URL", help="Base URL of the REST API instead of the exchange's own.")
    ] = None,
    key_secret: Annotated[str | None, typer.Option(metavar="NAME", help="Secret with the exchange's apiKey.")] = None,
    output: TextForm = "text",
    home: HomeOption = None,
) -> None:
    """Download bars from exchanges into the store, newest first. Stored bars are not downloaded again.

    \b
    Without --symbols, list the symbols that the exchanges have.
    Before a download begins it says how many requests and how long it takes at the exchange's rate limit.

    \b
    Examples:
      tapedeck fetch --exchange kraken
      tapedeck fetch --exchange binance --symbols BTC/USDT,ETH/USDT --last 30d
      tapedeck fetch --exchange kraken,coinbase --symbols '*/USD' --start 2024-01-01 --end 2024-02-01 --interval 1h
    """
    from rich.console import Console

    from tapedeck_deck.cli import fetch as backfill
    from tapedeck_deck.cli.offers import summary, symbol_lines

    deck_home = resolve_home(home or context.obj)
    connection = backfill.ExchangeAccess(rest, key_secret)
    if not symbols:
        if start or last or end:
            raise typer.BadParameter("expected symbols beside a range; * for all", param_hint="--symbols")
        offers = backfill.list_offers(deck_home, exchange, connection)
        for offer in offers:
            print_note(summary(offer))
        print_text(as_text(offers, output) if output in DOCUMENTS else "\n".join(symbol_lines(offers)))
        return
    span = backfill.parse_range(start, last, end, backfill.now())
    specs = backfill.fetch_specs(exchange, symbols, span, interval or ["1m"], pods, connection)
    found = backfill.fetch(deck_home, specs, Console(stderr=True))
    print_text(as_text(found, output) if output in DOCUMENTS else "\n".join(each["message"] for each in found))


def rerun(
    context: typer.Context,
    run: RunArgument,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for the end of the run.")] = 600.0,
    output: TextForm = "text",
    home: HomeOption = None,
) -> None:
    """Repeat a stored run and compare data, code and trades. Exits 1 if the trades differ.

    \b
    Examples:
      tapedeck rerun sma-cross
    """
    from tapedeck_deck.cli.rerun import rerun as run_again

    outcome = run_again(resolve_home(home or context.obj), run, timeout)
    print_text(as_text(outcome, output) if output in DOCUMENTS else "\n".join(outcome["differences"]))
    if not outcome["same_trades"]:
        raise typer.Exit(1)


def report(
    context: typer.Context,
    run: RunArgument,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="The file to write, or - for standard output.")
    ] = "report.html",
    home: HomeOption = None,
) -> None:
    """Save the report of a run as one file of HTML.

    It opens without a server.

    \b
    Examples:
      tapedeck report sma-cross
      tapedeck report sma-cross -o april.html
    """
    from tapedeck_deck.cli.report import save_report

    run_id = save_report(resolve_home(home or context.obj), run, output)
    if output != "-":
        print_note(f"the report of run {run_id} is in {output}")


def check(
    context: typer.Context,
    filename: FilesOption,
    namespace: NamespaceOption = "default",
    output: TextForm = "text",
    home: HomeOption = None,
) -> None:
    """Check strategies for look-ahead and start-up bias.

    Those of Backtests in files; nothing is stored.

    \b
    lookAhead  orders that change when later bars are removed
    startUp    indicators that depend on the number of earlier bars
    Each check uses the first 20,000 stored bars of a Backtest's data.store. Exits 1 if a bias is found.
    """
    from tapedeck_deck.cli.sources import read_sources
    from tapedeck_deck.cli.strategies import check_strategies

    deck_home = resolve_home(home or context.obj)
    with open_objects(deck_home) as objects:
        note_if_not_running(deck_home)
        found = check_strategies(objects, read_sources("check", filename), namespace)
    if output in DOCUMENTS:
        facts = ((name, each.state, each.reason, each.message) for name, each in found.items())
        print_text(
            as_text([dict(zip(("name", "state", "reason", "message"), each, strict=True)) for each in facts], output)
        )
    else:
        print_text("\n".join(f"{name}: {each.message or each.reason}" for name, each in found.items()))
    if any(report.state == "failed" for report in found.values()):
        raise typer.Exit(1)


def strategies(output: ListForm = "text") -> None:
    """List the built-in strategies with their params and defaults."""
    from tapedeck_crds.builtin_strategies import builtin_strategies
    from tapedeck_deck.cli.strategies import strategies_text

    found = list(builtin_strategies())
    if output in DOCUMENTS:
        print_text(as_text(found, output))
    elif output == NAME:
        print_text("\n".join(strategy["name"] for strategy in found))
    else:
        print_text(strategies_text(found))
