"""Statements by /api/v1/sql: their types, forms, limits and errors."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest

from pods.api_client import ApiClient
from pods.expected_bars import day_bars
from pods.gateway import (
    insert_bars,
    running_gateway,
)
from pods.services import as_role
from tapedeck_common.settings import Connections

READER, OWNER, BOUND = "r" * 20, "c" * 20, "b" * 20


@pytest.fixture
def owner(tmp_path: Path, connections: Connections) -> Iterator[ApiClient]:
    tokens = {"page.read": READER, "me.control": OWNER, "desk.control.desk-1": BOUND}
    with running_gateway(
        tmp_path, as_role(connections, "tapedeck_reader"), '{"limits": {"querySeconds": 2}}', tokens=tokens
    ) as gateway:
        yield ApiClient(gateway, OWNER)


TYPES = """
SELECT timestamptz '2018-04-04 12:00:00.123456+02' AS moment, timestamp '2018-04-04 12:00' AS local, date '2018-04-04',
       1234567890123456789.0123456789::numeric AS exact, 'NaN'::float8 AS nan, true AS flag, 7::int2 AS small,
       '[1, {"a": null}]'::jsonb AS document, ARRAY[1.5::numeric, NULL] AS several, interval '1 day' AS span,
       '\\x00ff'::bytea AS bytes, time '09:30' AS clock, 'a'::text AS word,
       ARRAY[1, NULL] AS numbers, ARRAY[true] AS flags, ARRAY[timestamptz '2018-04-04'] AS moments
UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
"""


@pytest.mark.parametrize("format_", ["arrow", "parquet"])
def test_a_table_of_a_statement_has_real_types(owner: ApiClient, format_: str) -> None:
    answer = owner.send("POST", "/sql", {"future": 1}, body={"query": TYPES, "format": format_})
    table = answer.table if format_ == "arrow" else pq.read_table(io.BytesIO(answer.body))
    assert {field.name: str(field.type) for field in table.schema} == {
        "moment": "timestamp[us, tz=UTC]", "local": "timestamp[us]", "date": "date32[day]", "exact": "string",
        "nan": "double", "flag": "bool", "small": "int64", "document": "string", "several": "string", "span": "string",
        "bytes": "string", "clock": "string", "word": "string", "numbers": "string", "flags": "string",
        "moments": "string",
    }  # fmt: skip
    first, second = table.to_pylist()
    assert math.isnan(first.pop("nan"))
    assert first == {
        "moment": datetime(2018, 4, 4, 10, 0, 0, 123456, tzinfo=UTC), "local": datetime(2018, 4, 4, 12),
        "date": date(2018, 4, 4), "exact": "1234567890123456789.0123456789", "flag": True, "small": 7,
        "document": '[1,{"a":null}]', "several": '["1.5",null]', "span": "1 day", "bytes": "\\x00ff",
        "clock": "09:30:00", "word": "a", "numbers": "[1,null]", "flags": "[true]",
        "moments": '["2018-04-04T00:00:00Z"]',
    }  # fmt: skip
    assert set(second.values()) == {None}


def test_json_and_csv_of_a_statement_have_the_documented_values(owner: ApiClient) -> None:
    answer = owner.send("POST", "/sql", {"future": 1}, body={"query": TYPES})
    owner.check("post", "/sql", answer)
    row = answer.json["rows"][0]
    assert row == [
        "2018-04-04T10:00:00.123456Z", "2018-04-04 12:00:00", "2018-04-04", "1234567890123456789.0123456789", None,
        True, 7, [1, {"a": None}], ["1.5", None], "1 day", "\\x00ff", "09:30:00", "a",
        [1, None], [True], ["2018-04-04T00:00:00Z"],
    ]  # fmt: skip
    body = owner.send("POST", "/sql", {"future": 1}, body={"query": TYPES, "format": "csv"}).body.decode()
    _, values, nothing = csv.reader(io.StringIO(body))
    assert values == [
        "2018-04-04T10:00:00.123456Z", "2018-04-04 12:00:00", "2018-04-04", "1234567890123456789.0123456789", "nan",
        "true", "7", '[1,{"a":null}]', '["1.5",null]', "1 day", "\\x00ff", "09:30:00", "a",
        "[1,null]", "[true]", '["2018-04-04T00:00:00Z"]',
    ]  # fmt: skip
    types = [column["type"] for column in answer.json["columns"]]
    assert types[8:9] + types[13:] == ["numeric[]", "int4[]", "bool[]", "timestamptz[]"]
    assert nothing == [""] * 16


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT 'infinity'::timestamptz AS at", "query: column at: expected times in the years 1 to 9999"),
        ("SELECT '0044-03-15 BC'::date AS day", "query: column day: expected times in the years 1 to 9999"),
        ("SELECT 1 AS a, 2 AS a", "query: got the column a twice, expected distinct names; name them with AS"),
    ],
)
def test_what_a_table_cannot_hold_is_refused(owner: ApiClient, query: str, expected: str) -> None:
    refused = owner.send("POST", "/sql", {"future": 1}, body={"query": query, "format": "arrow"})
    assert (refused.status, refused.json["detail"][: len(expected)]) == (400, expected)
    assert owner.send("POST", "/sql", {"future": 1}, body={"query": query}).status == 200


def test_statements_read_within_their_limits(owner: ApiClient, store: str) -> None:
    insert_bars(store, day_bars("coinbase", "BTC/USD", [1.5, 2.5, 3.5]))

    def asked(query: str, status: int = 200, **options: Any) -> Any:
        body = {"query": query, **({"format": options.pop("format")} if "format" in options else {})}
        answer = owner.send("POST", "/sql", {"future": 1, **options}, body=body)
        assert answer.status == status, answer.body
        if answer.headers["content-type"] in ("application/json", "application/problem+json"):
            owner.check("post", "/sql", answer)
        return answer

    found = asked("SELECT symbol, ts, close, rev, 1.25::numeric AS n, '{\"a\": [1]}'::jsonb AS j FROM bars ORDER BY ts")
    assert [c["type"] for c in found.json["columns"]] == ["text", "timestamptz", "float8", "int4", "numeric", "jsonb"]
    assert found.json["rows"][0] == ["BTC/USD", "2018-04-04T00:00:00Z", 1.5, 0, "1.25", {"a": [1]}]
    assert (found.json["truncated"], found.headers.get("x-tapedeck-truncated")) == (False, None)
    cut = asked("SELECT close FROM bars ORDER BY ts", limit=2)
    assert (cut.json["rows"], cut.json["truncated"]) == ([[1.5], [2.5]], True)
    assert cut.headers["x-tapedeck-truncated"] == "rows"
    assert not asked("SELECT close FROM bars ORDER BY ts", limit=3).json["truncated"]
    for format_ in ("json", "csv", "arrow", "parquet"):
        large = asked("SELECT repeat('x', 9000000) AS text FROM generate_series(1, 3)", format=format_)
        assert large.headers["x-tapedeck-truncated"] == "bytes"
        assert large.body.count(b"x") < 18_000_000
    assert large.table.num_rows == 1
    table = asked("SELECT close, symbol, NULL::int4 AS nothing FROM bars ORDER BY ts", format="arrow").table
    assert [table.column(name).to_pylist() for name in table.column_names] == [
        [1.5, 2.5, 3.5], ["BTC/USD"] * 3, [None] * 3,
    ]  # fmt: skip
    assert asked("SELECT 1 AS a WHERE false", format="csv").body == b"a\n"
    for statement in (
        "DELETE FROM bars", "SET statement_timeout = 0", "SELECT 1; DELETE FROM bars", "SELEC 1", "SELECT x FROM bars",
        "WITH d AS (DELETE FROM bars RETURNING 1) SELECT * FROM d", "SELECT pg_read_file('/etc/passwd')", "",
        "SELECT 1/0", "SELECT array_fill(1, ARRAY[600000])", "SELECT to_jsonb(array_fill(true, ARRAY[600000]))",
    ):  # fmt: skip
        assert asked(statement, status=400).json["detail"].startswith(("query: ", "body: "))
    wrong = asked("SELECT close,\n  nothing FROM bars", status=400)
    assert wrong.json["detail"] == 'query: column "nothing" does not exist, at line 2, column 3'
    assert asked("SELECT pg_sleep(5)", status=504).json["reason"] == "QueryTooSlow"
    for name in ("pg_advisory_lock", "PG_TRY_ADVISORY_XACT_LOCK_SHARED", '"pg_terminate_backend"', "pg_cancel_backend"):
        said = asked(f"SELECT set_config('a.b', '0', false), {name}(7)", status=400).json["detail"]
        assert said.startswith(f"query: got {name.strip(chr(34))}, expected functions that only read")
    unlimited = "SELECT set_config('statement_timeout', '0', false), CASE WHEN n > 150 THEN pg_sleep(9)::text END"
    assert asked(f"{unlimited} FROM generate_series(1, 200) AS n", status=504).json["status"] == 504
    assert owner.send("POST", "/sql", {}, body={"query": "SELECT 1"}).json["reason"] == "RequestDenied"
    bound = ApiClient(owner.gateway, BOUND).send("POST", "/sql", {"future": 1}, body={"query": "SELECT 1"})
    assert bound.status == 403
    assert bound.json["detail"].startswith("token: got that of 'desk', which is bound to the namespace 'desk-1'")
    for token, status in ((READER, 403), ("", 401)):
        refused = ApiClient(owner.gateway, token).send("POST", "/sql", {"future": 1}, body={"query": "SELECT 1"})
        assert (refused.status, refused.headers["content-type"]) == (status, "application/problem+json")
    for path in ("/openapi.json", "/docs", "/docs.css"):
        assert ApiClient(owner.gateway).send("GET", path).status == 200
    assert ApiClient(owner.gateway).send("GET", "/exchanges").status == 401
    with psycopg.connect(store) as connection:
        assert connection.execute("SELECT count(*) FROM bars").fetchone() == (3,)
        assert connection.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() == (0,)
