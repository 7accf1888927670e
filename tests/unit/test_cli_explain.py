"""`tapedeck explain`, and the fields of kinds as the types define them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from decks.command import Run
from tapedeck_crds.fields import NO_DEFAULT, find_field, kind_fields
from tapedeck_crds.kinds import KINDS

CRDS = Path(__file__).parents[2] / "crds"


def test_explain_shows_a_field_as_kubectl_does(run: Run) -> None:
    lines = run("explain", "replay.spec.seek").stdout.splitlines()
    assert lines[:3] == ["KIND:     Replay", "VERSION:  tapedeck.dev/v1alpha1", ""]
    assert lines[3] == "FIELD:    seek <object>"
    assert "    Jump to another virtual time." in lines
    assert "  to <time> -required-" in lines
    assert "  id <string> -required-" in lines
    assert "    unit: RFC 3339 with an offset" in lines


def test_explain_shows_default_unit_values_and_limits(run: Run) -> None:
    speed = run("explain", "rp.spec.speed").stdout
    for fact in ("default: 1.0", "unit: virtual seconds per second", "limits: 0.1 to 1,000,000"):
        assert f"    {fact}\n" in speed
    assert "    one of: finish, hold\n" in run("explain", "replays.spec.atEnd").stdout
    assert "<integer or string>" in run("explain", "replay.spec.loop").stdout


def test_explain_goes_into_lists_and_shows_the_tree(run: Run) -> None:
    tree = run("explain", "feed.spec.source", "--recursive").stdout.splitlines()
    assert "    sets <[]object> -required-" in tree
    assert "      path <string> -required-" in tree
    for path in ("feed.spec.source.files.sets.path", "feed.spec.source.files.sets[].path"):
        assert "FIELD:    path <string> -required-" in run("explain", path).stdout
    document = json.loads(run("explain", "backtest.spec.sizer", "-o", "json").stdout)
    assert [each["path"] for each in document["fields"]][:2] == [
        "backtest.spec.sizer.fixed",
        "backtest.spec.sizer.percent",
    ]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("replay.spec.sek", "replay.spec: got 'sek', expected one of "),
        ("replay.spec.sek", "did you mean seek?"),
        ("replay.spec.speed.x", "replay.spec.speed: got 'x', expected no field below it"),
        ("pod.spec", "kind: got 'pod', expected one of feed, replay, backtest"),
        ("repaly", "did you mean replay?"),
    ],
)
def test_a_path_that_leads_nowhere_is_told(run: Run, path: str, message: str) -> None:
    answer = run("explain", path)
    assert answer.exit_code == 2
    assert message in answer.stderr


def _schema_paths(path: str, schema: dict[str, object]) -> set[str]:
    """Every path of a CRD's schema, read from its YAML without the code that explains it."""
    inner = schema.get("items") if schema.get("type") == "array" else schema
    assert isinstance(inner, dict)
    below = f"{path}[]" if schema.get("type") == "array" else path
    found = {below}
    properties = inner.get("properties") or {}
    for name, child in properties.items():
        found |= _schema_paths(f"{below}.{name}", child)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_a_crd_is_explained(kind: str) -> None:
    document = yaml.safe_load((CRDS / f"{KINDS[kind].plural}.yaml").read_text())
    root = document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    expected = {path for name in ("spec", "status") for path in _schema_paths(f"{kind.lower()}.{name}", root[name])}
    fields = [*kind_fields(kind).walk()]
    assert {field.path for field in fields} == expected
    assert [field.path for field in fields if not field.description] == []


# Written down from the descriptions by hand.
@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("feed.spec.lateness", "seconds"),
        ("feed.spec.maxRefusedPercent", "percent"),
        ("feed.spec.shards", ""),
        ("backtest.spec.broker.cash", "quote currency"),
        ("backtest.spec.limits.outputBytes", "bytes"),
        ("backtest.spec.data.warmupBars", "bars"),
        ("backtest.spec.sweep.walkForward.trainDays", "days"),
        ("backtest.spec.activeDeadlineSeconds", "seconds"),
        ("replay.spec.scenario.delay.seconds", "virtual seconds"),
        ("replay.spec.scenario.shock.duration", "seconds"),
        ("replay.spec.scenario.trend.percentPerDay", "percent per day"),
        ("replay.spec.source.synthetic.symbols.volume", "base currency"),
        ("replay.spec.source.store.from", "RFC 3339 with an offset"),
        ("replay.status.rangeFrom", "milliseconds UTC"),
        ("replay.spec.source.store.exchange", ""),
        ("replay.spec.step.intervals", "intervals"),
        ("replay.spec.transforms.sma.over", "values"),
        ("replay.spec.transforms.function.lookback", "records"),
        ("feed.spec.source.files.skipRows", "lines"),
        ("feed.spec.source.files.defaults.volume", "base currency"),
        ("feed.spec.source.files.defaults.amount", "base currency"),
        ("feed.status.backfill.rate", "bars per second"),
        ("backtest.spec.sizer.fixed", "units"),
        ("backtest.status.lowestValue", "quote currency"),
    ],
)
def test_units(path: str, unit: str) -> None:
    kind, *names = path.split(".")
    assert find_field(kind.capitalize(), names).unit == unit


def test_a_default_of_false_is_one() -> None:
    assert find_field("Replay", ["spec", "paused"]).default is False
    assert find_field("Replay", ["spec", "until"]).default is NO_DEFAULT
