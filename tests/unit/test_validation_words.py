"""What a pattern asks for is said in words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tapedeck_crds.base import TIME_PATTERN
from tapedeck_crds.errors import TapedeckError
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import KINDS
from tapedeck_crds.parse import parse_resource
from tapedeck_crds.patterns import IN_WORDS

# Their fields have a check of their own, which says the rule.
CHECKED = ("^@?[^\\x00", TIME_PATTERN, "^[^{}/]*(", "^forever$")


def patterns(schema: object) -> Iterator[str]:
    """The patterns of a schema."""
    if isinstance(schema, dict):
        if isinstance(pattern := schema.get("pattern"), str):
            yield pattern
        schema = [*schema.values()]
    if isinstance(schema, list):
        for each in schema:
            yield from patterns(each)


@pytest.mark.parametrize("kind", KINDS)
def test_each_pattern_of_a_kind_has_words(kind: str) -> None:
    found = {each for each in patterns(KINDS[kind].model_json_schema()) if not each.startswith(CHECKED)}
    assert found and found <= IN_WORDS.keys(), found - IN_WORDS.keys()


def test_a_name_that_is_not_allowed() -> None:
    document: Json = {
        "apiVersion": "tapedeck.dev/v1alpha1", "kind": "Replay", "metadata": {"name": "My_Replay"}, "spec": {},
    }  # fmt: skip
    with pytest.raises(TapedeckError) as failure:
        parse_resource(document)
    expected = "got 'My_Replay', expected a name of a-z, 0-9 and -, with a letter or a digit at both ends"
    assert f"metadata.name: {expected}" in str(failure.value)
