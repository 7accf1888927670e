"""The example of a stock on a deck: a strategy by weekday trades at the opens of Mondays and Tuesdays in New York."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

import psycopg
import yaml

from decks.process import Deck, eventually, reaches
from tapedeck_deck.cli import changes
from tapedeck_deck.embedded import documents

EXAMPLE = Path(__file__).parents[3] / "examples" / "more" / "stock.yaml"


def test_a_strategy_by_weekday_trades_daily_bars_of_a_stock(shared_deck: Deck) -> None:
    _, facts, objects = shared_deck
    changes.apply(objects, documents.read([str(EXAMPLE)]), "default")
    reaches(objects, "Backtest", "acme-weekend", "Complete", timeout=90)
    status = objects.get("Backtest", "default", "acme-weekend")["status"]
    assert (status["bars"], status["trades"]) == (30, 5)
    rows = list(csv.DictReader(next(yaml.safe_load_all(EXAMPLE.read_text()))["data"]["acme.csv"].splitlines()))
    opens = {date.fromisoformat(row["ts"][:10]): float(row["open"]) for row in rows}
    wanted = [opens[day] for day in sorted(opens) if day.weekday() in (0, 1)][2:]  # none before the first Friday

    def filled() -> list[float]:
        query = "SELECT price FROM run_fills JOIN runs USING (run_id) WHERE name = 'acme-weekend' ORDER BY seq"
        with psycopg.connect(facts["dsn"]) as connection:
            return [price for (price,) in connection.execute(query)]

    assert eventually(lambda: len(found := filled()) == len(wanted) and found) == wanted
