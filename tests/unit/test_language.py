"""Code and prose avoid phrases that readers stumble over, and no class name has two meanings."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (".py", ".md", ".ts", ".tsx", ".css", ".html", ".yaml", ".yml", ".toml", ".tpl", ".txt", ".sql", ".sh", ".json")
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
    "back-test": "backtest",
    "back-fill": "backfill",
    "web socket": "WebSocket",
    "draw down": "drawdown",
}
# Private words that named modules and classes: each has a term of the field in its place.
RETIRED_MODULES = (
    "above aggregate apart asked bulk canary cell choose copies drift file_census finite follow foreign guarded hidden "
    "honesty hub intake judge known lanes lean line listening market_of marks mend outbox outlet pace patience places "
    "playhead prime retain silence spool standing store_lack streamer tail tally tap tape traits turn warm"
)
RETIRED_CLASSES = (
    "Asker Canary Cell Deck Follower Guarded Home Hub Identity Intake Lab Lanes Lean Line Listening Market Marks "
    "Mender Outbox Outlet Past Playhead Pod PodSeen Push Refusal Run Series Silence StatusPace Tail Tally Tap "
    "Tape Traits Unlike Verdict Way"
)
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


def _product_modules() -> list[Path]:
    return [path for path in _files() if path.suffix == ".py" and path.parts[0] not in ("tests", "examples")]


def _public_classes() -> dict[str, list[str]]:
    places: dict[str, list[str]] = defaultdict(list)
    for path in _product_modules():
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path))
    return places


def test_no_class_name_stands_for_two_things() -> None:
    """Private classes of two modules may share a name; public ones of the product may not."""
    assert {name: found for name, found in _public_classes().items() if len(found) > 1} == {}


def test_retired_names_do_not_return() -> None:
    modules = [path for path in _product_modules() if set(RETIRED_MODULES.split()) & {*path.parts[:-1], path.stem}]
    assert modules == []
    assert set(RETIRED_CLASSES.split()) & set(_public_classes()) == set()
