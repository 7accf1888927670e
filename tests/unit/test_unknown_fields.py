"""A field that a resource does not have: the message names the one that was meant."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from tapedeck_crds.parse import InvalidResource, parse_resource
from tapedeck_crds.validation import validation_problems

STORE = {"store": {"exchange": "x", "symbols": ["A/B"], "from": "2018-04-04T00:00:00Z"}}


def _problems(kind: str, spec: dict[str, Any]) -> list[str]:
    document = {"apiVersion": "tapedeck.dev/v1alpha1", "kind": kind, "metadata": {"name": "a"}, "spec": spec}
    with pytest.raises(InvalidResource) as caught:
        parse_resource(document)
    return caught.value.problems


@pytest.mark.parametrize(
    ("kind", "spec", "place", "meant"),
    [
        ("Replay", {"source": STORE, "sped": 1}, "spec.sped", "speed"),
        ("Replay", {"source": STORE, "at_end": 1}, "spec.at_end", "atEnd"),
        ("Replay", {"source": {"store": {"symbol": 1}}}, "spec.source.store.symbol", "symbols"),
        ("Replay", {"scenario": [{"shock": {"percnt": 1}}]}, "spec.scenario[0].shock.percnt", "percent"),
        ("Backtest", {"broker": {"csh": 1}}, "spec.broker.csh", "cash"),
        ("Feed", {"source": {"files": {"sets": [{"symbl": 1}]}}}, "spec.source.files.sets[0].symbl", "symbol"),
    ],
)
def test_the_nearest_field_is_named(kind: str, spec: dict[str, Any], place: str, meant: str) -> None:
    assert f"{place}: got 1, expected no field of this name; did you mean {meant}?" in _problems(kind, spec)


def test_a_field_that_is_near_none_is_only_refused() -> None:
    assert _problems("Replay", {"source": STORE, "zzz": 1}) == ["spec.zzz: got 1, expected no field of this name"]


class Inner(BaseModel, extra="forbid"):
    high: int = 0


class Outer(BaseModel, extra="forbid"):
    by_name: dict[str, Inner | None] = {}
    either: list[Inner] | int = 0


def test_maps_and_unions_lead_to_their_models() -> None:
    for document, near in (({"by_name": {"a": {"hihg": 1}}}, "high"), ({"either": [{"hgih": 1}]}, "high")):
        with pytest.raises(ValidationError) as caught:
            Outer.model_validate(document)
        (first, *_) = validation_problems(caught.value, model=Outer)
        assert first.endswith(f"; did you mean {near}?")
        assert "did you mean" not in validation_problems(caught.value)[0]
