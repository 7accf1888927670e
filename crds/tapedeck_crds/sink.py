"""Options of the recorder: other stores to deliver the same records to."""

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
        raise ValueError("expected an address without user and password: put them into the file authorization")
    return text


class SinkOptions(Model):
    """Another store that accepts InfluxDB's line protocol over HTTP, such as InfluxDB and QuestDB.

    Bars, tickers and trades become the measurements `bars`, `tickers` and `trades`, results of transforms `points`, and
    runs `run_equity` and `run_trades`. Times are nanoseconds. Times of trades and of a run's results end in the last
    six digits of the id or number, to keep several of one millisecond apart. Each record is delivered at least once, in
    the order of the log. A repeated delivery changes nothing where points with the same tags and time replace one
    another: InfluxDB does so by itself, QuestDB for tables with DEDUP UPSERT KEYS (examples/questdb.sql). Of several
    revisions of a bar the last one remains.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")] = Field(
        description="Name of the sink, and of its position on the log: under a new name it gets the whole log."
    )
    url: Annotated[str, AfterValidator(_checked_url), Field(max_length=1000)] = Field(
        description="The URL to post points to, with the parameters of the store: "
        "http://influxdb:8086/write?db=tapedeck, http://influxdb:8086/api/v2/write?org=o&bucket=b, "
        "http://questdb:9000/write."
    )
    records: Annotated[tuple[SinkRecords, ...], Field(min_length=1, max_length=5, strict=False)] = Field(
        default=EVERYTHING,
        description="Records to deliver: bars, tickers, trades, points of transforms, results of backtests.",
    )


def _named_once(sinks: tuple[SinkOptions, ...]) -> tuple[SinkOptions, ...]:
    names = [sink.name for sink in sinks]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"expected each name once; repeated: {', '.join(repeated)}")
    return sinks


class RecorderOptions(Model):
    """The spec of the recorder (`TAPEDECK_SPEC`)."""

    sinks: Annotated[tuple[SinkOptions, ...], AfterValidator(_named_once), Field(max_length=8, strict=False)] = Field(
        default=(), description="Other stores that get the records of the recorder."
    )
