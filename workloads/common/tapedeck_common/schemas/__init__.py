"""The published JSON Schemas of all records on the log, generated from the types."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from tapedeck_common.market import Bar, Point, Ticker, Trade
from tapedeck_common.records import IngestRecord, ResultRecord
from tapedeck_common.wire import ControlRecord

FOLDER = Path(__file__).resolve().parent
PUBLISHED: dict[str, object] = {
    "bar": Bar,
    "trade": Trade,
    "ticker": Ticker,
    "point": Point,
    "ingest": IngestRecord,
    "result": ResultRecord,
    "replay-control": ControlRecord,
}


def rendered() -> dict[Path, str]:
    """Path → text of each schema."""
    return {
        FOLDER / f"{name}.json": json.dumps(
            {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(kind)}, indent=2
        )
        + "\n"
        for name, kind in PUBLISHED.items()
    }


def stale() -> list[Path]:
    """Paths of the schemas that differ from the types."""
    return [path for path, text in rendered().items() if not path.exists() or path.read_text() != text]
