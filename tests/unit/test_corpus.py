"""The corpus of resources against the types: each rule has a case that satisfies it and one that violates it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from attack.hostile import nested
from corpus_cases import Case, cases
from tapedeck_crds.base import Model, Rule
from tapedeck_crds.kinds import KINDS, Replay
from tapedeck_crds.parse import InvalidResource, parse_resource, parse_update
from tapedeck_crds.resource import API_VERSION, NAME_RULE

CASES = cases()


def _read(case: Case) -> None:
    if case.before is None:
        parse_resource(case.document)
    else:
        parse_update(case.document, parse_resource(case.before))


@pytest.mark.parametrize("case", [c for c in CASES if c.says is None], ids=str)
def test_accepts(case: Case) -> None:
    _read(case)


@pytest.mark.parametrize("case", [c for c in CASES if c.says is not None], ids=str)
def test_rejects_with_the_message(case: Case) -> None:
    with pytest.raises(InvalidResource) as caught:
        _read(case)
    assert case.says is not None
    assert case.says in str(caught.value)


def _models(kind: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    if kind in seen:
        return
    seen.add(kind)
    yield kind
    for field in kind.model_fields.values():
        for part in _parts(field.annotation):
            yield from _models(part, seen)


def _parts(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from _parts(part)


def test_every_rule_has_a_satisfying_and_a_violating_case(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes: dict[tuple[str, str], set[bool]] = {}

    def recording(owner: str, rule: Rule) -> Rule:
        seen = outcomes.setdefault((owner, rule.message), set())

        def holds(new: Any, old: Any) -> bool:
            answer = rule.holds(new, old)
            seen.add(answer)
            return answer

        return dataclasses.replace(rule, holds=holds)

    seen: set[type[BaseModel]] = set()
    for model in [m for kind in KINDS.values() for m in _models(kind, seen)]:
        if issubclass(model, Model) and model.rules:
            monkeypatch.setattr(model, "rules", tuple(recording(model.__name__, rule) for rule in model.rules))
    for case in CASES:
        if case.only is None:
            try:
                _read(case)
            except InvalidResource:
                assert case.says is not None
    assert len(outcomes) > 10
    assert {rule for rule, seen_ in outcomes.items() if seen_ != {True, False}} == set()


def test_the_name_rule_has_a_satisfying_and_a_violating_case() -> None:
    names = [(case.document["metadata"].get("name", ""), case.says) for case in CASES if case.before is None]
    assert str(40) in NAME_RULE.message
    assert max(len(name) for name, says in names if says is None) == 40
    assert min(len(name) for name, says in names if says and "metadata.name" in says and len(name) > 40) == 41


def test_null_counts_as_omitted() -> None:
    document = {
        "apiVersion": "tapedeck.dev/v1alpha1",
        "kind": "Replay",
        "metadata": {"name": "a", "labels": None},
        "spec": {"source": {"store": {"exchange": "c", "symbols": ["A/B"], "from": None}}, "speed": None, "seek": None},
    }
    replay = parse_resource(document)
    assert isinstance(replay, Replay) and replay.spec.source.store is not None
    assert (replay.spec.speed, replay.spec.seek, replay.spec.source.store.from_) == (1.0, None, None)


def test_a_message_lists_no_more_problems_than_one_reads() -> None:
    symbols = [{"symbol": "x" * 500, "path": ""}] * 40
    files = {"exchange": "x", "sets": symbols}
    document = {
        "apiVersion": API_VERSION,
        "kind": "Feed",
        "metadata": {"name": "a"},
        "spec": {"source": {"files": files}},
    }
    with pytest.raises(InvalidResource) as caught:
        parse_resource(document)
    assert len(caught.value.problems) == 21
    assert caught.value.problems[-1] == "60 more problems"


@pytest.mark.parametrize(
    "document",
    [
        {"apiVersion": API_VERSION, "kind": "Feed", "metadata": {"name": "x" * 9_000}, "spec": {}},
        {"apiVersion": "y" * 9_000, "kind": "Feed", "metadata": {"name": ["x"] * 9_000}, "spec": {}},
        {"kind": "z" * 9_000},
        ["x"] * 9_000,
        nested(101),
        {"apiVersion": API_VERSION, "kind": "Feed", "metadata": {"name": "a"}, "spec": nested(100_000)},
        {"apiVersion": API_VERSION, "kind": "Feed", "metadata": {"name": "a"}, "spec": {"exchange": "\ud800"}},
        {"apiVersion": API_VERSION, "kind": "Feed", "metadata": {"name": "a"}, "spec": {"a": [{"\udfff": 1}]}},
    ],
    ids=["name", "names", "kind", "list", "deep", "deeper", "surrogate", "surrogate key"],
)
def test_a_hostile_document_is_refused_in_few_words(document: Any) -> None:
    with pytest.raises(InvalidResource) as caught:
        parse_resource(document)
    assert len(str(caught.value)) < 1_000
