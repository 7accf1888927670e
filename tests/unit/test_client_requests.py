"""What the client asks a gateway, what it makes of the answers, and what it says of errors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

import tapedeck
from notebook.answers import Answer, AnsweringServer, Asked, answering_server, problem
from tapedeck import errors, transport
from tapedeck.sync_async import Blocking, pause
from tapedeck.times import span_ms, to_ms
from tapedeck.waiting import until

DAY = 86_400_000
FIRST = 1_522_800_000_000  # 2018-04-04
STAMP = pa.timestamp("ms", tz="UTC")


@pytest.fixture
def gateway() -> Iterator[AnsweringServer]:
    with answering_server() as server:
        yield server


@pytest.fixture
def td(gateway: AnsweringServer) -> Iterator[tapedeck.TapedeckClient]:
    with tapedeck.connect(gateway.url, "a-token-of-sixteen") as client:
        yield client


def bars(opens: list[int], close: float = 1.0) -> pa.Table:
    prices: dict[str, Any] = {name: [close] * len(opens) for name in ("open", "high", "low", "close", "volume")}
    return pa.table({"ts": pa.array(opens, STAMP), **prices})


def test_bars_of_one_symbol(gateway: AnsweringServer, td: tapedeck.TapedeckClient) -> None:
    gateway.on("GET /bars", bars([FIRST, FIRST + DAY]))
    found = td.bars("coinbase:BTC/USD", "1d", start="2018-04-04", end=datetime(2018, 4, 6))
    assert found["ts"].to_pylist() == [datetime(2018, 4, 4, tzinfo=UTC), datetime(2018, 4, 5, tzinfo=UTC)]
    (asked,) = gateway.asked
    assert asked.query == {
        "symbol": "coinbase:BTC/USD", "interval": "1d", "from": str(FIRST), "to": str(FIRST + 2 * DAY),
        "format": "arrow",
    }  # fmt: skip
    assert asked.headers["authorization"] == "Bearer a-token-of-sixteen"


def test_bars_of_several_symbols_have_them_in_a_column(gateway: AnsweringServer, td: tapedeck.TapedeckClient) -> None:
    gateway.on("GET /bars", lambda asked: bars([FIRST], 1.0 if "BTC" in asked.query["symbol"] else 2.0))
    found = td.bars(["coinbase:BTC/USD", "coinbase:ETH/USD"])
    assert [(row["symbol"], row["close"]) for row in found.to_rows()] == [
        ("coinbase:BTC/USD", 1.0), ("coinbase:ETH/USD", 2.0),
    ]  # fmt: skip
    assert {asked.query["from"] for asked in gateway.asked} == {"0"}  # the whole series


def test_the_last_days_end_with_the_newest_bar(gateway: AnsweringServer, td: tapedeck.TapedeckClient) -> None:
    series = [{"interval": "1m", "first": FIRST, "last": FIRST + 90 * DAY, "bars": None}]
    entry = {"symbol": "coinbase:BTC/USD", "exchange": "coinbase", "name": "BTC/USD", "series": series}
    gateway.on("GET /symbols", {"symbols": [{**entry, "trades": None, "tickers": None}], "next": None})
    gateway.on("GET /bars", bars([]))
    td.bars("coinbase:BTC/USD", "1h", last="30d")
    end = FIRST + 90 * DAY + 60_000  # the newest bar's close
    (asked,) = gateway.asked_for("GET", "/bars")
    assert (asked.query["from"], asked.query["to"]) == (str(end - 30 * DAY), str(end))


def test_times_that_are_numbers_become_timestamps(gateway: AnsweringServer, td: tapedeck.TapedeckClient) -> None:
    gateway.on("GET /trades", pa.table({"ts": [FIRST + 5], "price": [1.0]}))
    assert td.trades("a:B")["ts"].to_pylist() == [datetime(2018, 4, 4, 0, 0, 0, 5000, tzinfo=UTC)]


def test_a_table_is_read_by_pandas(gateway: AnsweringServer, td: tapedeck.TapedeckClient) -> None:
    gateway.on("GET /bars", bars([FIRST]))
    frame = td.bars("a:B").to_pandas()
    assert (frame.index.name, list(frame.columns)) == ("ts", ["open", "high", "low", "close", "volume"])


def test_a_missing_package_is_named(gateway: AnsweringServer, td: tapedeck.TapedeckClient) -> None:
    gateway.on("GET /bars", bars([FIRST]))
    with pytest.raises(errors.PackageMissing, match="pip install polars"):
        td.bars("a:B").to_polars()


def test_symbols_come_in_pages(gateway: AnsweringServer, td: tapedeck.TapedeckClient) -> None:
    def page(asked: Asked) -> Any:
        name = asked.query.get("cursor", "A")
        series = [{"interval": "1m", "first": FIRST, "last": FIRST, "bars": None}] if name == "A" else []
        entry = {"symbol": f"x:{name}", "exchange": "x", "name": name, "series": series, "tickers": None}
        trades = {"first": FIRST + 1, "last": FIRST + 2}
        return {"symbols": [{**entry, "trades": trades}], "next": "B" if name == "A" else None}

    gateway.on("GET /symbols", page)
    rows = td.symbols().to_rows()
    assert [(row["symbol"], row["interval"], row["first"].microsecond) for row in rows] == [
        ("x:A", "1m", 0), ("x:B", None, 1000),
    ]  # fmt: skip


def test_sql_asks_for_the_future_by_name_and_says_where_rows_are_cut(
    gateway: AnsweringServer, td: tapedeck.TapedeckClient, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.on("POST /sql", pa.table({"n": [1, 2]}))
    assert td.sql("SELECT 1", limit=2)["n"].to_pylist() == [1, 2]
    assert (gateway.asked[0].query["future"], gateway.asked[0].body["query"]) == ("1", "SELECT 1")
    assert "there may be more" in caplog.text


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (400, errors.BadRequest, "interval: got 7x"),
        (400, ValueError, "interval: got 7x"),
        (404, errors.UnknownName, "interval: got 7x"),
        (404, LookupError, "interval: got 7x"),
        (409, errors.NameTaken, "interval: got 7x"),
        (403, PermissionError, "interval: got 7x"),
        (500, errors.UnexpectedAnswer, "its log has the details"),
    ],
)
def test_problem_details_become_errors(
    gateway: AnsweringServer, td: tapedeck.TapedeckClient, status: int, kind: type[Exception], expected: str
) -> None:
    gateway.on("GET /bars", problem(status, "interval: got 7x, expected 1m", "InvalidInput", "interval"))
    with pytest.raises(kind, match=expected) as caught:
        td.bars("a:B")
    assert isinstance(caught.value, errors.ClientError)
    assert (caught.value.status, caught.value.reason, caught.value.field) == (status, "InvalidInput", "interval")


def test_a_missing_token_says_how_to_give_one(gateway: AnsweringServer) -> None:
    gateway.on("GET /bars", problem(401, "token: got none"))
    with tapedeck.connect(gateway.url) as td, pytest.raises(errors.NotAuthorized, match="TAPEDECK_TOKEN"):
        td.bars("a:B")


def test_an_unavailable_service_is_asked_again(gateway: AnsweringServer, td: tapedeck.TapedeckClient) -> None:
    answers = iter([problem(503, "the database does not answer"), problem(429, "too many", retry_after="0")])
    gateway.on("GET /bars", lambda _: next(answers, None) or bars([FIRST]))
    assert len(td.bars("a:B")) == 1
    assert len(gateway.asked) == 3


def test_what_changes_something_is_sent_once(gateway: AnsweringServer, td: tapedeck.TapedeckClient) -> None:
    gateway.on("POST /namespaces*", problem(503, "the resources cannot be reached"))
    with pytest.raises(errors.GatewayUnavailable, match="cannot be reached; try again"):
        td.replay("coinbase:BTC/USD")
    assert len(gateway.asked) == 1


def test_a_gateway_that_is_gone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "FIRST_PAUSE", 0.01)
    with answering_server() as server:
        url = server.url
    with tapedeck.connect(url) as td, pytest.raises(ConnectionError, match=f"{url} does not answer"):
        td.bars("a:B")


def test_a_page_that_is_no_gateway_is_named(gateway: AnsweringServer, td: tapedeck.TapedeckClient) -> None:
    gateway.on("GET *", Answer(b"<html>Welcome</html>", content_type="text/html"))
    with pytest.raises(errors.UnexpectedAnswer, match="got text/html"):
        td.symbols()
    with pytest.raises(errors.UnexpectedAnswer, match="got text/html"):
        td.bars("a:B")


def test_asyncio_has_the_same_methods(gateway: AnsweringServer, td: tapedeck.TapedeckClient) -> None:
    gateway.on("GET /bars", bars([FIRST]))

    async def both() -> list[int]:
        return [len(each) for each in await asyncio.gather(td.bars.aio("a:B", "1m"), td.bars.aio(["a:C", "a:D"]))]

    assert asyncio.run(both()) == [1, 2]


def test_a_cancelled_call_ends_its_thread() -> None:
    ended: list[float] = []

    class Waiter:
        @Blocking
        def wait(self) -> None:
            began = time.monotonic()
            try:
                pause(60)
            finally:
                ended.append(time.monotonic() - began)

    async def main() -> None:
        task = asyncio.create_task(Waiter().wait.aio())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    deadline = time.monotonic() + 10
    while not ended and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ended and ended[0] < 30


def test_a_wait_survives_a_gateway_that_is_unreachable_for_a_while(caplog: pytest.LogCaptureFixture) -> None:
    found = iter([errors.GatewayUnavailable("gone"), errors.GatewayUnavailable("gone"), None, "here"])

    def ask() -> str | None:
        value = next(found)
        if isinstance(value, Exception):
            raise value
        return value

    assert until(ask, 0.001, 10, "it") == "here"
    assert caplog.text.count("gone") == 1
    assert "answers again" in caplog.text


def test_a_wait_has_an_end() -> None:
    with pytest.raises(TimeoutError, match="the end: not so after"):
        until(lambda: None, 0.005, 0.02, "the end")


@pytest.mark.parametrize(
    ("given", "ms"),
    [
        ("2018-04-04", FIRST),
        ("2018-04-04T02:00:00+02:00", FIRST),
        (date(2018, 4, 4), FIRST),
        (datetime(2018, 4, 4), FIRST),
        (FIRST, FIRST),
        ("2018-04-04T00:00:00.005Z", FIRST + 5),
    ],
)
def test_times(given: Any, ms: int) -> None:
    assert to_ms(given, "start") == ms


@pytest.mark.parametrize(("given", "ms"), [("30d", 30 * DAY), ("1.5h", 5_400_000), (timedelta(minutes=2), 120_000)])
def test_spans(given: Any, ms: int) -> None:
    assert span_ms(given, "last") == ms


@pytest.mark.parametrize("given", ["30 days", "", "-1d", "0s", timedelta(0)])
def test_spans_that_are_none(given: Any) -> None:
    with pytest.raises(errors.BadRequest, match="last: got"):
        span_ms(given, "last")


def test_times_that_are_none() -> None:
    with pytest.raises(errors.BadRequest, match=r"start: got 'yesterday', expected ISO 8601"):
        to_ms("yesterday", "start")
