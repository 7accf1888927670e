"""Warm-up and several intervals in real processes: a range and a replay agree, and nothing is traded during warm-up."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from pods.backtest import MINUTE, BacktestPod, ReplayTopic, read_records
from pods.runs import T0, random_walk, spec, store_data
from pods.store import insert_bars
from tapedeck_common.settings import Connections

HISTORY, BARS = 300, 1_200
# Long while the minute's close is above the mean of the last four hours' closes.
MODULE = """
import backtrader as bt
class Mine(bt.Strategy):
    def __init__(self):
        self.mean = bt.ind.SMA(self.getdatabyname('A@1h').close, period=4)
    def next(self):
        if self.data.close[0] > self.mean[0] and not self.position:
            self.buy(self.data)
        elif self.data.close[0] < self.mean[0] and self.position:
            self.close(self.data)
"""


def test_range_and_replay_agree_from_the_first_bar(connections: Connections, tmp_path: Path) -> None:
    every = random_walk("A", 9, HISTORY + BARS)
    insert_bars(connections.store_dsn.get_secret_value(), every)
    begin = T0 + HISTORY * MINUTE
    more = {"intervals": ["1h"], "warmupBars": HISTORY}
    ranged = store_data(["A"], **{"from": datetime.fromtimestamp(begin / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")})
    topic = ReplayTopic(connections, ["A"], rows={"A": BARS})
    topic.start()
    topic.bars(every[HISTORY:])
    topic.end(every[-1].ts + MINUTE)
    contents = []
    for name, data, uid in (("range", ranged, ""), ("stream", {"replay": {"name": "replay"}}, topic.uid)):
        pod = BacktestPod(connections, tmp_path / name, spec(data | more, module="mine:Mine"), replay_uid=uid)
        pod.folder.mkdir()
        (pod.folder / "mine.py").write_text(MODULE)
        assert pod.run() == 0, pod.log.read_text()
        checked = read_records(connections, pod.uid)
        assert checked.equity[0][0] == begin + MINUTE
        assert pod.report()["bars"] == pod.report()["total"] == BARS
        contents.append(([{**f, "run_id": ""} for f in checked.fills.values()], checked.equity))
    assert contents[0] == contents[1]

    frame = pd.DataFrame({"open": [b.open for b in every], "close": [b.close for b in every]})
    hour = pd.Series([b.close for b in every]).iloc[59::60].rolling(4).mean()
    mean = hour.reindex(frame.index, method="ffill")
    above, held, times = frame["close"] > mean, False, []
    for i in range(HISTORY, HISTORY + BARS - 1):
        if (above[i] and not held) or (frame["close"][i] < mean[i] and held):
            times.append((every[i + 1].ts + MINUTE, every[i + 1].open))
            held = not held
    assert [(f["ts"], f["price"]) for f in contents[0][0]] == times
    assert len(times) > 10


def test_missing_history_fails_the_run(connections: Connections, tmp_path: Path) -> None:
    insert_bars(connections.store_dsn.get_secret_value(), random_walk("A", 9, 100))
    data = store_data(["A"], **{"from": "2018-04-04T00:20:00Z"}) | {"warmupBars": 50}
    pod = BacktestPod(connections, tmp_path, spec(data))
    assert pod.run() == 64
    assert pod.report()["reason"] == "NoHistory"
    assert "got 50, but the store has only 20 of A" in pod.report()["message"]
