"""Code and prose avoid phrases that readers stumble over, and no class name has two meanings."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (".py", ".md", ".ts", ".css", ".html", ".yaml", ".yml", ".toml", ".tpl", ".txt", ".sql", ".sh", ".json")
NAMES = ("Makefile", "Dockerfile", "Tiltfile", "run", "build", "live")
# Each with a plain replacement in the terms of Kafka, Kubernetes or trading.
BANNED = {
    "anew": "again",
    "for want of": "because … is missing",
    "is not to be had": "is not available",
    "not to be had": "is no longer available",
    "came to nothing": "failed",
    "it goes on": "it continues",
    "How it goes": "what the function returns",
    "not well": "unhealthy",
    "of which for": "whose … for",
    "stands in the table": "is listed in the table",
    "has not got": "does not have",
    "what is due": "what is overdue, or pending",
    "is through": "has finished",
    "owes": "has yet to deliver",
    "as they come": "on arrival",
    "is away": "is unreachable",
}
PATTERN = re.compile(
    r"\b(" + "|".join(phrase.replace(" ", r"\s+(?:#\s+)?") for phrase in BANNED) + r")\b", re.IGNORECASE
)


def _files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    paths = [Path(name) for name in listed.split("\0") if name]
    return [path for path in paths if (path.suffix in TEXT or path.name in NAMES) and (ROOT / path).is_file()]


def test_no_banned_phrase_stands_in_code_or_prose() -> None:
    found = []
    for path in _files():
        if (ROOT / path) == Path(__file__) or path.name == "package-lock.json":
            continue
        text = (ROOT / path).read_text(encoding="utf-8")
        for match in PATTERN.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(f"{path}:{line}: {' '.join(match.group().split())!r}")
    assert found == []


def test_no_class_name_stands_for_two_things() -> None:
    """Private classes of two modules may share a name; public ones of the product may not."""
    places: dict[str, list[str]] = defaultdict(list)
    for path in _files():
        if path.suffix != ".py" or path.parts[0] in ("tests", "examples"):
            continue
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
