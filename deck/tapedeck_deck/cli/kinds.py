"""Kinds and objects by the names that users type."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from tapedeck_crds.json import Json
from tapedeck_crds.kinds import KINDS
from tapedeck_crds.resource import AGE_COLUMN, Column
from tapedeck_deck.cli.context import WrongArgument
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.objects import Objects
from tapedeck_operator.reconcile.errors import ObjectNotFound

ALL = "all"


class NamedObject(NamedTuple):
    """One object of a namespace."""

    kind: str
    name: str


class MissingObject(DeckError):
    """No object has the name. The message suggests similar names, or the namespace that has it."""


# Kubernetes kinds that the deck or its users create: kind → (plural, short name, columns).
_KUBERNETES_KINDS: dict[str, tuple[str, str, tuple[Column, ...]]] = {
    "Pod": (
        "pods",
        "po",
        (
            Column(name="Status", type="string", json_path=".status.phase"),
            Column(name="Exit", type="integer", json_path=".status.exitCode"),
            AGE_COLUMN,
            Column(name="Log", type="string", json_path=".status.log", priority=1),
        ),
    ),
    "Job": (
        "jobs",
        "jo",
        (
            Column(name="Completions", type="integer", json_path=".spec.completions"),
            Column(name="Succeeded", type="integer", json_path=".status.succeeded"),
            Column(name="Failed", type="integer", json_path=".status.failed"),
            AGE_COLUMN,
        ),
    ),
    "Deployment": (
        "deployments",
        "deploy",
        (Column(name="Replicas", type="integer", json_path=".spec.replicas"), AGE_COLUMN),
    ),
    "Secret": ("secrets", "sec", (AGE_COLUMN,)),
    "ConfigMap": ("configmaps", "cm", (AGE_COLUMN,)),
}


def columns_of(kind: str) -> tuple[Column, ...]:
    """The printer columns of a kind."""
    return KINDS[kind].columns if kind in KINDS else _KUBERNETES_KINDS[kind][2]


def kind_names() -> dict[str, str]:
    """Each name that users may type for a kind → the kind."""
    names = {
        name: kind for kind, (plural, short, _) in _KUBERNETES_KINDS.items() for name in (kind.lower(), plural, short)
    }
    for kind, model in KINDS.items():
        names |= dict.fromkeys((kind.lower(), model.plural, *model.short_names), kind)
    return names


def parse_kinds(text: str) -> tuple[str, ...]:
    """("Replay",) for replay, replays, rp or Replay; several by commas; Tapedeck's own for all.

    Raises WrongArgument.
    """
    if text.lower() in (ALL, "tapedeck"):
        return tuple(KINDS)
    return tuple(dict.fromkeys(parse_kind(part, ALL) for part in text.split(",")))


def parse_kind(text: str, *others: str) -> str:
    """One kind. Raises WrongArgument, which names what is expected, also ``others``."""
    names = kind_names()
    plain = text.lower().removesuffix(".tapedeck.dev")
    if plain not in names:
        near = get_close_matches(plain, names, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        plurals = [model.plural for model in KINDS.values()] + [plural for plural, *_ in _KUBERNETES_KINDS.values()]
        raise WrongArgument(f"kind: got {text!r}, expected one of {', '.join([*plurals, *others])}{hint}")
    return names[plain]


def parse_kind_and_name(kind: str, name: str | None) -> NamedObject:
    """(Replay, x) for ("replay", "x") and for ("replay/x", None). Raises WrongArgument."""
    if "/" in kind and name is None:
        kind, name = kind.split("/", 1)
    kinds = parse_kinds(kind)
    if len(kinds) > 1:
        raise WrongArgument(f"kind: got {kind!r}, expected one kind for a name")
    if not name:
        one = kinds[0].lower()
        raise WrongArgument(f"name: missing, expected {one} NAME or {one}/NAME; `tapedeck get {one}` lists the names")
    return NamedObject(kinds[0], name)


def parse_targets(words: Sequence[str]) -> tuple[NamedObject, ...]:
    """The objects that KIND NAME… or KIND/NAME… name, each once. Raises WrongArgument."""
    if any("/" in word for word in words):
        if alone := [word for word in words if "/" not in word]:
            raise WrongArgument(f"name: got {alone[0]!r} beside KIND/NAME, expected KIND/NAME for each")
        targets = [parse_kind_and_name(word, None) for word in words]
    else:
        names: list[str | None] = [*words[1:]] or [None]
        targets = [parse_kind_and_name(words[0], name) for name in names]
    return tuple(dict.fromkeys(targets))


def find(objects: Objects, kind: str, namespace: str, name: str) -> Json:
    """One object. Raises MissingObject."""
    try:
        return objects.get(kind, namespace, name)
    except ObjectNotFound:
        others = objects.list(kind)
    elsewhere = [o["metadata"]["namespace"] for o in others if o["metadata"]["name"] == name]
    here = [o["metadata"]["name"] for o in others if o["metadata"]["namespace"] == namespace]
    near = get_close_matches(name, here, n=3, cutoff=0.5)
    hint = ""
    if elsewhere:
        hint = f"; it is in namespace {', '.join(elsewhere)}: add -n {elsewhere[0]}"
    elif near:
        hint = f"; did you mean {' or '.join(near)}?"
    elif here:
        hint = f"; there is {', '.join(here[:5])}" + (", …" if len(here) > 5 else "")
    raise MissingObject(f"{kind.lower()} {name!r} not found in namespace {namespace}{hint}")


def find_each(objects: Objects, targets: Iterable[tuple[str, str, str]]) -> tuple[list[Json], list[MissingObject]]:
    """Those of (kind, namespace, name) that exist, and an error for each of the others."""
    found: list[Json] = []
    missing: list[MissingObject] = []
    for target in targets:
        try:
            found.append(find(objects, *target))
        except MissingObject as error:
            missing.append(error)
    return found, missing


def label(document: Json) -> str:
    """The object as kind/name, such as replay/coinbase-sample."""
    return f"{document['kind'].lower()}/{document['metadata']['name']}"


def owned_pods(objects: Objects, owner: Json) -> list[Json]:
    """The pods that an object owns, directly or through other objects, oldest first."""
    if owner["kind"] == "Pod":
        return [owner]
    pods: list[Json] = []
    for child in objects.list(owner_uid=owner["metadata"]["uid"]):
        pods.extend(owned_pods(objects, child))
    return pods
