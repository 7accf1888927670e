"""Bars that stay columns up to the log are the bars that are read row by row: the same records, byte for byte."""

from __future__ import annotations

import random
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Event
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from file_rows import encoded_items
from tapedeck_common.files import (
    FilesAccess,
    InvalidFiles,
    InvalidRow,
    StrictReader,
    ValidBlock,
    count_out_of_order,
    deduplicate,
    external_sort,
    find_files,
    kind_of,
    single_rows,
)
from tapedeck_common.files.layouts import records, row_symbols
from tapedeck_common.files.layouts.records import RowReader
from tapedeck_common.files.row_counts import Counted, NumberSet, count_rows
from tapedeck_common.files.source_rows import FileSeries
from tapedeck_common.files.tables import delimited
from tapedeck_common.files.tables.table import ColumnBatch
from tapedeck_common.market import Bar
from tapedeck_common.settings import Connections
from tapedeck_crds.files import Files, Kind
from tapedeck_crds.report import FeedReport
from tapedeck_feed.from_files.importer import FileImporter, NoRowTaken
from tapedeck_feed.from_files.stats import ImportStats
from tapedeck_feed.output.publisher import DeliveryCallback, MarketDataPublisher

pytestmark = pytest.mark.slow

MINUTE = 60_000
START = 1_704_067_200_000
HEADER = "ts,open,high,low,close,volume"
FILES = Files.model_validate(
    {"exchange": "x", "interval": "1m", "time": {"unit": "ms"}, "sets": [{"symbol": "A/B", "path": "*.csv"}]}
)


class Log(MarketDataPublisher):
    """Keeps records in the place of a broker: by topic, without the times at which they were made."""

    def __init__(self) -> None:
        super().__init__(Connections(kafka_bootstrap="127.0.0.1:1"), "test", Event())
        self.records: defaultdict[str, list[tuple[str, bytes]]] = defaultdict(list)

    def send(self, topic: str, key: str, value: bytes, callback: DeliveryCallback, *, traceable: bool = True) -> None:
        self.records[topic].append((key, re.sub(rb'"at":\d+', b"", value)))

    def send_all(self, topic: str, key: str, values: Iterable[bytes], callback: DeliveryCallback) -> None:
        for value in values:
            self.send(topic, key, value, callback)

    def flush(self) -> None:
        """Nothing is enqueued."""


@cache
def the_log() -> Log:
    return Log()


def opened_log() -> Log:
    """The log, empty: a client for each import would take most of the time."""
    log = the_log()
    log.records.clear()
    return log


class Imported(NamedTuple):
    """What an import does with its files; ``counted`` is what the command line counts before."""

    records: dict[str, list[tuple[str, bytes]]]
    report: FeedReport
    counted: list[Counted]
    late: int


def imported(folder: Path, files: Files = FILES) -> Imported | str:
    """The import's result, or what is wrong with the files."""
    log, stats = opened_log(), ImportStats()
    access = FilesAccess(folder)
    try:
        FileImporter("feed", files, access, log, stats, Event()).run()
        [sources] = find_files(files, access).values()
        counted = [count_rows(files, kind_of(files, sources), source) for source in sources]
    except (InvalidFiles, NoRowTaken) as error:
        return str(error)
    return Imported(dict(log.records), stats.report("complete"), counted, stats.late)


@contextmanager
def row_by_row() -> Iterator[None]:
    """No block is taken as columns."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "valid_bars", lambda *_: None)
        patch.setattr(records, "valid_trades", lambda *_: None)
        yield


@contextmanager
def small_blocks() -> Iterator[None]:
    """Blocks of some rows, where files have many megabytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "HEAD_BYTES", 600)
        patch.setattr(delimited, "BLOCK_BYTES", 400)
        patch.setattr(row_symbols, "ROWS_A_BLOCK", 2)
        yield


prices = (
    st.floats(0.01, 1_000_000).map(lambda price: repr(round(price, 2)))
    | st.floats(1e-12, 1e20).map(repr)
    | st.sampled_from(["1", "100", "1e3", "1e16", "1e22", "0.00001", "0.000001", "5e-324", "123456789012345680", "-1"])
)
volumes = st.sampled_from(["0", "-0.0", "0.1", "12.3456", "1e-8", "1000000000"]) | st.floats(0, 1e9).map(repr)
TRADES = FILES.model_copy(update={"kind": "trades"})
TRADES_HEADER = "ts,id,price,amount,side"
ODD = (
    "",
    "nonsense",
    "{ts},1,2,3,4,5",
    "{ts},nan,1,1,1,1",
    "{ts},,,,,",
    "{ts}.5,1,1,1,1,1",
    "{ts},1,1,1,1,",
    "1,2",
    '{ts},"1",1,1,1,1',
)


@st.composite
def files_of_bars(draw: st.DrawFn) -> list[str]:
    """Some files: in order, newest first, or in disorder; with repeated rows, rows in conflict, and invalid ones."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    pool = draw(st.lists(prices, min_size=3, max_size=8)), draw(st.lists(volumes, min_size=1, max_size=5))
    texts = []
    first = 0
    for _ in range(draw(st.integers(1, 3))):
        first = max(0, first + draw(st.sampled_from([0, 0, 0, -1, -5, 3, 900])))
        count = draw(st.integers(1, 60))
        lines = []
        for number in range(first, first + count):
            low, open_, high = sorted(rng.choices(pool[0], k=3), key=float)
            cells = [
                str(START + number * MINUTE),
                open_,
                high,
                low,
                rng.choice((open_, high, low)),
                rng.choice(pool[1]),
            ]
            lines.append(",".join(cells))
        first += count
        for odd in draw(st.lists(st.sampled_from(ODD), max_size=3)):
            lines.insert(rng.randrange(len(lines) + 1), odd.format(ts=START + rng.randrange(first + 5) * MINUTE))
        for _ in range(draw(st.sampled_from([0, 0, 0, 1, 5]))):
            lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
        order = draw(st.sampled_from(["kept", "kept", "reversed", "shuffled"]))
        if order == "reversed":
            lines.reverse()
        elif order == "shuffled":
            rng.shuffle(lines)
        texts.append("\n".join([HEADER, *lines]) + "\n")
    return texts


amounts = st.sampled_from(["0.1", "1e-8", "3"]) | st.floats(1e-9, 1e9).map(repr)
ODD_TRADES = ("", "{ts},,1,1,buy", "{ts},abc,1,1,sell", "{ts},007,2,1,buy", "{ts},{id},0,1,b", "{ts},{id},-0.0,2,S",
              "{ts},{id},3,0,buy", "{ts},{id},3,1,", "{ts},{id},nan,1,buy", "{ts},{id}", "x,{id},1,1,buy",
              "{ts},99999999999999999999,1,1,buy", "{ts},+5,1,1,buy", "{ts},{id},5,1,neither")  # fmt: skip


@st.composite
def files_of_trades(draw: st.DrawFn) -> list[str]:
    """Some files of trades with ids that count up or do not, in order or not, with gaps, repeats and conflicts."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    pool = draw(st.lists(prices, min_size=2, max_size=6)), draw(st.lists(amounts, min_size=1, max_size=5))
    texts, number, ts = [], draw(st.sampled_from([0, 5, 10**17])), START
    steps = draw(st.sampled_from([(1,), (1, 1, 1, 1, 1, 1, 1, 1, 9), (1, 1, -1), (0, 1)]))
    waits = draw(st.sampled_from([(0, 1, 50), (1,), (400, 70_000), (0, 0, 0, 1)]))
    for _ in range(draw(st.integers(1, 3))):
        lines = []
        for _ in range(draw(st.integers(1, 60))):
            number, ts = abs(number + rng.choice(steps)), ts + rng.choice(waits)
            side = rng.choice(("buy", "sell", "BUY", "s", "-1"))
            lines.append(f"{ts},{number},{rng.choice(pool[0])},{rng.choice(pool[1])},{side}")
        for odd in draw(st.sampled_from([[], [], *([odd] for odd in ODD_TRADES)])):
            lines.insert(rng.randrange(len(lines) + 1), odd.format(ts=ts, id=number + 3))
        for _ in range(draw(st.sampled_from([0, 0, 0, 1, 5]))):
            lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
        if draw(st.sampled_from([False, False, True])):
            lines.reverse()
        texts.append("\n".join([TRADES_HEADER, *lines]) + "\n")
    return texts


SYMBOLS = ("A/B", "CUSD", "C/USD")  # of two series


@st.composite
def of_several_symbols(draw: st.DrawFn, files: st.SearchStrategy[list[str]]) -> list[str]:
    """The same files with a column of symbols: one after another, or all the way through."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    change = draw(st.sampled_from([0, 0.02, 0.02, 0.5]))
    texts = []
    for text in draw(files):
        header, *lines = text.removesuffix("\n").split("\n")
        symbol, marked = rng.choice(SYMBOLS), [f"symbol,{header}"]
        for line in lines:
            if rng.random() < change:
                symbol = rng.choice((*SYMBOLS, ""))
            marked.append(f"{symbol},{line}" if line else line)
        texts.append("\n".join(marked) + "\n")
    return texts


@pytest.mark.parametrize("several", [False, True], ids=["one symbol", "several symbols"])
@pytest.mark.parametrize("kind", ["bars", "trades"])
def test_columns_give_the_records_of_rows(kind: Kind, several: bool) -> None:
    blocks: list[int] = []
    drawn = files_of_bars() if kind == "bars" else files_of_trades()
    files = FILES if kind == "bars" else TRADES
    if several:
        drawn = of_several_symbols(drawn)
        files = Files.model_validate(
            files.model_dump(by_alias=True, exclude_unset=True) | {"sets": [{"path": "*.csv"}]}
        )

    @settings(max_examples=25, deadline=None)
    @given(drawn)
    def check(texts: list[str]) -> None:
        blocks.append(assert_same(texts, files))

    check()
    assert sum(blocks) > 20  # which would be rows else


def assert_same(texts: list[str], files: Files) -> int:
    """Returns the number of blocks that are taken as columns."""
    blocks: list[bool] = []
    with tempfile.TemporaryDirectory() as name, small_blocks():
        for number, text in enumerate(texts):
            (Path(name) / f"{number}.csv").write_text(text)
        with counted_blocks(blocks):
            by_columns = imported(Path(name), files)
        with row_by_row():
            by_rows = imported(Path(name), files)
    assert by_columns == by_rows
    return sum(blocks)


@contextmanager
def counted_blocks(found: list[bool]) -> Iterator[None]:
    """Notes of each block whether it is taken as columns."""
    read = RowReader._valid_block

    def valid_block(reader: RowReader, batch: ColumnBatch, series: FileSeries) -> ValidBlock | None:
        block = read(reader, batch, series)
        found.append(block is not None)
        return block

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RowReader, "_valid_block", valid_block)
        yield


@pytest.mark.parametrize("kind", ["bars", "trades"])
def test_blocks_in_order_stay_columns(tmp_path: Path, kind: Kind) -> None:
    """Also bars of a file whose newest come first, and of files whose names are in another order than their times."""
    values = "1,2,1,2" if kind == "bars" else "1,2,buy"
    parts = [range(100), range(149, 99, -1), range(150, 200)] if kind == "bars" else [range(100), range(100, 200)]
    for name, part in zip("cba" if kind == "bars" else "ab", parts, strict=True):
        lines = [
            f"{START + n * MINUTE},{n},{values}" if kind == "trades" else f"{START + n * MINUTE},{values},{n}"
            for n in part
        ]
        (tmp_path / f"{name}.csv").write_text("\n".join([HEADER if kind == "bars" else TRADES_HEADER, *lines]))
    files = FILES if kind == "bars" else TRADES
    refused: list[InvalidRow] = []
    late: list[int] = []
    with small_blocks():
        read = encoded_items(files, kind, find_files(files, FilesAccess(tmp_path))["A/B"], refused.append)
        items = list(deduplicate(external_sort(count_out_of_order(read, late.append)), lambda: None, refused.append))
    assert len(items) > 10 and all(isinstance(item, ValidBlock) for item in items)
    assert [row.us for row in single_rows(items)] == [(START + n * MINUTE) * 1_000 for n in range(200)]
    assert (sum(late), refused) == (150 if kind == "bars" else 0, [])


@pytest.mark.parametrize("end", [0, 1, 57, 100, 119, 120, 500])
def test_a_replay_of_files_ends_within_a_block(tmp_path: Path, end: int) -> None:
    lines = [f"{START + n * MINUTE},1,2,1,2,{n}" for n in range(120)]
    (tmp_path / "a.csv").write_text("\n".join([HEADER, *lines]))
    with small_blocks():
        bars = list(StrictReader(FILES, FilesAccess(tmp_path), end=START + end * MINUTE).bars())
    assert bars == [
        Bar("x", "A/B", "1m", START + n * MINUTE, 1.0, 2.0, 1.0, 2.0, float(n)) for n in range(min(end, 120))
    ]


@given(st.lists(st.integers(0, 300_000) | st.integers(0, 3) | st.integers(10**9, 10**9 + 70_000), max_size=200))
def test_numbers_are_counted_once(numbers: list[int]) -> None:
    import numpy as np

    together, single = NumberSet(), NumberSet()
    for start in range(0, len(numbers), 64):
        together.add_all(np.array(numbers[start : start + 64], np.int64))
    for number in numbers:
        single.add(number)
    assert len(together) == len(single) == len(set(numbers))
    begins = {number for number in numbers if number - 1 not in numbers}
    assert together.runs() == single.runs() == len(begins)
