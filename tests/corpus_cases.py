"""The corpus of accepted and rejected resources as test cases."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tapedeck_crds.json import Json

FOLDER = Path(__file__).parent / "corpus"


@dataclass(frozen=True)
class Case:
    """A resource or, with ``before``, an update. ``says`` is part of the error; None if it is accepted."""

    title: str
    document: Json
    before: Json | None = None
    says: str | None = None
    only: str | None = None

    def __str__(self) -> str:
        return self.title


def cases() -> list[Case]:
    """All cases of the corpus."""
    return [case for path in sorted(FOLDER.glob("*.yaml")) for case in _of_file(path)]


def _of_file(path: Path) -> list[Case]:
    content = yaml.load(path.read_text(), yaml.CSafeLoader)
    base = content["base"]
    found = [
        Case(f"{path.stem}: {entry['case']}", merged(base, entry["with"]), None, entry.get("says"), entry.get("only"))
        for entry in [*content["accepted"], *content["rejected"]]
    ]
    for entry in [*content["updates"]["accepted"], *content["updates"]["rejected"]]:
        before, after = merged(base, entry["from"]), merged(base, entry["to"])
        found.append(Case(f"{path.stem}, update: {entry['case']}", after, before, entry.get("says"), entry.get("only")))
    assert all(("says" in entry) for entry in content["rejected"] + content["updates"]["rejected"])
    return found


def merged(base: Any, patch: Any) -> Any:
    """JSON Merge Patch (RFC 7386) without changing ``base``."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    out = copy.deepcopy(base) if isinstance(base, dict) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = merged(out.get(key), value)
    return out
