"""What the shell completes: kinds, names of the deck's resources, fields of kinds, and words that an argument takes.

A completion never fails and prints no message: where something cannot be read, nothing is proposed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

import typer

from tapedeck_crds.errors import TapedeckError
from tapedeck_deck.cli.context import open_objects, resolve_home


def complete_targets(context: typer.Context, incomplete: str) -> list[str]:
    """KIND, then names; or KIND/NAME."""
    from tapedeck_deck.cli import kinds

    given = context.params.get("targets") or [context.params[name] for name in ("kind",) if context.params.get(name)]
    if "/" in incomplete:
        kind = incomplete.split("/", 1)[0]
        return _starting_with(incomplete, (f"{kind}/{name}" for name in _names(context, kind)))
    if given and "/" not in given[0]:
        return _starting_with(incomplete, _names(context, given[0]))
    return _starting_with(incomplete, [*kinds.kind_names(), kinds.ALL])


def complete_logs(context: typer.Context, incomplete: str) -> list[str]:
    """As ``complete_targets``, and the parts of the deck that have a log."""
    from tapedeck_deck.cli.logs import PARTS

    parts = [] if context.params.get("kind") else _starting_with(incomplete, PARTS)
    return sorted([*complete_targets(context, incomplete), *parts])


def complete_name(context: typer.Context, incomplete: str) -> list[str]:
    """The names of the kind that stands before."""
    return _starting_with(incomplete, _names(context, str(context.params.get("kind") or "")))


def complete_backtest(context: typer.Context, incomplete: str) -> list[str]:
    """The names of the Backtests, whose last runs they stand for."""
    return _starting_with(incomplete, _names(context, "backtest"))


def complete_words(*words: str) -> Callable[[str], list[str]]:
    """A completion of the words that an argument or an option takes."""

    def complete(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return complete


def complete_what(incomplete: str) -> list[str]:
    """What `tapedeck new` writes."""
    from tapedeck_deck.cli.examples import EXAMPLES
    from tapedeck_deck.cli.new_files.starters import WHAT

    return _starting_with(incomplete, (*WHAT, EXAMPLES.name))


def complete_exported(incomplete: str) -> list[str]:
    """The kinds of rows that `tapedeck export` writes."""
    from tapedeck_deck.cli.exports.kinds import KINDS

    return _starting_with(incomplete, KINDS)


def complete_field(incomplete: str) -> list[str]:
    """KIND.FIELD.FIELD, one part at a time."""
    from tapedeck_crds.kinds import KINDS
    from tapedeck_deck.cli.explain import find

    if "." not in incomplete:
        return _starting_with(incomplete, (kind.lower() for kind in KINDS))
    before = incomplete.rsplit(".", 1)[0]
    with contextlib.suppress(TapedeckError):
        return _starting_with(incomplete, (f"{before}.{each.name}" for each in find(before).fields))
    return []


def _names(context: typer.Context, kind: str) -> list[str]:
    from tapedeck_deck.cli import kinds

    parent = context.parent.params if context.parent is not None else {}
    with contextlib.suppress(TapedeckError, OSError):
        home = resolve_home(context.params.get("home") or parent.get("home"))
        with open_objects(home) as objects:
            found = objects.list(kinds.parse_kinds(kind)[0], context.params.get("namespace") or "default")
            return [document["metadata"]["name"] for document in found]
    return []


def _starting_with(incomplete: str, proposals: Iterable[str]) -> list[str]:
    return sorted(each for each in proposals if each.startswith(incomplete))
