"""The Feeds that import files: one for files that are read alike."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence

from tapedeck_crds.files import Files
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import API_VERSION
from tapedeck_deck.inspection.inspect import Found

SETS_MAX = 1_000  # of a resource
TTL_SECONDS = 3_600


def new_name() -> str:
    """A name for the Feed of an import."""
    return f"import-{uuid.uuid4().hex[:8]}"


def feeds(found: Sequence[Found], name: str) -> list[Json]:
    """The Feeds for the files, in their order."""
    groups: dict[str, list[Files]] = {}
    for each in found:
        groups.setdefault(each.files.model_copy(update={"sets": []}).model_dump_json(), []).append(each.files)
    specs = [_merged(part) for group in groups.values() for part in _parts(group)]
    names = [name] if len(specs) == 1 else [f"{name}-{number}" for number in range(1, len(specs) + 1)]
    return [_feed(feed_name, files) for feed_name, files in zip(names, specs, strict=True)]


def _parts(group: Sequence[Files]) -> Iterator[Sequence[Files]]:
    return (group[start : start + SETS_MAX] for start in range(0, len(group), SETS_MAX))


def _merged(group: Sequence[Files]) -> Files:
    return group[0].model_copy(update={"sets": [file_set for files in group for file_set in files.sets]})


def _feed(name: str, files: Files) -> Json:
    source = {"files": files.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True)}
    source["files"] |= {"interval": files.interval}
    return {
        "apiVersion": API_VERSION,
        "kind": "Feed",
        "metadata": {"name": name},
        "spec": {"source": source, "ttlSecondsAfterFinished": TTL_SECONDS},
    }
