"""The file of a report, its buy-and-hold curve, and the command that saves it, without a database."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import msgspec
import pytest

from decks.command import NOT_RUNNING, Run
from tapedeck_common.version import VERSION
from tapedeck_crds.errors import Unavailable
from tapedeck_crds.json import Json
from tapedeck_crds.repeat import StoredRun
from tapedeck_deck.cli.report import find_run, gateway_client
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_gateway.api_types.run_details import HoldCurve, HoldPoint, RunDocument, RunInputs
from tapedeck_gateway.api_types.runs import RunReport
from tapedeck_gateway.routes.v1.report_file import filled, template
from tapedeck_gateway.routes.v1.run_inputs import defaults_taken, yaml_of
from tapedeck_gateway.routes.v1.run_market import plays_stored_bars
from tapedeck_gateway.store.run_bars import hold_points

HOSTILE = "</script><script>alert(1)</script><!-- & \u2028 __RUN_DOCUMENT__ \U0001f4c8"
TEMPLATE = b'<script type="application/json" id="run-document">__RUN_DOCUMENT__</script><script>start()</script>'


def document(text: str) -> RunDocument:
    report = RunReport(
        run_id="u-1", name=text, namespace="n", strategy=text, params={text: text}, exchange="x", symbols=[text],
        interval="1m", replay_uid="", cash=1.0, trials=0, state="complete", message=text, bars=0, metrics={},
        undefined={}, started_at=0, ended_at=0, shown_until=None, drawdowns=[], periods=[], positions=[], orders=[],
        analyses=None,
    )  # fmt: skip
    inputs = RunInputs("u-1", {}, text, text, {}, "1", "engine", None, "", {text: 2})
    return RunDocument(0, report, inputs, [], HoldCurve("u-1", [HoldPoint(5, 1.5)], "", None), [], [], text, 0)


def test_no_text_of_a_run_leaves_the_data_of_its_report() -> None:
    found = filled(TEMPLATE, document(HOSTILE)).decode()
    before, after = TEMPLATE.decode().split("__RUN_DOCUMENT__")
    assert found.startswith(before)
    assert found.endswith(after)
    data = found.removeprefix(before).removesuffix(after)
    assert not re.search("[<>&]", data)
    read = json.loads(data)
    assert read == json.loads(msgspec.json.encode(document(HOSTILE)))
    assert (read["report"]["name"], read["hold"]["points"]) == (HOSTILE, [[5, 1.5]])


@pytest.mark.parametrize("bad", [b"<html></html>", b"__RUN_DOCUMENT__ __RUN_DOCUMENT__"])
def test_a_template_has_one_place_for_the_data(bad: bytes) -> None:
    with pytest.raises(ValueError, match="places for the document, expected one"):
        filled(bad, document("x"))


def test_a_page_that_is_not_built_has_no_report(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="run `make page`"):
        template(tmp_path / "report.html")


def test_buy_and_hold_buys_equal_parts_at_the_first_closes() -> None:
    rows = [(1, 1, 10.0), (2, 1, 12.0), (3, 1, 5.0), (3, 2, 4.0), (4, 1, 20.0), (4, 2, 8.0)]
    found = hold_points(1_000.0, {1: 10.0, 2: 4.0}, rows)
    # 50 of the first and 125 of the second, which is bought at 3: until then its part is cash.
    assert [(p.ts, p.value) for p in found] == [(1, 1_000.0), (2, 1_100.0), (3, 750.0), (4, 2_000.0)]
    assert hold_points(1_000.0, {}, rows) == []


@pytest.mark.parametrize(
    ("replay", "stored"),
    [
        (None, True),
        ({"source": {"store": {"exchange": "x"}}}, True),
        ({"source": {"store": {"exchange": "x"}}, "scenario": []}, True),
        ({"source": {"store": {"exchange": "x"}}, "scenario": [{"shock": {}}]}, False),
        ({"source": {"synthetic": {"seed": 1}}}, False),
    ],
)
def test_bars_of_the_store_are_those_of_a_run_that_alters_none(replay: object, stored: bool) -> None:
    run = StoredRun("u", "b", "n", {}, "complete", {"replay": replay, "replay_name": "tape"})
    assert plays_stored_bars(run) == stored
    assert plays_stored_bars(StoredRun("u", "b", "n", {}, "running", None))


def test_the_yaml_of_a_run_is_its_resources() -> None:
    text = yaml_of(StoredRun("u", "cross", "n", {"strategy": {"builtin": "sma-cross"}}, "complete", None))
    assert text == (
        "apiVersion: tapedeck.dev/v1alpha1\nkind: Backtest\nmetadata:\n  name: cross\n  namespace: n\n"
        "spec:\n  strategy:\n    builtin: sma-cross\n"
    )


def gateway(request: httpx.Request) -> httpx.Response:
    """One run with the id u-1 of the Backtest cross; another address is no business of the client."""
    assert request.headers["authorization"] == "Bearer secret"
    if request.url.path == "/api/v1/runs/u-1/metrics":
        return httpx.Response(200, json={})
    if request.url.path == "/api/v1/runs":
        named = request.url.params["name"] in ("cross", "")
        return httpx.Response(200, json={"runs": [{"run_id": "u-1", "name": "cross"}] if named else []})
    if request.url.path == "/api/v1/runs/moved/metrics":
        return httpx.Response(307, headers={"location": "http://elsewhere.example/"})
    return httpx.Response(404, json={"detail": "run_id: unknown"})


def test_a_run_is_found_by_its_id_or_its_name() -> None:
    with gateway_client("http://127.0.0.1:1/", "secret", httpx.MockTransport(gateway)) as client:
        assert find_run(client, "u-1") == "u-1"
        assert find_run(client, "cross") == "u-1"
        for unknown in ("moved", "../x", ""):
            with pytest.raises(DeckError, match=r"run: got '.*', expected the id of a run, or its Backtest's name"):
                find_run(client, unknown)


def test_a_report_needs_a_running_deck(run: Run) -> None:
    answer = run("report", "cross")
    assert (answer.exit_code, answer.stderr) == (1, f"error: {NOT_RUNNING}")


@pytest.mark.parametrize(
    ("spec", "version", "expected"),
    [
        ({"strategy": {"builtin": "sma-cross", "params": {"fast": 20}}}, VERSION, {"slow": 30}),
        ({"strategy": {"builtin": "sma-cross"}, "sweep": {"params": [{"name": "slow"}]}}, VERSION, {"fast": 10}),
        ({"strategy": {"builtin": "sma-cross"}}, "0.0.1", None),
        ({"strategy": {"module": "my:Mine", "params": {"fast": 20}}}, VERSION, None),
        ({}, "", None),
    ],
)
def test_the_defaults_that_a_run_took_are_told_where_they_are_known(
    spec: Json, version: str, expected: dict[str, int] | None
) -> None:
    assert defaults_taken(spec, version) == expected
