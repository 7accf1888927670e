"""What the client asks a gateway, what it makes of the answers, and what it says of errors."""

from __future__ import annotations

import asyncio
import threading
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
from tapedeck.times import consists_of, span_ms, to_ms
from tapedeck.waiting import until
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_gateway.charts.intervals import interval_length
from waits import eventually

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


def listed(symbol: str, newest: dict[str, int]) -> dict[str, Any]:
    """A symbol with the newest open of each interval."""
    series = [{"interval": name, "first": FIRST, "last": last, "bars": None} for name, last in newest.items()]
    exchange, _, name = symbol.partition(":")
    trades = {"first": FIRST, "last": FIRST + 900 * DAY}  # of which no bars are made
    return {"symbol": symbol, "exchange": exchange, "name": name, "series": series, "trades": trades, "tickers": None}


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("coinbase:BTC/USD", "coinbase:BTC/USD"), ("COINBASE:btc-usd", "coinbase:BTC/USD"),
        ("BTCUSD", "coinbase:BTC/USD"), ("binance:BTC/USDT:USDT", "binance:BTC/USDT:USDT"),
    ],
)  # fmt: skip
def test_the_last_days_end_with_the_newest_bar_of_the_symbol_that_the_gateway_finds(
    gateway: AnsweringServer, td: tapedeck.TapedeckClient, text: str, symbol: str
) -> None:
    entries = [
        listed(symbol, {"1m": FIRST + 90 * DAY, "1d": FIRST + 300 * DAY}),  # of days no hours are made
        listed(f"{symbol}-250926", {"1m": FIRST + 400 * DAY}),
    ]
    gateway.on("GET /symbols", {"symbols": entries, "next": None})
    page: dict[str, Any] = {"symbol": symbol, "interval": "1h", "bars": [], "next": None}
    gateway.on("GET /bars", lambda asked: bars([]) if "format" in asked.query else page)
    td.bars(text, "1h", last="30d")
    end = FIRST + 90 * DAY + 60_000  # the newest minute's close
    found, asked = gateway.asked_for("GET", "/bars")
    assert (found.query["symbol"], found.query["interval"]) == (text, "1h")
    assert (asked.query["symbol"], asked.query["from"], asked.query["to"]) == (symbol, str(end - 30 * DAY), str(end))
    (search,) = gateway.asked_for("GET", "/symbols")
    assert (search.query["exchange"], search.query["search"]) == (symbol.partition(":")[0], symbol)


@pytest.mark.parametrize(("position", "span"), [(FIRST + DAY, (FIRST, FIRST + DAY)), (None, (0, 1))])
def test_the_last_day_of_a_replay_ends_at_its_position(
    gateway: AnsweringServer, td: tapedeck.TapedeckClient, position: int | None, span: tuple[int, int]
) -> None:
    page: dict[str, Any] = {
        "symbol": "replay/default/a:BTC/USD",
        "bars": [],
        "next": None,
        "replay": {"position": position},
    }
    gateway.on("GET /bars", lambda asked: bars([]) if "format" in asked.query else page)
    td.bars("replay/default/a:BTCUSD", "1m", last="1d")
    _, asked = gateway.asked_for("GET", "/bars")
    assert (asked.query["from"], asked.query["to"]) == tuple(map(str, span))


def test_results_of_a_transform_are_of_its_finest_interval_where_none_is_given(
    gateway: AnsweringServer, td: tapedeck.TapedeckClient
) -> None:
    gateway.on("GET /points", pa.table({"ts": pa.array([FIRST], STAMP), "value": [1.0]}))
    assert [td.points("a:B", "sma").title, td.points("a:B", "sma", "1h").title] == ["a:B sma", "a:B sma 1h"]
    td.points("a:B", "sma", "")
    assert [asked.query.get("interval") for asked in gateway.asked] == [None, "1h", ""]
    assert len(td.points(["a:B", "a:C"], "sma")) == 2


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
    assert caplog.text == ""  # these are all
    for cut, advice in (("rows", "raise limit (at most 50,000)"), ("bytes", "16 MiB")):
        gateway.on("POST /sql", Answer(pa.table({"n": [1, 2]}), headers={"x-tapedeck-truncated": cut}))
        td.sql("SELECT 1", limit=2)
        assert "more rows than these 2" in caplog.text and advice in caplog.text
        caplog.clear()


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


ARROW = "application/vnd.apache.arrow.stream"


def cut_off(table: pa.Table, share: float) -> Answer:
    body = Answer(table).encoded()[0]
    return Answer(body[: round(len(body) * share)], content_type=ARROW)


@pytest.mark.parametrize(
    "answer",
    [
        cut_off(bars([FIRST] * 50), 0.0),
        cut_off(bars([FIRST] * 50), 0.1),
        cut_off(bars([FIRST] * 50), 0.5),  # of which pyarrow says OSError
        Answer(b"\x00" * 100, content_type=ARROW),
        Answer(b"no gzip", headers={"content-encoding": "gzip"}),
    ],
)
def test_an_answer_that_is_no_table_is_named(
    gateway: AnsweringServer, td: tapedeck.TapedeckClient, answer: Answer
) -> None:
    gateway.on("GET *", answer)
    with pytest.raises(errors.UnexpectedAnswer, match="/api/v1/bars"):
        td.bars("a:B")


@pytest.mark.parametrize(
    "content", [[], None, 1, {}, {"symbols": None}, {"symbols": [{}]}, {"symbols": [None]}, b"\xff", b"[" * 100_000]
)
def test_json_of_another_shape_is_named(gateway: AnsweringServer, td: tapedeck.TapedeckClient, content: Any) -> None:
    gateway.on("GET *", Answer(content))
    with pytest.raises(errors.UnexpectedAnswer):
        td.symbols()
    with pytest.raises(errors.UnexpectedAnswer):
        td.bars("a:B", last="1d")
    with pytest.raises(errors.UnexpectedAnswer):
        td.run("a")
    with pytest.raises(errors.UnexpectedAnswer):
        td.get_replay("a")


def test_what_cannot_be_sent_is_named(td: tapedeck.TapedeckClient) -> None:
    with pytest.raises(errors.BadRequest, match="not JSON serializable"):
        td.backtest("sma-cross", "a:B", {"fast": object()})  # type: ignore[dict-item]
    with pytest.raises(errors.BadRequest, match="that no address can have"):
        td.symbols("x" * 70_000)
    for token in ("ü" * 20, "a\nb"):
        with pytest.raises(errors.BadRequest, match="token: got characters"):
            tapedeck.connect(td.url, token)
    with pytest.raises(errors.BadRequest, match=r"verify: got '/none\.pem'"):
        tapedeck.connect("https://localhost", verify="/none.pem")


def test_asyncio_has_the_same_methods(gateway: AnsweringServer, td: tapedeck.TapedeckClient) -> None:
    gateway.on("GET /bars", bars([FIRST]))

    async def both() -> list[int]:
        return [len(each) for each in await asyncio.gather(td.bars.aio("a:B", "1m"), td.bars.aio(["a:C", "a:D"]))]

    assert asyncio.run(both()) == [1, 2]


def test_a_cancelled_call_ends_its_thread() -> None:
    ended: list[float] = []
    waits = threading.Event()

    class Waiter:
        @Blocking
        def wait(self) -> None:
            began = time.monotonic()
            waits.set()
            try:
                pause(600)
            finally:
                ended.append(time.monotonic() - began)

    async def main() -> None:
        task = asyncio.create_task(Waiter().wait.aio())
        while not waits.is_set():  # noqa: ASYNC110 (a thread sets it)
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    (took,) = eventually(lambda: ended)
    assert took < 300


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


@pytest.mark.parametrize(
    ("interval", "serving"),
    [
        ("1m", "1s 1m"), ("45m", "1s 1m 3m 5m 15m"), ("1d", "1s 1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d"),
        ("1w", "1s 1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 1w"), ("1M", "1s 1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 1M"),
    ],
)  # fmt: skip
def test_bars_are_made_of_those_that_divide_them(interval: str, serving: str) -> None:
    assert [stored for stored in BAR_LENGTHS if consists_of(interval, stored)] == serving.split()
    of_the_gateway = interval_length(interval)
    for stored, length in BAR_LENGTHS.items():
        assert consists_of(interval, stored) == (length == of_the_gateway or of_the_gateway.consists_of(length))


@pytest.mark.parametrize("given", ["30 days", "", "-1d", "0s", timedelta(0)])
def test_spans_that_are_none(given: Any) -> None:
    with pytest.raises(errors.BadRequest, match="last: got"):
        span_ms(given, "last")


def test_times_that_are_none() -> None:
    with pytest.raises(errors.BadRequest, match=r"start: got 'yesterday', expected ISO 8601"):
        to_ms("yesterday", "start")
