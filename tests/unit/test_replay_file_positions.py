"""Files played from anywhere: the same records in the same order, though files can be read from their begin alone."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from tapedeck_common.market import Trade
from tapedeck_crds.base import Files
from tapedeck_crds.json import Json
from tapedeck_crds.scenario import Scenario
from tapedeck_crds.source import Synthetic
from tapedeck_replay.chunks import chunks_of
from tapedeck_replay.file_source import FileSource
from tapedeck_replay.file_trades import FileTrades
from tapedeck_replay.scenario.source import ScenarioSource
from tapedeck_replay.synthetic.source import SyntheticSource
from tapedeck_replay.tape import BadInput, Rows, Tape

SYMBOLS = ("A/USD", "B/USD")
PLACES = (0.0, 0.01, 0.4, 0.77, 1.0)


def files(format_: str) -> Files:
    sets = [{"symbol": symbol, "path": f"{symbol[0]}.csv"} for symbol in SYMBOLS]
    return Files.model_validate({"format": format_, "exchange": "x", "interval": "1m", "sets": sets}, by_alias=True)


def market(bars: int) -> SyntheticSource:
    spec = {"symbols": [{"symbol": symbol} for symbol in SYMBOLS], "bars": bars, "interval": "1m", "seed": 5}
    return SyntheticSource(Synthetic.model_validate(spec, by_alias=True, by_name=False))


def in_files(source: SyntheticSource, folder: Path) -> FileSource:
    """The same bars in files."""
    tape = source.resolve()
    lines: dict[int, list[str]] = {0: ["ts,open,high,low,close,volume"], 1: ["ts,open,high,low,close,volume"]}
    for block in source.blocks(tape, None):
        columns = (block.ts, block.open, block.high, block.low, block.close, block.volume)
        for series, *row in zip(*(column.tolist() for column in (block.series, *columns)), strict=True):
            lines[series].append(",".join(map(repr, row)))
    for series, symbol in enumerate(SYMBOLS):
        (folder / f"{symbol[0]}.csv").write_text("\n".join(lines[series]))
    return FileSource(files("csv"), folder, None, lambda: None)


def values(blocks: Iterator[Rows], tape: Tape) -> list[Any]:
    """Place in the order and value, but for the exchange, of each record."""
    chunks = [chunk for block in blocks for chunk in chunks_of(block, tape)]
    return [
        (chunk.events[i], chunk.ids[i], chunk.values[i].partition(b'"symbol"')[2])
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
    ids=["as it was", "shuffle", "much"],
)
def test_bars_of_files_are_those_in_memory_from_wherever_they_are_read(tmp_path: Path, scenario: list[Json]) -> None:
    inner = market(6_000)
    changes = TypeAdapter(Scenario).validate_python(scenario, by_alias=True, by_name=False) if scenario else []
    ours = ScenarioSource(in_files(inner, tmp_path), changes)
    theirs = ScenarioSource(inner, changes)
    tape, other = ours.resolve(), theirs.resolve()
    assert (tape.symbols, tape.start, tape.end, tape.rows_of) == (other.symbols, other.start, other.end, other.rows_of)
    whole = values(ours.blocks(tape, None), tape)
    assert whole == values(theirs.blocks(other, None), other)
    assert len(whole) == tape.rows
    dues = [due for due, *_ in whole]
    for part in PLACES:
        v = tape.start + int((tape.end - tape.start) * part)
        assert ours.count(tape, v) == bisect_right(dues, v)
        rest = values(ours.blocks(tape, tape.after_event(v)), tape)
        assert rest == whole[bisect_right(dues, v) :]
        assert rest == values(theirs.blocks(other, other.after_event(v)), other)


def test_files_are_read_through_once_more_whatever_is_sought(tmp_path: Path) -> None:
    ours = in_files(market(6_000), tmp_path)
    tape = ours.resolve()
    whole = values(ours.blocks(tape, None), tape)
    middle = tape.start + 3_000 * tape.step
    assert ours.count(tape, middle) == 6_000
    for path in tmp_path.iterdir():
        path.unlink()
    assert ours.count(tape, tape.start + 10 * tape.step) == 20
    assert values(ours.blocks(tape, tape.after_event(middle)), tape) == whole[6_000:]
    assert values(ours.blocks(tape, None), tape) == whole


def test_trades_of_files_from_wherever_they_are_read(tmp_path: Path) -> None:
    rng = random.Random(8)
    trades: list[Trade] = []
    for number in range(8, 12_008):  # many of one millisecond; 10 comes behind 9
        ts = trades[-1].ts + rng.choice([0, 0, 0, 1, 40]) if trades else 1_522_800_000_000
        trades.append(Trade("x", rng.choice(SYMBOLS), ts, str(number), rng.uniform(9, 11), rng.uniform(1, 2), "buy"))
    for symbol in SYMBOLS:
        rows = [f"{t.ts},{t.id},{t.price!r},{t.amount!r},{t.side}" for t in trades if t.symbol == symbol]
        (tmp_path / f"{symbol[0]}.csv").write_text("\n".join(["ts,id,price,amount,side", *rows]))
    source = FileTrades(files("csv-trades"), tmp_path, None, lambda: None)
    tape = source.resolve()
    ordered = sorted(trades, key=lambda t: (t.ts, t.symbol, int(t.id)))

    def ids(blocks: Iterator[Rows]) -> list[Any]:
        return [id_ for block in blocks for chunk in chunks_of(block, tape) for id_ in chunk.ids]

    assert ids(source.blocks(tape, None)) == [t.id for t in ordered]
    for place in (0, 1, 5_000, 11_998):
        last = ordered[place]
        behind = tape.after_bar((last.ts, "x", last.symbol, "", last.id))
        assert ids(source.blocks(tape, behind)) == [t.id for t in ordered[place + 1 :]]
        assert source.count(tape, last.ts) == sum(t.ts <= last.ts for t in trades)
        assert ids(source.blocks(tape, tape.after_event(last.ts))) == [t.id for t in ordered if t.ts > last.ts]


@pytest.mark.parametrize("scenario", [[], [{"shuffle": {"seconds": 43_200}, "seed": 3}]], ids=["as it was", "shuffle"])
def test_a_successor_plays_the_same_files_alone(tmp_path: Path, scenario: list[Json]) -> None:
    changes = TypeAdapter(Scenario).validate_python(scenario, by_alias=True, by_name=False) if scenario else []
    first = ScenarioSource(in_files(market(6_000), tmp_path), changes)
    tape = first.resolve()
    whole = values(first.blocks(tape, None), tape)
    path = tmp_path / "A.csv"
    text = path.read_text()

    def successor() -> ScenarioSource:
        source = ScenarioSource(FileSource(files("csv"), tmp_path, None, lambda: None), changes)
        source.resume(tape)
        return source

    path.write_text(f"{text}\n{tape.end},7,8,6,7,1\nnot a bar yet")  # behind the end more may come
    assert values(successor().blocks(tape, None), tape) == whole
    rows = text.splitlines()
    for changed, says in {
        "\n".join([*rows[:3_000], *rows[3_001:]]): "A/USD: had 6000:",
        text.replace(rows[5_000], f"{rows[5_000].rpartition(',')[0]},123.5"): "A/USD: had 6000:",
        "\n".join([*rows[:9], rows[8], *rows[9:]]): "repeats that of",
        rows[0]: "without a bar of A/USD",
    }.items():
        path.write_text(changed)
        with pytest.raises(BadInput, match="no longer hold what this Replay began with") as caught:
            successor()
        assert caught.value.reason == "DataChanged"
        assert says in str(caught.value)
