"""`tapedeck apply`, `patch` and `delete`: changes to what is kept, all of a command's or none."""

from __future__ import annotations

import uuid

from tapedeck_crds.json import Json
from tapedeck_crds.parse import InvalidResource, parse_resource
from tapedeck_deck.cli import config_map, secret
from tapedeck_deck.cli.kinds import find, kinds_named, label
from tapedeck_deck.embedded.documents import Document
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.objects import Conflict, NotFound, Objects
from tapedeck_operator.plan.names import APPLIED_FROM

OFF = "off"


def apply(objects: Objects, documents: list[Document], namespace: str) -> list[str]:
    """Keep every document; returns a line for each. Raises DeckError with every fault of all, nothing kept then."""
    done: list[str] = []
    faults: list[str] = []
    with objects.transaction():
        for document in documents:
            try:
                manifest = _placed(document, namespace)
                kept, outcome = objects.apply(manifest)
                done.append(f"{label(kept)} {outcome}")
            except InvalidResource as error:
                faults += [f"{document.where}: {line}" for line in str(error).splitlines()]
            except (Conflict, NotFound) as error:
                faults.append(f"{document.where}: {error}")
        if faults:
            raise DeckError("\n".join([*faults, "nothing was applied"]))
    return done


def _placed(document: Document, namespace: str) -> Json:
    content = document.content
    if not isinstance(content, dict) or not isinstance(content.get("metadata"), dict):
        parse_resource(content)  # says what is wrong
    manifest: Json = {key: value for key, value in content.items() if key != "status"}
    if manifest.get("kind") == config_map.KIND:
        config_map.check(manifest)
        return manifest | {"metadata": {"namespace": namespace} | manifest["metadata"]}
    if manifest.get("kind") == secret.KIND:
        return secret.placed(manifest) | {"metadata": {"namespace": namespace} | manifest["metadata"]}
    annotations = manifest["metadata"].get("annotations") or {}
    if isinstance(annotations, dict):
        annotations = annotations | {APPLIED_FROM: str(document.folder)}
    manifest["metadata"] = {"namespace": namespace} | manifest["metadata"] | {"annotations": annotations}
    parse_resource(manifest)
    return manifest


def delete(objects: Objects, targets: list[tuple[str, str, str]]) -> list[str]:
    """Delete (kind, namespace, name) each; returns a line for each. Raises DeckError, nothing deleted then."""
    with objects.transaction():
        labels = [label(find(objects, *target)) for target in targets]
        for target in targets:
            objects.delete(*target)
    return [f"{each} deleted" for each in labels]


def targets_of(documents: list[Document], namespace: str) -> list[tuple[str, str, str]]:
    """(kind, namespace, name) of documents. Raises DeckError where one has none."""
    targets: list[tuple[str, str, str]] = []
    for document in documents:
        content = document.content if isinstance(document.content, dict) else {}
        metadata = content.get("metadata")
        name = metadata.get("name") if isinstance(metadata, dict) else None
        if not isinstance(content.get("kind"), str) or not isinstance(name, str):
            raise DeckError(f"{document.where}: got no kind and metadata.name, expected both")
        targets.append((*kinds_named(content["kind"]), metadata.get("namespace") or namespace, name))  # type: ignore[union-attr, arg-type]
    return targets


def controls(
    *,
    speed: float | None = None,
    unpaced: bool = False,
    paused: bool | None = None,
    seek: str | None = None,
    step: int | None = None,
    loop: str | None = None,
    until: str | None = None,
) -> Json:
    """The patch of a Replay's spec that its controls mean.

    Raises DeckError for a ``loop`` that is neither a number of rounds nor `forever` nor `off`.
    """
    spec: Json = {}
    if speed is not None:
        spec |= {"speed": speed, "unpaced": False}
    if unpaced:
        spec["unpaced"] = True
    if paused is not None:
        spec["paused"] = paused
    if seek is not None:
        spec["seek"] = {"to": seek, "id": _new_id()}
    if step is not None:
        spec |= {"paused": True, "step": {"intervals": step, "id": _new_id()}}
    if loop is not None:
        spec["loop"] = _loop(loop)
    if until is not None:
        spec["until"] = None if until == OFF else until
    return {"spec": spec} if spec else {}


def _loop(asked: str) -> Json | None:
    if asked == OFF:
        return None
    if asked == "forever":
        return {"times": None}  # a merge patch: what was there has to go
    if not asked.isdecimal():
        raise DeckError(f"--loop: got {asked!r}, expected a number of rounds, forever or {OFF}")
    return {"times": int(asked)}


def _new_id() -> str:
    """One that no command had before."""
    return uuid.uuid4().hex[:12]
