"""The rows of a user's statement, cut by their number and by their bytes, without a database."""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar

import pytest

from tapedeck_crds.errors import InvalidInput
from tapedeck_gateway.store import statement
from tapedeck_gateway.store.refused_functions import refuse_functions


class ListedCursor:
    """A cursor that has these rows."""

    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self._rows = iter(rows)
        self.most = 0
        """The most rows that were asked for at once."""

    def fetchmany(self, size: int) -> list[tuple[Any, ...]]:
        self.most = max(self.most, size)
        return [row for _, row in zip(range(size), self._rows, strict=False)]


class NoDeadline:
    def arm(self) -> None:
        pass


def read(rows: list[tuple[Any, ...]], limit: int) -> tuple[list[list[Any]], str]:
    cursor: Any = ListedCursor(rows)
    deadline: Any = NoDeadline()
    return statement._rows(cursor, limit, deadline)


class CountedSize(int):
    """A size that counts how often it is added up."""

    added: ClassVar[Counter[str]] = Counter()

    def __add__(self, other: int) -> int:
        self.added["all"] += 1
        return int(self) + int(other)

    __radd__ = __add__


def test_the_work_grows_with_the_rows_and_not_with_their_square(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statement, "value_bytes", lambda _: CountedSize(300))
    found, cut = read([(number,) for number in range(5_000)], 50_000)
    assert (len(found), cut) == (5_000, "")
    assert 0 < CountedSize.added["all"] <= 3 * 5_000


@pytest.mark.parametrize(("limit", "cut"), [(2, "rows"), (3, ""), (4, "")])
def test_rows_above_the_limit_are_cut(limit: int, cut: str) -> None:
    found = read([(1,), (2,), (3,)], limit)
    assert found == ([[1], [2], [3]][:limit], cut)


def test_rows_that_have_no_room_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statement, "RESULT_BYTES", 1_000)
    text = "x" * 300  # some 400 bytes a row
    assert read([(text,)] * 5, 10) == ([[text]] * 2, "bytes")
    assert read([(text,)] * 2, 10) == ([[text]] * 2, "")
    assert read([(text,)] * 5, 1) == ([[text]], "rows")
    with pytest.raises(InvalidInput, match="got a row of more than 0 MiB, expected smaller ones"):
        read([("x" * 1_000,)], 10)


def test_the_kinds_of_columns() -> None:
    kinds = {name: statement.ResultColumn("a", name).kind for name in ("int8", "numeric", "timestamptz", "uuid")}
    assert kinds == {"int8": "integer", "numeric": "text", "timestamptz": "timestamptz", "uuid": "text"}


@pytest.mark.parametrize(
    "query",
    [
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity",
        "SELECT pg_catalog.Pg_Cancel_Backend(1)",
        'SELECT "pg_advisory_lock"(1)',
        "SELECT pg_try_advisory_xact_lock_shared(1)",
        "SELECT query_to_xml('SELECT pg_ter' || 'minate_backend(1)', true, true, '')",
        "SELECT ts_stat('SELECT 1')",
        'SELECT U&"pg\\005fadvisory_lock"(1)',
        "SELECT u& 'x'",
        "SELECT pg_read_file('x')",
        "SELECT lo_import('/etc/passwd')",
    ],
)
def test_functions_that_act_on_others_are_refused(query: str) -> None:
    with pytest.raises(InvalidInput, match=r"^query: got .* expected .*; "):
        refuse_functions(query)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT close AS lo_close, pg_typeof(close), pg_size_pretty(1::bigint), pg_sleep(1) FROM bars",
        "SELECT a.pid, b.usename FROM pg_stat_activity a, pg_user b WHERE 'u' <> 'x' AND 1&2 > 0",
    ],
)
def test_functions_that_read_are_not_refused(query: str) -> None:
    refuse_functions(query)
