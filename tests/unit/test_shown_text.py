"""Text from outside on its ways out: no terminal, page or dashboard gets characters that it would obey."""

from __future__ import annotations

import http.client
import json
import struct
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tapedeck_common import wire
from tapedeck_common.market import Point, Ticker, Trade, market_time_end
from tapedeck_common.pod.probe_server import SIGNATURE_HEADER, ProbeServer, sign
from tapedeck_common.records import RunTrade
from tapedeck_common.settings import PodSettings
from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.report import FeedReport, Report
from tapedeck_crds.resource import Column
from tapedeck_crds.text import printable, quoted
from tapedeck_deck.cli.logs import print_files
from tapedeck_deck.cli.output import JSON, YAML, OutputFormat, as_text
from tapedeck_deck.cli.printing import print_note
from tapedeck_deck.cli.text_table import TextTable, row
from tapedeck_recorder.rows.batch import storable_text
from tapedeck_recorder.rows.copy_binary import point_row, run_trade_row, ticker_row, trade_row

HOSTILE = "a\x1b]0;owned\x07b\x1b[2Jc\x9b31md\u202ee\u2066f\u200bg\u2028h\rj"
NOW = int(time.time() * 1_000)


def is_shown_safely(text: str) -> bool:
    return text.replace("\n", "").replace("\t", "").isprintable() and "owned" in text


def test_characters_that_are_not_visible_are_escaped() -> None:
    assert printable("BTC/USD 币安 é") == "BTC/USD 币安 é"
    assert printable("a\x1b\u202e\ud800b") == "a\\x1b\\u202e\\ud800b"
    assert is_shown_safely(printable(HOSTILE)) and is_shown_safely(quoted(HOSTILE))
    assert len(quoted("x" * 500)) == 62


def test_tables_of_the_command_line() -> None:
    document = {"metadata": {"name": HOSTILE}, "status": {"message": HOSTILE}}
    columns = [Column(name="Message", type="string", json_path=".status.message")]
    lines = TextTable(["name", "message"]).lines([row(document, columns, datetime.now(UTC))])
    assert all(map(str.isprintable, lines)) and is_shown_safely(lines[1])


@pytest.mark.parametrize("output", [JSON, YAML])
def test_documents_of_the_command_line_keep_their_values(output: OutputFormat) -> None:
    value = {"message": HOSTILE, "name": "币安", "lines": "a\nb"}
    text = as_text(value, output)
    assert is_shown_safely(text)
    assert (json.loads(text) if output == JSON else yaml.safe_load(text)) == value
    assert "币安" in as_text({"name": "币安"}, output)


def test_logs_and_notes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "log").write_bytes(f"first\n\t{HOSTILE}\n".encode() + b"\xff\n")
    print_files([tmp_path / "log"], None)
    print_note(f"error: {HOSTILE}")
    shown = capsys.readouterr()
    assert is_shown_safely(shown.out) and is_shown_safely(shown.err)
    assert shown.out.startswith("first\n\ta\\x1b]0;owned")


def test_reports_of_pods() -> None:
    refused = [{"reason": HOSTILE, "place": HOSTILE, "rows": 1}]
    body = json.dumps({"message": HOSTILE, "reason": HOSTILE, "refused_rows": 1, "refused": refused})
    report = FeedReport.model_validate_json(body, by_name=True)
    shown = (report.message, report.reason, report.refused[0].reason, report.refused[0].place)
    assert all(map(is_shown_safely, shown))


def test_text_of_the_store() -> None:
    assert is_shown_safely(storable_text(HOSTILE))
    trade = RunTrade("run", 1, "A/B", "long", 1.0, NOW, 1.0, NOW, 1.0, 0.0, 0.0, 0.0, HOSTILE, HOSTILE)
    *_, entry, exit_ = fields_of(run_trade_row(trade))
    assert is_shown_safely(entry.decode()) and entry == exit_


def fields_of(data: bytes) -> list[bytes]:
    """The fields of a row of COPY BINARY."""
    (count,) = struct.unpack_from(">h", data)
    at, fields = 2, []
    for _ in range(count):
        (length,) = struct.unpack_from(">i", data, at)
        fields.append(data[at + 4 : at + 4 + max(length, 0)])
        at += 4 + max(length, 0)
    return fields


@pytest.mark.parametrize("field", ["exchange", "symbol", "id", "series", "ts", "rev"])
@pytest.mark.parametrize(
    "value",
    ["", "a\x1bb", "a\u202eb", "a\nb", NOW + 3 * 366 * 86_400_000, 2**31 - 1, -1],
    ids=["empty", "escape", "bidi", "newline", "in three years", "rev", "negative"],
)
def test_records_with_hostile_names_times_and_revisions_are_refused(field: str, value: Any) -> None:
    records: tuple[tuple[Any, Callable[[Any], bytes]], ...] = (
        (Trade("x", "A/B", NOW, "1", 1.0, 1.0, "buy"), lambda record: trade_row(record, "live")),
        (Ticker("x", "A/B", NOW, 1.0), lambda record: ticker_row(record, "backfill")),
        (Point("x", "A/B", "1m", "sma", NOW, 1.0), lambda record: point_row(record, "live")),
    )
    for record, encode in records:
        assert encode(record)
        fitting = isinstance(value, int) if field in ("ts", "rev") else isinstance(value, str)
        if field not in record.__struct_fields__ or not fitting:
            continue
        if (field, value) == ("ts", 2**31 - 1) or (field == "id" and not value):
            continue  # a time of 1970; points of bars have no id
        changed = type(record)(**{name: getattr(record, name) for name in record.__struct_fields__} | {field: value})
        with pytest.raises(InvalidInput):
            encode(changed)


def test_a_simulated_market_may_be_of_any_time() -> None:
    later = market_time_end()
    assert datetime.fromtimestamp(later / 1_000, UTC) == datetime(datetime.now(UTC).year + 2, 1, 1, tzinfo=UTC)
    ticker = Ticker("replay.mine", "A/B", later, 1.0)
    assert ticker_row(ticker, "replay")
    with pytest.raises(InvalidInput, match="end of next year"):
        ticker_row(ticker, "live")


def test_a_long_header_is_refused_before_it_is_kept() -> None:
    assert wire.origin_of([(wire.HEADER, b"1;live")]).source == "live"
    with pytest.raises(InvalidInput, match="got 1000007 bytes, expected at most 256"):
        wire.origin_of([(wire.HEADER, b"1;replay;" + b"u" * 999_998)])


@pytest.mark.parametrize("signature", ["é" * 32, "\u0444", "", "0" * 64])
def test_a_control_with_a_strange_signature_is_forbidden(tmp_path: Path, signature: str) -> None:
    (tmp_path / "key").write_text("its-key")
    settings = PodSettings(control_key_file=tmp_path / "key")
    with ProbeServer(settings, report=Report, control=lambda body: None) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        for given, expected in ((signature, 403), (sign(b"its-key", b"{}"), 202)):
            connection.request("POST", "/control", b"{}", {SIGNATURE_HEADER: given.encode()})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == expected
        connection.close()
