"""Broker and database that are killed and started again: each client of the gateway says so, and goes on by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from pods.channel_client import ChannelClient
from pods.gateway import ReplayTopic, insert_bars, insert_run
from pods.outage import BARS, NOTICED_SECONDS, RUN, STORED, SYMBOL, OutageStage, killed, outage_stage
from waits import eventually

pytestmark = pytest.mark.slow


def told(client: ChannelClient) -> tuple[bool, bool]:
    """What a client was told of broker and database last."""
    last = client.of("services")[-1]
    return last["broker"], last["database"]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[OutageStage]:
    with outage_stage(tmp_path) as stage:
        yield stage


def test_every_client_says_what_is_down_and_goes_on_by_itself(stage: OutageStage) -> None:
    insert_bars(stage.store, BARS[:STORED])
    insert_run(stage.store, RUN)
    ticker, replays_bars = stage.replay.ticker, stage.play()
    stored = ReplayTopic(stage.connections, name="stored", range_from=BARS[30].ts)
    stored.play(BARS[30:40])
    with connect(f"ws://127.0.0.1:{stage.gateway.port}/api/v1/ws", max_size=None, open_timeout=60) as socket:
        client = ChannelClient(socket)
        client.subscribe("live", "bars", symbol=SYMBOL, interval="1m")
        client.subscribe("replay", "bars", symbol=ticker, interval="1m")
        client.subscribe("equity", "equity", run=RUN)

        def receives(id: str, opened: int) -> None:
            client.until(lambda: opened in client.bars(id), NOTICED_SECONDS)

        def gains(value: float) -> None:
            client.until(lambda: value in [point[2] for point in client.items("equity", "points")], NOTICED_SECONDS)

        receives("replay", replays_bars)
        receives("live", stage.publish().ts)
        gains(stage.gain())

        with killed(stage.services.broker):
            client.until(lambda: told(client) == (False, True), NOTICED_SECONDS)
            assert stage.gateway.get("/readyz") == (200, "broker: does not answer\ndatabase: answers\n")
            for _ in range(3):  # history needs no broker
                assert stage.stored() == (200, STORED)
                assert stage.history(SYMBOL)["s"] == "ok"
                assert len(stage.history(ticker)["t"]) == 10  # what has been read of a Replay is known
            gains(stage.gain())
            assert stage.missing("/search?query=BTC") == "broker"
            assert stage.rest("/symbols")[0] == 200
            status, problem = stage.rest("/bars", symbol="replay/default/unknown:BTC/USD", interval="1m")
            assert (status, problem["reason"]) in ((404, "NotFound"), (503, "Unavailable"))
            status, answer = stage.gateway.get("/api/replays")
            assert (status, answer["s"]) == (503, "error")
        client.until(lambda: told(client) == (True, True), NOTICED_SECONDS)
        receives("live", stage.publish().ts)
        receives("replay", stage.play())
        eventually(lambda: stage.missing("/search?query=BTC") is None, timeout=NOTICED_SECONDS)
        assert len(stage.history(ticker)["t"]) == 20

        assert len(stage.history(stored.ticker)["t"]) == 40
        with killed(stage.services.postgres):
            client.until(lambda: told(client) == (True, False), NOTICED_SECONDS)
            assert stage.gateway.get("/readyz") == (200, "broker: answers\ndatabase: does not answer\n")
            for _ in range(3):  # what is live needs no database
                receives("live", stage.publish().ts)
                receives("replay", stage.play())
            assert len(stage.history(ticker)["t"]) == 50
            assert len(stage.history(stored.ticker)["t"]) == 10  # and a header says that the earlier ones are missing
            status, problem = stage.rest("/bars", symbol=stored.ticker, interval="1m", format="csv")
            assert (status, problem["reason"]) == (503, "Unavailable")  # a file has no place for that
            assert stage.history(SYMBOL) == {"s": "error", "errmsg": "the database does not answer; try again"}
            status, problem = stage.rest("/bars", symbol=SYMBOL, interval="1m")
            assert (status, problem["reason"], problem["detail"]) == (
                503, "Unavailable", "the database does not answer; try again",
            )  # fmt: skip
            assert stage.missing("/search?query=BTC") == "database"
            assert stage.rest("/runs")[0] == 503
        client.until(lambda: told(client) == (True, True), NOTICED_SECONDS)
        eventually(lambda: stage.stored() == (200, STORED), timeout=NOTICED_SECONDS)
        assert stage.history(SYMBOL)["s"] == "ok"
        gains(stage.gain())
        receives("live", stage.publish().ts)
        receives("replay", stage.play())
        eventually(lambda: stage.missing("/search?query=BTC") is None, timeout=NOTICED_SECONDS)
        assert stage.gateway.get("/readyz") == (200, "broker: answers\ndatabase: answers\n")
        assert [message["seq"] for message in client.received] == [*range(1, len(client.received) + 1)]
        assert client.close_code is None
        assert sorted(client.bars("replay")) == [bar.ts for bar in BARS[: stage.played]]
        assert set(client.bars("live")) == {bar.ts for bar in BARS[: STORED + stage.published]}
    assert "Traceback" not in stage.gateway.log.read_text()
