"""A class of a notebook as a module of its own: another process runs it from the sent source alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from notebook.cells import NotebookCells
from tapedeck.errors import StrategySourceMissing
from tapedeck.strategy_source import strategy_source

HELPERS = """
import math
import statistics as stats
from collections import deque as ring
import backtrader as bt

LIMITS = {"low": 1.5, "names": ["a", "b"]}
PERIOD = 7

def unused():
    return "not sent"

def mean(values):
    return stats.fmean(values) * scale(values)

def scale(values):
    return 1 if len(values) else mean(values)
"""
BASE = """
class Base(bt.Strategy):
    params = (("period", PERIOD),)

    def note(self):
        return [math.floor(value) for value in self.recent]
"""
STRATEGY = """
class MyCross(Base):
    '''Text with LIMITS.'''

    params = (("factor", 2.0),)

    def __init__(self):
        self.recent = ring([1.5, 2.5], maxlen=self.p.period)

    @staticmethod
    def checked(value, limits=LIMITS):
        local = value
        return max(local, limits["low"])

    def next(self):
        self.result = mean(list(self.recent)) + self.checked(0)
"""
USES = """
import backtrader as bt, strategy
class Probe(strategy.MyCross):
    pass
cerebro = bt.Cerebro(stdstats=False)
cerebro.addstrategy(strategy.MyCross)
import datetime
class Feed(bt.feeds.DataBase):
    def start(self): self.left = 3
    def _load(self):
        self.left -= 1
        if self.left < 0: return False
        self.lines.datetime[0] = bt.date2num(datetime.datetime(2020, 1, 3 - self.left))
        for name in ("open", "high", "low", "close", "volume"): getattr(self.lines, name)[0] = 1.0
        return True
cerebro.adddata(Feed())
(run,) = cerebro.run()
print(run.p.period, run.p.factor, run.result, run.note())
"""


def test_a_class_of_several_cells_runs_elsewhere_from_its_source(tmp_path: Path) -> None:
    cells = NotebookCells()
    for cell in (HELPERS, BASE, STRATEGY):
        names = cells.run(cell)
    source = strategy_source(names["MyCross"])
    (tmp_path / "strategy.py").write_text(source.text)
    done = subprocess.run(
        [sys.executable, "-c", USES], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    # By hand: fmean(1.5, 2.5) × 1 + max(0, 1.5) = 3.5
    assert (done.stdout.strip(), done.stderr) == ("7 2.0 3.5 [1, 2]", "")
    assert "unused" not in source.text
    assert source.name.startswith("my-cross-") and len(source.name) <= 40


def test_the_name_changes_with_the_source_alone() -> None:
    cells = NotebookCells()
    cells.run("import backtrader as bt\nFACTOR = 2")
    cell = "class S(bt.Strategy):\n    def next(self):\n        return FACTOR\n"
    first = strategy_source(cells.run(cell)["S"])
    assert strategy_source(cells.run(cell)["S"]).name == first.name
    cells.run("FACTOR = 3")
    assert strategy_source(cells.run(cell)["S"]).name != first.name


def test_of_two_classes_with_one_name_the_one_that_is_given_is_sent() -> None:
    cells = NotebookCells()
    cells.run("import backtrader as bt")
    earlier = cells.run("class S(bt.Strategy):\n    def next(self):\n        return 1\n")["S"]
    later = cells.run("class S(bt.Strategy):\n    def next(self):\n        return 2\n")["S"]
    assert "return 1" in strategy_source(earlier).text
    assert "return 2" in strategy_source(later).text


def test_a_class_without_functions_is_found_in_the_last_cell_that_has_it() -> None:
    cells = NotebookCells()
    cells.run("import backtrader as bt")
    cells.run("class Base(bt.Strategy):\n    params = (('a', 1),)\n\n    def next(self):\n        pass\n")
    cells.run("class Small(Base):\n    params = (('a', 2),)\n")
    small = cells.run("class Small(Base):\n    params = (('a', 3),)\n")["Small"]
    text = strategy_source(small).text
    assert "('a', 3)" in text and "('a', 2)" not in text and "class Base" in text


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("import pandas as pd\nframe = pd.DataFrame({'a': [1]})", "uses frame, a DataFrame"),
        ("frame = open('/dev/null')", "uses frame, a TextIOWrapper"),
        ("frame = float('nan')", "uses frame, a float"),
        ("frame = list(range(100_000))", "uses frame, a list"),
        ("pass", "uses frame, which the notebook does not define"),
    ],
)
def test_what_cannot_be_sent_is_named(cell: str, expected: str) -> None:
    cells = NotebookCells()
    cells.run(cell)
    names = cells.run("import backtrader as bt\nclass S(bt.Strategy):\n    def next(self):\n        print(frame)\n")
    with pytest.raises(StrategySourceMissing, match=expected):
        strategy_source(names["S"])


def test_a_class_without_source_says_so() -> None:
    names: dict[str, type] = {}
    exec("class S:\n    def next(self):\n        pass\n", {"__name__": "elsewhere"}, names)
    with pytest.raises(StrategySourceMissing, match="does not have its source"):
        strategy_source(names["S"])
