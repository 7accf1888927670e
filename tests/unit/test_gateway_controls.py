"""What requests about resources say: controls of a Replay, manifests, patches, and tokens of one namespace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.json import Json
from tapedeck_gateway.access.tokens import Tokens
from tapedeck_gateway.resources.controls import parse_controls, patch_of
from tapedeck_gateway.resources.manifests import parse_manifest, parse_patch

NOON = "2018-04-04T12:00:00Z"
NOON_MS = 1_522_843_200_000
REPLAY = """\
apiVersion: tapedeck.dev/v1alpha1
kind: Replay
metadata: {name: tape}
spec:
  source: {store: {exchange: coinbase, symbols: [BTC/USD]}}
"""


def spec(**controls: Any) -> Json:
    found: Json = patch_of(parse_controls(json.dumps(controls).encode()))["spec"]
    return found


@pytest.mark.parametrize(
    ("controls", "expected"),
    [
        ({"paused": True}, {"paused": True}),
        ({"speed": 60}, {"speed": 60.0, "unpaced": False}),
        ({"unpaced": True}, {"unpaced": True}),
        ({"loop": 3, "until": NOON_MS}, {"loop": 3, "until": NOON}),
        ({"loop": "forever"}, {"loop": "forever"}),
        ({"loop": None, "until": None}, {"loop": None, "until": None}),
    ],
)
def test_a_control_is_a_patch_of_the_spec(controls: Json, expected: Json) -> None:
    assert spec(**controls) == expected


@pytest.mark.parametrize("time", [NOON_MS, NOON, "2018-04-04T12:00", "2018-04-04T14:00:00+02:00", {"to": NOON}])
def test_each_seek_has_an_id_of_its_own(time: object) -> None:
    first, second = spec(seek=time), spec(seek=time)
    assert first["seek"]["to"] == second["seek"]["to"] == NOON
    assert first["seek"]["id"] != second["seek"]["id"]
    assert first.keys() == {"seek"}


@pytest.mark.parametrize("step", [5, {"intervals": 5}])
def test_a_step_pauses(step: object) -> None:
    found = spec(step=step)
    assert (found["paused"], found["step"]["intervals"]) == (True, 5)


@pytest.mark.parametrize(
    ("controls", "message"),
    [
        ({}, "document: got {}, expected at least one control"),
        ({"speed": 0.01}, "speed: got 0.01, expected greater than or equal to 0.1"),
        ({"speed": 2, "unpaced": True}, "expected speed or unpaced: true, not both"),
        ({"seek": "noon"}, "seek: got 'noon', expected milliseconds UTC or a time like"),
        ({"seek": -1}, "seek: got -1, expected milliseconds UTC"),
        ({"seek": 10**18}, "seek: got 1000000000000000000, expected milliseconds UTC"),
        ({"seek": {"to": NOON, "id": "mine"}}, "seek: got {"),
        ({"step": 0}, "step.intervals: got 0, expected "),
        ({"step": True}, "step: got True, expected a number of intervals"),
        ({"step": 1, "paused": False}, "a step ends paused"),
        ({"loop": 0}, "loop: got 0, expected a number of rounds"),
        ({"speeed": 1}, "speeed: got 1, expected no field of this name"),
    ],
)
def test_a_control_that_is_wrong_is_named(controls: Json, message: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        parse_controls(json.dumps(controls).encode())
    assert message in str(raised.value)


def test_a_resource_that_was_read_can_be_created_again() -> None:
    document = parse_manifest(REPLAY.encode(), "Replay", "desk")
    servers = {"uid": "u", "resourceVersion": "7", "generation": 2, "creationTimestamp": "x", "managedFields": []}
    read = document | {"status": {"phase": "Running"}, "metadata": document["metadata"] | servers}
    assert parse_manifest(json.dumps(read).encode(), "Replay", "desk") == document
    assert document["metadata"] == {"name": "tape", "namespace": "desk"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (REPLAY.replace("Replay", "Feed"), "kind: got 'Feed', expected 'Replay'"),
        (REPLAY.replace("{name: tape}", "{name: tape, namespace: other}"), "metadata.namespace: got 'other', expected"),
        (REPLAY.replace("{name: tape}", "{name: tape, finalizers: [a]}"), "metadata.finalizers: expected annotations"),
        (REPLAY.replace("{name: tape}", "{name: tape, ownerReferences: []}"), "metadata.ownerReferences: expected"),
        (REPLAY + "  speed: 0\n", "spec.speed: got 0, expected greater than or equal to 0.1"),
        (REPLAY + "---\n" + REPLAY, "body: got 2 documents, expected one"),
        ("", "body: got 0 documents, expected one"),
        ("[" * 200, "body: got values nested more than 100 deep"),
        ("a: &a [1]\nb: [*a" + ", *a" * 300_000 + "]", "more than 200000 values"),
        ("kind: [", "body, document 1, line 1: did not find expected"),
        ("text", "body: got 'text', expected a mapping"),
    ],
)
def test_a_manifest_that_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        parse_manifest(text.encode(), "Replay", "desk")
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({}, "body: got an empty patch"),
        ({"status": {"phase": "Complete"}}, "status: expected a patch of spec"),
        ({"metadata": {"ownerReferences": []}}, "metadata.ownerReferences: expected a patch of spec"),
        ([], "body: got '[]', expected a mapping"),
    ],
)
def test_a_patch_changes_spec_labels_and_annotations_alone(patch: object, message: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        parse_patch(json.dumps(patch).encode(), "tape")
    assert message in str(raised.value)
    assert parse_patch(b'{"spec": {"speed": 60}}', "tape") == {"spec": {"speed": 60}}


def test_the_right_to_control_may_end_at_a_namespace(tmp_path: Path) -> None:
    (tmp_path / "ops.control").write_text("a" * 20)
    (tmp_path / "desk.control.team-a").write_text("b" * 20)
    (tmp_path / "page.read").write_text("c" * 20)
    tokens = Tokens(tmp_path)
    grants = [tokens.grant_of(letter.encode() * 20) for letter in "abc"]
    allowed = [[grant is not None and grant.may_control_in(name) for name in ("team-a", "team-b")] for grant in grants]
    assert allowed == [[True, True], [True, False], [False, False]]
