"""Files read from any position give the same records in the same order, though files are read from their beginning."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from tapedeck_common.files import FilesAccess
from tapedeck_common.market import Trade
from tapedeck_crds.files import Files
from tapedeck_crds.json import Json
from tapedeck_crds.scenario import Scenario
from tapedeck_crds.source import Synthetic
from tapedeck_replay.errors import InvalidReplay
from tapedeck_replay.playback.chunks import encode_chunks
from tapedeck_replay.scenario.source import ScenarioSource
from tapedeck_replay.source.dataset import Dataset, RecordBlock
from tapedeck_replay.source.files.source import FileBarSource, FileTradeSource
from tapedeck_replay.source.synthetic.source import SyntheticSource

pytestmark = pytest.mark.slow

SYMBOLS = ("A/USD", "B/USD")
FRACTIONS = (0.0, 0.01, 0.4, 0.77, 1.0)


def files() -> Files:
    sets = [{"symbol": symbol, "path": f"{symbol[0]}.csv"} for symbol in SYMBOLS]
    return Files.model_validate({"exchange": "x", "interval": "1m", "sets": sets}, by_alias=True)


def market(bars: int) -> SyntheticSource:
    spec = {"symbols": [{"symbol": symbol} for symbol in SYMBOLS], "bars": bars, "interval": "1m", "seed": 5}
    return SyntheticSource(Synthetic.model_validate(spec, by_alias=True, by_name=False))


def written_to_files(source: SyntheticSource, folder: Path) -> FileBarSource:
    """A source of files with the same bars."""
    dataset = source.resolve()
    lines: dict[int, list[str]] = {0: ["ts,open,high,low,close,volume"], 1: ["ts,open,high,low,close,volume"]}
    for block in source.blocks(dataset, None):
        columns = (block.ts, block.open, block.high, block.low, block.close, block.volume)
        for series, *row in zip(*(column.tolist() for column in (block.series, *columns)), strict=True):
            lines[series].append(",".join(map(repr, row)))
    for series, symbol in enumerate(SYMBOLS):
        (folder / f"{symbol[0]}.csv").write_text("\n".join(lines[series]))
    return FileBarSource(files(), FilesAccess(folder), lambda: None)


def values(blocks: Iterator[RecordBlock], dataset: Dataset) -> list[Any]:
    """(event time, id, value without the exchange) of each record."""
    chunks = [chunk for block in blocks for chunk in encode_chunks(block, dataset)]
    return [
        (chunk.events[i], chunk.places[i], chunk.values[i].partition(b'"symbol"')[2])
        for chunk in chunks
        for i in range(len(chunk))
    ]


@pytest.mark.parametrize(
    "scenario",
    [
        [],
        [{"shuffle": {"seconds": 43_200}, "seed": 3}],
        [
            {"shuffle": {"seconds": 36_000, "replace": True}, "seed": 4},
            {"volatility": {"factor": 2}, "from": "2024-01-01T05:00:00Z"},
            {"outage": {"percent": 20}, "seed": 5},
            {"disorder": {"percent": 30, "bars": 5}, "seed": 6},
            {"duplicates": {"percent": 10}, "seed": 7},
        ],
    ],
    ids=["unchanged", "shuffle", "many changes"],
)
def test_bars_of_files_equal_those_in_memory_from_any_position(tmp_path: Path, scenario: list[Json]) -> None:
    inner = market(6_000)
    changes = TypeAdapter(Scenario).validate_python(scenario, by_alias=True, by_name=False) if scenario else []
    ours = ScenarioSource(written_to_files(inner, tmp_path), changes)
    theirs = ScenarioSource(inner, changes)
    dataset, other = ours.resolve(), theirs.resolve()
    assert (dataset.symbols, dataset.start, dataset.end, dataset.rows_by_symbol) == (
        other.symbols,
        other.start,
        other.end,
        other.rows_by_symbol,
    )
    whole = values(ours.blocks(dataset, None), dataset)
    assert whole == values(theirs.blocks(other, None), other)
    assert len(whole) == dataset.rows
    events = [event for event, *_ in whole]
    for part in FRACTIONS:
        v = dataset.start + int((dataset.end - dataset.start) * part)
        assert ours.count(dataset, v) == bisect_right(events, v)
        rest = values(ours.blocks(dataset, dataset.start_after_time(v)), dataset)
        assert rest == whole[bisect_right(events, v) :]
        assert rest == values(theirs.blocks(other, other.start_after_time(v)), other)


def test_files_are_copied_once_however_many_seeks(tmp_path: Path) -> None:
    ours = written_to_files(market(6_000), tmp_path)
    dataset = ours.resolve()
    whole = values(ours.blocks(dataset, None), dataset)
    middle = dataset.start + 3_000 * dataset.interval_ms
    assert ours.count(dataset, middle) == 6_000
    for path in tmp_path.iterdir():
        path.unlink()
    assert ours.count(dataset, dataset.start + 10 * dataset.interval_ms) == 20
    assert values(ours.blocks(dataset, dataset.start_after_time(middle)), dataset) == whole[6_000:]
    assert values(ours.blocks(dataset, None), dataset) == whole


def test_trades_of_files_from_any_position(tmp_path: Path) -> None:
    rng = random.Random(8)
    trades: list[Trade] = []
    for number in range(8, 12_008):  # many in one millisecond; id 10 sorts after 9
        ts = trades[-1].ts + rng.choice([0, 0, 0, 1, 40]) if trades else 1_522_800_000_000
        trades.append(Trade("x", rng.choice(SYMBOLS), ts, str(number), rng.uniform(9, 11), rng.uniform(1, 2), "buy"))
    for symbol in SYMBOLS:
        rows = [f"{t.ts},{t.id},{t.price!r},{t.amount!r},{t.side}" for t in trades if t.symbol == symbol]
        (tmp_path / f"{symbol[0]}.csv").write_text("\n".join(["ts,id,price,amount,side", *rows]))
    source = FileTradeSource(files(), FilesAccess(tmp_path), lambda: None)
    dataset = source.resolve()
    ordered = sorted(trades, key=lambda t: (t.ts, t.symbol, int(t.id)))

    def ids(blocks: Iterator[RecordBlock]) -> list[Any]:
        places: list[Any] = [
            place for block in blocks for chunk in encode_chunks(block, dataset) for place in chunk.places
        ]
        return [id_ for _, id_ in places]

    assert ids(source.blocks(dataset, None)) == [t.id for t in ordered]
    for place in (0, 1, 5_000, 11_998):
        last = ordered[place]
        after = dataset.start_after_record((last.ts, "x", last.symbol, "", (0, last.id)))
        assert ids(source.blocks(dataset, after)) == [t.id for t in ordered[place + 1 :]]
        assert source.count(dataset, last.ts) == sum(t.ts <= last.ts for t in trades)
        assert ids(source.blocks(dataset, dataset.start_after_time(last.ts))) == [
            t.id for t in ordered if t.ts > last.ts
        ]


@pytest.mark.parametrize("scenario", [[], [{"shuffle": {"seconds": 43_200}, "seed": 3}]], ids=["unchanged", "shuffle"])
def test_a_successor_only_plays_unchanged_files(tmp_path: Path, scenario: list[Json]) -> None:
    changes = TypeAdapter(Scenario).validate_python(scenario, by_alias=True, by_name=False) if scenario else []
    first = ScenarioSource(written_to_files(market(6_000), tmp_path), changes)
    dataset = first.resolve()
    whole = values(first.blocks(dataset, None), dataset)
    path = tmp_path / "A.csv"
    text = path.read_text()

    def successor() -> ScenarioSource:
        source = ScenarioSource(FileBarSource(files(), FilesAccess(tmp_path), lambda: None), changes)
        source.resume(dataset)
        return source

    path.write_text(f"{text}\n{dataset.end},7,8,6,7,1\nnot a bar yet")  # rows may be appended after the end
    assert values(successor().blocks(dataset, None), dataset) == whole
    rows = text.splitlines()
    path.write_text("\n".join([*rows[:9], rows[8], rows[10], rows[9], *rows[11:]]))  # a repeat, and another order
    assert values(successor().blocks(dataset, None), dataset) == whole
    for changed, message in {
        "\n".join([*rows[:3_000], *rows[3_001:]]): "A/USD: had 6000:",
        text.replace(rows[5_000], f"{rows[5_000].rpartition(',')[0]},123.5"): "A/USD: had 6000:",
        rows[0]: "without bars of A/USD",
    }.items():
        path.write_text(changed)
        with pytest.raises(InvalidReplay, match="got other records than this Replay started with") as caught:
            successor()
        assert caught.value.reason == "DataChanged"
        assert message in str(caught.value)
