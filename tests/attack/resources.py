"""Hostile resources: documents with wrong fields, and texts that are hardly YAML."""

from __future__ import annotations

import json
import random
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from attack import hostile
from attack.outcome import Outcome
from corpus_cases import cases
from tapedeck_crds.errors import TapedeckError
from tapedeck_crds.parse import parse_resource
from tapedeck_deck.embedded import documents
from tapedeck_operator.plan import Observed, Settings, plan

SETTINGS = Settings(
    images={name: f"i/{name}:1" for name in ("feed", "replay", "transform", "backtest")},
    operator_key=b"secret",
    results_key=b"results",
)
NOW = 1_767_225_600_000
MESSAGE_CHARS = 20_000


def _accepted() -> list[Any]:
    return [case.document for case in cases() if case.says is None and case.before is None]


def resources(rng: random.Random, count: int, outcome: Outcome) -> None:
    """Each is refused with a message, or planned."""
    sound = _accepted()
    for _ in range(count):
        document = hostile.mutated(rng, rng.choice(sound))
        outcome.attempt(document, partial(_planned, document))


def _planned(document: Any) -> str | None:
    try:
        resource = parse_resource(document)
    except TapedeckError as error:
        return _unfit(str(error))
    json.dumps(plan(resource, Observed(), NOW, SETTINGS).status)
    return None


def yaml_texts(rng: random.Random, count: int, outcome: Outcome) -> None:
    """Each is refused with a message, or read."""
    sound = [yaml.safe_dump(document, allow_unicode=True) for document in _accepted()]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "document.yaml"
        for _ in range(count):
            text = _spoilt(rng, rng.choice(sound))
            path.write_bytes(text.encode("utf-8", "surrogatepass"))
            outcome.attempt(text, partial(_read, path))


def _read(path: Path) -> str | None:
    try:
        for document in documents.read([str(path)]):
            parse_resource(document.content)
    except TapedeckError as error:
        return _unfit(str(error))
    return None


def _unfit(message: str) -> str | None:
    if len(message) > MESSAGE_CHARS:
        return f"a message of {len(message):,} characters"
    return None


def _spoilt(rng: random.Random, text: str) -> str:
    """The text with one or more parts cut, repeated or replaced; or a text made to be expensive."""
    if rng.random() < 0.1:
        return rng.choice(EXPENSIVE)(rng)
    for _ in range(rng.randint(1, 4)):
        at, to = sorted(rng.choices(range(len(text) + 1), k=2))
        to = min(to, at + 30)
        text = text[:at] + rng.choice((hostile.text(rng), "", text[at:to] * 3, rng.choice(INDICATORS))) + text[to:]
    return text


INDICATORS = ("&a ", "*a", "<<: *a\n", "? ", ": ", "- ", "{", "}", "[", "|", ">", "!!python/object/apply:os.system ",
              "!!binary ", "---\n", "...\n", "%YAML 9.9\n", "\t", "#", "'", '"', "@", "`")  # fmt: skip
EXPENSIVE = (
    lambda rng: "[" * rng.randrange(50, 20_000),
    lambda rng: "{a: " * rng.randrange(50, 5_000),
    lambda rng: "- " * rng.randrange(50, 5_000) + "x",
    lambda rng: (
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9))
    ),
    lambda rng: (
        "a0: &a0 {x: 1}\n"
        + "".join(f"a{n + 1}: &a{n + 1} {{<<: [*a{n}, *a{n}], k{n}: 1}}\n" for n in range(rng.randrange(10, 26)))
    ),
    lambda rng: "x: '" + "a" * 500_000 + "'",
    lambda rng: "".join(f"k{n}: {n}\n" for n in range(20_000)),
    lambda rng: "x: " + "9" * 100_000,
    lambda rng: "x: 1:" + "59:" * 10_000 + "59",
)
