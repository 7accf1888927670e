"""Sessions of the catalogue in real processes: a range and a replay trade by them, and the run keeps them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import psycopg

from pods.backtest import MINUTE, BacktestPod, ReplayTopic, read_records
from pods.runs import spec, store_data
from pods.store import insert_bars
from tapedeck_common.market import Bar
from tapedeck_common.settings import Connections

# Buys at the first bar of each day's session, whose local hour it checks, and sells at the next.
MODULE = """
import datetime
import backtrader as bt
class Mine(bt.Strategy):
    def next(self):
        day = self.getdatabyname('A@1d')
        assert day.datetime.time(0) == datetime.time(16), day.datetime.time(0)
        if self.position:
            self.close(self.data)
        elif self.datetime.time() == datetime.time(16):
            self.buy(self.data)
"""


def _bars() -> list[Bar]:
    """Two minutes at the open and at the close of four days around the change of New York's clock."""
    days = ("2018-03-08", "2018-03-09", "2018-03-12", "2018-03-13")
    times = [
        pd.Timestamp(f"{day} {minute}", tz="America/New_York")
        for day in days
        for minute in ("09:30", "09:31", "15:58", "15:59")
    ]
    return [
        Bar("x", "A", "1m", int(time.timestamp() * 1000), 10.0 + i, 12.0 + i, 9.0 + i, 11.0 + i, 1.0)
        for i, time in enumerate(times)
    ]


def test_a_run_trades_by_the_session_of_the_catalogue(connections: Connections, tmp_path: Path) -> None:
    bars = _bars()
    insert_bars(connections.store_dsn.get_secret_value(), bars)
    with psycopg.connect(connections.store_dsn.get_secret_value()) as connection:
        days = "{Mon,Tue,Wed,Thu,Fri}"
        values = ("x", "A", "America/New_York", "09:30", "16:00", days)
        connection.execute("INSERT INTO sessions VALUES (%s, %s, %s, %s, %s, %s, now())", values)
    topic = ReplayTopic(connections, ["A"], rows={"A": len(bars)})
    topic.start()
    topic.bars(bars)
    topic.end(bars[-1].ts + MINUTE)
    opens = [bar for bar in bars if (bar.ts // MINUTE) % 60 == 30][1:]  # of the second day on
    bought, sold = [bars[i] for i in (4, 8, 12)], [bars[i] for i in (5, 9, 13)]
    assert bought == opens
    for name, data, uid in (
        ("range", store_data(["A"]), ""),
        ("stream", {"replay": {"name": "replay"}}, topic.uid),
    ):
        more = {"intervals": ["1d"]}
        pod = BacktestPod(connections, tmp_path / name, spec(data | more, module="mine:Mine"), replay_uid=uid)
        pod.folder.mkdir()
        (pod.folder / "mine.py").write_text(MODULE)
        assert pod.run() == 0, pod.log.read_text()
        records = read_records(connections, pod.uid)
        expected = [("buy", bar) for bar in bought] + [("sell", bar) for bar in sold]
        assert [(f["side"], f["ts"]) for f in records.fills.values()] == [
            (side, bar.ts + MINUTE) for side, bar in sorted(expected, key=lambda item: item[1].ts)
        ]
        kept = records.started["once"]["spec"]["data"]["session"]
        assert (kept["timezone"], kept["close"]) == ("America/New_York", "16:00")
