"""What the recorder is told: which other stores take the same records."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from tapedeck_crds.base import Model

SinkRecords = Literal["bars", "tickers", "trades", "points", "results"]
EVERYTHING: tuple[SinkRecords, ...] = ("bars", "tickers", "trades", "points", "results")
_EXPECTED = "expected an address like http://influxdb:8086/write?db=tapedeck or http://questdb:9000/write"


def _checked_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment or not text.isascii():
        raise ValueError(_EXPECTED)
    if parts.port == 0 or any(character.isspace() for character in text):
        raise ValueError(_EXPECTED)
    if "@" in parts.netloc:
        raise ValueError("expected an address without user and password: they come as the file authorization")
    return text


class SinkOptions(Model):
    """Another store that takes InfluxDB's line protocol over HTTP: InfluxDB, QuestDB and what speaks as they do.

    Bars, tickers and trades become the measurements `bars`, `tickers` and `trades`, what transforms result in
    `points`, runs `run_equity` and `run_trades`. Times are nanoseconds: those of trades, and of what a run made, carry
    the id's or number's last six digits, so that several of one millisecond are points of their own. Each record is
    delivered at least once, in the log's order. Writing it again changes nothing where points with the same tags and
    time replace one another: InfluxDB does so by itself, QuestDB for tables with DEDUP UPSERT KEYS
    (examples/questdb.sql). The last of several revisions of a bar stays.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")] = Field(
        description="Names the sink's position on the log too: under another name it gets all that the log has."
    )
    url: Annotated[str, AfterValidator(_checked_url), Field(max_length=1000)] = Field(
        description="Where points are posted to, with what the store wants to know in the query: "
        "http://influxdb:8086/write?db=tapedeck, http://influxdb:8086/api/v2/write?org=o&bucket=b, "
        "http://questdb:9000/write."
    )
    records: Annotated[tuple[SinkRecords, ...], Field(min_length=1, max_length=5, strict=False)] = Field(
        default=EVERYTHING,
        description="What it gets: bars, tickers, trades, points of transforms, results of backtests.",
    )


def _named_once(sinks: tuple[SinkOptions, ...]) -> tuple[SinkOptions, ...]:
    names = [sink.name for sink in sinks]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"expected each name once; repeated: {', '.join(repeated)}")
    return sinks


class RecorderOptions(Model):
    """The JSON of the recorder's `TAPEDECK_SPEC`."""

    sinks: Annotated[tuple[SinkOptions, ...], AfterValidator(_named_once), Field(max_length=8, strict=False)] = Field(
        default=(), description="Other stores that take what the recorder writes."
    )
