"""An exchange's past, strategies, and runs again."""

from __future__ import annotations

from typing import Annotated

import typer

from tapedeck_deck.cli.session import FilesOption, HomeOption, NamespaceOption, home_of, note_if_down, opened


def fetch(
    context: typer.Context,
    exchange: Annotated[str, typer.Option(help="Id of an exchange of ccxt, or cryptocompare.")],
    symbols: Annotated[
        list[str], typer.Option(metavar="SYMBOL", help="Unified names or patterns, by commas or repeated; * for all.")
    ],
    start: Annotated[str, typer.Option(metavar="TIME", help="First open time: a day, or a time with an offset.")],
    end: Annotated[str | None, typer.Option(metavar="TIME", help="Open time to stop before; now if left out.")] = None,
    interval: Annotated[list[str] | None, typer.Option(help="Length of the bars (repeatable); 1m if left out.")] = None,
    pods: Annotated[int, typer.Option(min=1, max=64, help="Processes that share the range.")] = 1,
    rest: Annotated[str | None, typer.Option(metavar="URL", help="Another host for the exchange's own.")] = None,
    key_secret: Annotated[str | None, typer.Option(metavar="NAME", help="A Secret with the exchange's apiKey.")] = None,
    output: Annotated[str, typer.Option("--output", "-o", metavar="FORM", help="text or json.")] = "text",
    home: HomeOption = None,
) -> None:
    """Bring an exchange's past into the store, newest first. What is there already is not asked for again.

    \b
    Examples:
      tapedeck fetch --exchange binance --symbols BTC/USDT,ETH/USDT --start 2024-01-01
      tapedeck fetch --exchange kraken --symbols '*/EUR' --start 2024-01-01 --end 2024-02-01 --interval 1h -o json
    """
    import json

    from rich.console import Console

    from tapedeck_deck.cli import fetch as past

    if output not in ("text", "json"):
        raise typer.BadParameter(f"got {output!r}, expected text or json", param_hint="--output")
    spec = past.spec_of(exchange, symbols, start, end, interval or ["1m"], pods, rest, key_secret)
    found = past.fetch(home_of(home or context.obj), spec, Console(stderr=True))
    print(json.dumps(found, indent=2) if output == "json" else found["message"])


def rerun(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="The id of a run, or its Backtest's name (the last one).")],
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for the end.")] = 600.0,
    home: HomeOption = None,
) -> None:
    """Do a run again with what its record keeps of it, and compare. Exit 1 where the trades are not the same.

    \b
    Examples:
      tapedeck rerun sma-cross
    """
    from tapedeck_deck.cli.rerun import rerun as run_again

    if not run_again(home_of(home or context.obj), run, timeout):
        raise typer.Exit(1)


def check(
    context: typer.Context, filename: FilesOption, namespace: NamespaceOption = "default", home: HomeOption = None
) -> None:
    """Check the strategies of Backtests for look-ahead and for indicators that are not ready. Keeps nothing.

    \b
    lookAhead  orders that change when the bars after them are cut off
    startUp    indicators that depend on how many bars came before
    Each runs over the first 20,000 stored bars of a Backtest's data.store. Exit code 1 where something was found.
    """
    from tapedeck_deck.cli import check as checks
    from tapedeck_deck.embedded import documents

    deck_home = home_of(home or context.obj)
    with opened(deck_home) as objects:
        note_if_down(deck_home)
        found = checks.check(objects, documents.read(filename), namespace)
    for name, report in found.items():
        print(f"{name}: {report.message or report.reason}")
    if any(report.state == "failed" for report in found.values()):
        raise typer.Exit(1)


def strategies(
    output: Annotated[str, typer.Option("--output", "-o", metavar="FORM", help="text or json.")] = "text",
) -> None:
    """List the built-in strategies of a Backtest with their params and defaults."""
    import json

    from tapedeck_deck.cli import strategies as built_in

    if output not in ("text", "json"):
        raise typer.BadParameter(f"got {output!r}, expected text or json", param_hint="--output")
    found = built_in.listing()
    print(json.dumps(found, indent=2) if output == "json" else built_in.text(found))
