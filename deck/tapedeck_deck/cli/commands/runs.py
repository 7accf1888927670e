"""The commands for backfills, strategies and repeated runs."""

from __future__ import annotations

from typing import Annotated

import typer

from tapedeck_deck.cli.context import (
    FilesOption,
    HomeOption,
    NamespaceOption,
    note_if_not_running,
    open_objects,
    resolve_home,
)


def fetch(
    context: typer.Context,
    exchange: Annotated[str, typer.Option(help="The ccxt id of an exchange, or cryptocompare.")],
    symbols: Annotated[
        list[str],
        typer.Option(metavar="SYMBOL", help="Unified symbols or patterns, separated by commas or repeated; * for all."),
    ],
    start: Annotated[str, typer.Option(metavar="TIME", help="First open time: a day, or a time with a UTC offset.")],
    end: Annotated[str | None, typer.Option(metavar="TIME", help="Exclusive last open time; default: now.")] = None,
    interval: Annotated[list[str] | None, typer.Option(help="Interval of the bars (repeatable); default: 1m.")] = None,
    pods: Annotated[int, typer.Option(min=1, max=64, help="Number of pods that share the range.")] = 1,
    rest: Annotated[
        str | None, typer.Option(metavar="URL", help="Base URL of the REST API instead of the exchange's own.")
    ] = None,
    key_secret: Annotated[str | None, typer.Option(metavar="NAME", help="Secret with the exchange's apiKey.")] = None,
    output: Annotated[str, typer.Option("--output", "-o", metavar="FORM", help="text or json.")] = "text",
    home: HomeOption = None,
) -> None:
    """Download bars from an exchange into the store, newest first. Stored bars are not downloaded again.

    \b
    Examples:
      tapedeck fetch --exchange binance --symbols BTC/USDT,ETH/USDT --start 2024-01-01
      tapedeck fetch --exchange kraken --symbols '*/EUR' --start 2024-01-01 --end 2024-02-01 --interval 1h -o json
    """
    import json

    from rich.console import Console

    from tapedeck_deck.cli import fetch as backfill

    if output not in ("text", "json"):
        raise typer.BadParameter(f"got {output!r}, expected text or json", param_hint="--output")
    spec = backfill.fetch_spec(exchange, symbols, start, end, interval or ["1m"], pods, rest, key_secret)
    found = backfill.fetch(resolve_home(home or context.obj), spec, Console(stderr=True))
    print(json.dumps(found, indent=2) if output == "json" else found["message"])


def rerun(
    context: typer.Context,
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="The id of a run, or the name of its Backtest (its last run).")
    ],
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for the end of the run.")] = 600.0,
    home: HomeOption = None,
) -> None:
    """Repeat a stored run and compare data, code and trades. Exits 1 if the trades differ.

    \b
    Examples:
      tapedeck rerun sma-cross
    """
    from tapedeck_deck.cli.rerun import rerun as run_again

    if not run_again(resolve_home(home or context.obj), run, timeout):
        raise typer.Exit(1)


def check(
    context: typer.Context, filename: FilesOption, namespace: NamespaceOption = "default", home: HomeOption = None
) -> None:
    """Check the strategies of Backtests for look-ahead and start-up bias. Stores nothing.

    \b
    lookAhead  orders that change when later bars are removed
    startUp    indicators that depend on the number of earlier bars
    Each check uses the first 20,000 stored bars of a Backtest's data.store. Exits 1 if a bias is found.
    """
    from tapedeck_deck.cli.strategies import check_strategies
    from tapedeck_deck.embedded import documents

    deck_home = resolve_home(home or context.obj)
    with open_objects(deck_home) as objects:
        note_if_not_running(deck_home)
        found = check_strategies(objects, documents.read(filename), namespace)
    for name, report in found.items():
        print(f"{name}: {report.message or report.reason}")
    if any(report.state == "failed" for report in found.values()):
        raise typer.Exit(1)


def strategies(
    output: Annotated[str, typer.Option("--output", "-o", metavar="FORM", help="text or json.")] = "text",
) -> None:
    """List the built-in strategies with their params and defaults."""
    import json

    from tapedeck_deck.cli.strategies import built_in_strategies, strategies_text

    if output not in ("text", "json"):
        raise typer.BadParameter(f"got {output!r}, expected text or json", param_hint="--output")
    found = built_in_strategies()
    print(json.dumps(found, indent=2) if output == "json" else strategies_text(found))
