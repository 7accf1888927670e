"""Logs: one event a line with the same fields, repetitions counted, and no secret in any line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import structlog

from tapedeck_common.logs.repeats import FIRST_SECONDS, EventDict, RepeatFilter
from tapedeck_common.logs.secrets import hide_secret, without_secrets
from tapedeck_crds.json import Json

PROGRAM = """
import logging, sys, threading, warnings
from tapedeck_common.logs import configure_logging, hide_secret, log
resource = {"kind": "Feed", "namespace": "n", "name": "f", "uid": "u-1", "shard": ""}
configure_logging("info", {"workload": "feed", **resource})
"""


def lines_of(program: str, **environment: str) -> list[Json]:
    """The lines that a program logs; each must be JSON."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + program],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_each_line_has_the_fields_of_its_pod_also_from_a_thread_and_a_library() -> None:
    lines = lines_of(
        """
log.info("started", symbol="A/B", topic="market.bars", partition=3, offset=7)
thread = threading.Thread(target=lambda: log.info("in a thread")); thread.start(); thread.join()
logging.getLogger("uvicorn.error").warning("bad request of %s", "1.2.3.4")
logging.getLogger("librdkafka").error("FAIL [rdkafka#producer-1] [thrd:x]: x: Connect failed: no route")
warnings.warn("old")
"""
    )
    events = [line["event"] for line in lines]
    assert events[:4] == ["started", "in a thread", "bad request of 1.2.3.4", "librdkafka"]
    assert "UserWarning: old" in events[4]
    for line in lines:
        of_pod = {name: line[name] for name in ("workload", "kind", "namespace", "name", "uid")}
        assert of_pod == {"workload": "feed", "kind": "Feed", "namespace": "n", "name": "f", "uid": "u-1"}
        assert "shard" not in line
        assert line["timestamp"].endswith("Z")
    started, _, uvicorn, kafka, _ = lines
    assert (started["symbol"], started["topic"], started["partition"], started["offset"]) == (
        "A/B",
        "market.bars",
        3,
        7,
    )
    assert (uvicorn["level"], uvicorn["logger"]) == ("warning", "uvicorn.error")
    assert (kafka["level"], kafka["facility"], kafka["client"]) == ("error", "FAIL", "rdkafka#producer-1")
    assert kafka["message"] == "[thrd:x]: x: Connect failed: no route"


def test_what_nobody_caught_is_one_line() -> None:
    thread = "thread = threading.Thread(target=lambda: [][1], name='reader'); thread.start(); thread.join()\n"
    in_thread, at_end = lines_of(thread + "1 / 0")
    assert (in_thread["event"], in_thread["level"], in_thread["thread"]) == ("uncaught error", "critical", "reader")
    assert in_thread["exception"].endswith("IndexError: list index out of range")
    assert at_end["exception"].endswith("ZeroDivisionError: division by zero")
    assert "thread" not in at_end


def test_no_line_holds_a_secret() -> None:
    """Whether the program writes it, a library, an exception or a repeated line; also as a URI and JSON hold it."""
    secrets = ['p/a:ss"w', "k3y-of-results", "sk-live-1"]
    given = "".join(f"hide_secret({secret!r})\n" for secret in secrets)
    lines = lines_of(
        given
        + """
password, key, token = 'p/a:ss"w', "k3y-of-results", "sk-live-1"
log.warning("cannot connect", reason=f"password {password} of {key}", nested={"list": [token]})
for _ in range(3):
    log.warning("again", dsn="postgresql://me:p%2Fa%3Ass%22w@db/x")
logging.getLogger("aiohttp").error("GET https://x/?apiKey=%s", token)
try:
    raise ValueError(f"rejected {password}")
except ValueError:
    log.exception("failed")
raise RuntimeError(token)
"""
    )
    assert [line["event"] for line in lines] == [
        "cannot connect", "again", "GET https://x/?apiKey=***", "failed", "uncaught error", "again"
    ]  # fmt: skip
    text = json.dumps(lines)
    assert not any(form in text for secret in secrets for form in (secret, json.dumps(secret)[1:-1], "p%2Fa%3Ass%22w"))
    assert lines[0]["nested"] == {"list": ["***"]}
    assert lines[-1]["repeated"] == 2


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("postgresql://me:hunter2@db:5432/x", "postgresql://me:***@db:5432/x"),
        ("host=db password=hunter2 user=me", "host=db password=*** user=me"),
        ("sasl.password=hunter2, x", "sasl.password=***, x"),
        ("Authorization: Bearer abcdefgh12345", "Authorization: Bearer ***"),
        ("https://s3/x?X-Amz-Signature=0aff&y=1", "https://s3/x?X-Amz-Signature=***&y=1"),
        ("token: got none, expected `Authorization: Bearer <token>`", None),
        ("http://127.0.0.1:8750/ and a@b", None),
    ],
)
def test_what_looks_like_a_secret_is_hidden_too(line: str, shown: str | None) -> None:
    assert without_secrets(line) == (shown or line)


def test_a_short_text_is_no_secret() -> None:
    hide_secret("abc")
    hide_secret("")
    assert without_secrets("abc") == "abc"


class Times:
    """A filter at a time that the test sets, with the lines that it writes by itself."""

    def __init__(self) -> None:
        self.now = 0.0
        self.written: list[EventDict] = []
        self._filter = RepeatFilter(self.written.append, lambda: self.now)

    def log(self, event: str, level: str = "warning", **fields: Any) -> int | None:
        """How many lines this one stands for beside itself; None where it is kept back."""
        try:
            passed = self._filter(None, level, {"event": event, "level": level, "timestamp": self.now, **fields})
        except structlog.DropEvent:
            return None
        return int(passed.get("repeated", 0))

    def flush(self) -> None:
        self._filter.flush()


def test_repeated_failures_are_counted() -> None:
    times = Times()
    assert times.log("unreachable", reason="port 5432: refused after 3 ms") == 0
    assert times.log("unreachable", reason="port 5432: refused after 12 ms") is None
    assert times.log("unreachable", reason="no such host") == 0, "another failure"
    assert times.log("done", level="info") == times.log("done", level="info") == 0
    times.now = FIRST_SECONDS
    assert times.log("unreachable", reason="port 5432: refused after 4 ms") == 2
    times.now += FIRST_SECONDS
    assert times.log("unreachable", reason="port 5432: refused after 4 ms") is None, "the wait has doubled"
    times.now += FIRST_SECONDS
    assert times.log("unreachable", reason="port 5432: refused after 4 ms") == 2
    assert times.written == []


def test_repetitions_that_end_are_told_all_the_same() -> None:
    times = Times()
    times.log("unreachable", sink="a")
    times.log("unreachable", sink="a")
    times.now = 2 * FIRST_SECONDS
    assert times.log("works", level="info") == 0
    assert [(line["event"], line["repeated"], line["timestamp"]) for line in times.written] == [("unreachable", 1, 0.0)]
    times.log("other")
    times.log("other")
    times.flush()
    assert [(line["event"], line["repeated"]) for line in times.written[1:]] == [("other", 1)]


def test_a_failure_after_a_long_quiet_time_is_new() -> None:
    times = Times()
    assert times.log("unreachable") == 0
    times.now = 3 * FIRST_SECONDS
    assert times.log("unreachable") == 0


def test_an_unwritable_log_ends_no_program(tmp_path: Path) -> None:
    from tapedeck_common.logs import UnfailingLog

    with (tmp_path / "log").open("w") as file:
        descriptor = file.fileno()
    assert UnfailingLog(descriptor).write("x\n") == 2  # it is closed
