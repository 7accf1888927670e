"""`tapedeck apply` and `patch`: all changes of a command, or none of them; `delete`: those of what exists."""

from __future__ import annotations

from collections.abc import Sequence

from tapedeck_crds import controls
from tapedeck_crds.controls import FOREVER, UNCHANGED
from tapedeck_crds.json import Json
from tapedeck_crds.parse import InvalidResource, parse_resource
from tapedeck_deck.cli.context import WrongArgument
from tapedeck_deck.cli.kinds import label, parse_kind
from tapedeck_deck.embedded.documents import Document
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.objects import Objects
from tapedeck_deck.embedded.user_objects import CONFIG_MAP, SECRET, normalized_secret, validate_config_map
from tapedeck_operator.plan.names import APPLIED_FROM
from tapedeck_operator.reconcile.errors import ObjectConflict, ObjectNotFound

OFF = "off"


def apply(objects: Objects, documents: list[Document], namespace: str) -> list[tuple[Json, str]]:
    """Store all documents; returns each as it is stored, and a line that says what changed.

    Raises DeckError with every error, and then stores none.
    """
    done: list[tuple[Json, str]] = []
    errors: list[str] = []
    with objects.transaction():
        for document in documents:
            try:
                manifest = _normalized(document, namespace)
                stored, outcome = objects.apply(manifest)
                done.append((stored, f"{label(stored)} {outcome}"))
            except (InvalidResource, ObjectConflict, ObjectNotFound) as error:
                errors += _located(document, error)
        _raise(errors)
    return done


def validate(documents: list[Document], namespace: str) -> None:
    """Raise DeckError with every error of the documents themselves: what can be said before there is a deck."""
    errors: list[str] = []
    for document in documents:
        try:
            _normalized(document, namespace)
        except InvalidResource as error:
            errors += _located(document, error)
    _raise(errors)


def _located(document: Document, error: Exception) -> list[str]:
    return [f"{document.where}: {line}" for line in str(error).splitlines()]


def _raise(errors: list[str]) -> None:
    if errors:
        raise DeckError("\n".join([*errors, "nothing was applied"]))


def _normalized(document: Document, namespace: str) -> Json:
    """The validated manifest of a document, in its namespace. Raises InvalidResource."""
    content = document.content
    if not isinstance(content, dict) or not isinstance(content.get("metadata"), dict):
        parse_resource(content)  # raises InvalidResource
    manifest: Json = {key: value for key, value in content.items() if key != "status"}
    if manifest.get("kind") == CONFIG_MAP:
        validate_config_map(manifest)
        return manifest | {"metadata": {"namespace": namespace} | manifest["metadata"]}
    if manifest.get("kind") == SECRET:
        return normalized_secret(manifest) | {"metadata": {"namespace": namespace} | manifest["metadata"]}
    annotations = manifest["metadata"].get("annotations") or {}
    if isinstance(annotations, dict):
        annotations = annotations | {APPLIED_FROM: str(document.folder)}
    manifest["metadata"] = {"namespace": namespace} | manifest["metadata"] | {"annotations": annotations}
    parse_resource(manifest)
    return manifest


def delete(objects: Objects, documents: Sequence[Json]) -> list[str]:
    """Delete objects with what they own, and return a line for each."""
    for document in documents:
        metadata = document["metadata"]
        objects.delete(document["kind"], metadata["namespace"], metadata["name"])
    return [f"{label(document)} deleted" for document in documents]


def delete_targets(documents: Sequence[Document], namespace: str) -> list[tuple[str, str, str]]:
    """The (kind, namespace, name) of each document, each once. Raises DeckError for one without."""
    return list(dict.fromkeys(_target(document, namespace) for document in documents))


def _target(document: Document, namespace: str) -> tuple[str, str, str]:
    content = document.content if isinstance(document.content, dict) else {}
    kind, metadata = content.get("kind"), content.get("metadata")
    if not isinstance(kind, str) or not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        raise DeckError(f"{document.where}: got no kind and metadata.name, expected both")
    try:
        return parse_kind(kind), str(metadata.get("namespace") or namespace), metadata["name"]
    except WrongArgument as error:
        raise DeckError(f"{document.where}: {error}") from None


def control_patch(
    *,
    speed: float | None = None,
    unpaced: bool = False,
    paused: bool | None = None,
    seek: str | None = None,
    step: int | None = None,
    loop: str | None = None,
    until: str | None = None,
) -> Json:
    """The merge patch of a Replay's spec for its controls, as options give them.

    Raises WrongArgument unless ``loop`` is a number of rounds, `forever` or `off`.
    """
    return controls.control_patch(
        speed=speed,
        unpaced=unpaced or None,
        paused=paused,
        seek=seek,
        step=step,
        loop=UNCHANGED if loop is None else _loop(loop),
        until=UNCHANGED if until is None else None if until == OFF else until,
    )


def _loop(text: str) -> int | str | None:
    if text == OFF:
        return None
    if text == FOREVER:
        return FOREVER
    if not text.isdecimal():
        raise WrongArgument(f"--loop: got {text!r}, expected a number of rounds, {FOREVER} or {OFF}")
    return int(text)
