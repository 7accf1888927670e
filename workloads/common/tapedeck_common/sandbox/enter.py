"""Entering the sandbox: the last thing that a process does before it loads foreign code."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tapedeck_common.sandbox import landlock, seccomp
from tapedeck_common.sandbox.denial import install_audit_hook
from tapedeck_common.sandbox.errors import SandboxFailed
from tapedeck_common.sandbox.limits import offer_to_oom_killer, set_limits
from tapedeck_common.sandbox.parts import SandboxParts, available
from tapedeck_common.sandbox.policy import SandboxPolicy, interpreter_files
from tapedeck_common.sandbox.privileges import (
    close_descriptors,
    drop_privileges,
    leave_session,
    replace_environment,
    single_threaded,
)


def enter(policy: SandboxPolicy) -> SandboxParts:
    """Confine this process to ``policy``, for ever, and return which parts are in force.

    The process must have one thread, and hold no secret: what it holds in memory stays within reach of foreign code.
    Raises SandboxFailed if a part cannot be armed that the system has.
    """
    if not single_threaded():
        raise SandboxFailed("the process has several threads, expected one: enter the sandbox before they start")
    parts = available()
    rules = list(_rules(policy))
    try:
        leave_session()
        replace_environment(policy.environment, policy.scratch)
        close_descriptors(policy.descriptors)
        offer_to_oom_killer()
        set_limits(policy)
        if sys.platform == "linux":
            drop_privileges()
        if landlock.abi():
            landlock.restrict(rules)
        if not seccomp.missing():
            seccomp.restrict()
    except OSError as error:
        raise SandboxFailed(f"the sandbox could not be armed: {error}") from error
    install_audit_hook()
    return parts


def _rules(policy: SandboxPolicy) -> list[tuple[Path, int]]:
    hidden = [Path(os.path.realpath(path)) for path in policy.hidden]
    readable = dict.fromkeys(Path(os.path.realpath(path)) for path in (*interpreter_files(), *policy.readable))
    return [
        *(rule for path in readable for rule in _read_rules(path, hidden)),
        *((path, landlock.LIST) for path in policy.listable),
        (Path("/dev/null"), landlock.USE_DEVICE),
        (policy.scratch, landlock.WRITE),
    ]


def _read_rules(path: Path, hidden: Sequence[Path]) -> Iterator[tuple[Path, int]]:
    """A rule for the path, or for each part of it that has no hidden folder: a right over a folder holds for all in it.

    Names in the folder can still be listed, because imports list the folders of modules.
    """
    within = [each for each in hidden if each.is_relative_to(path)]
    if path in within:
        return
    if not within:
        yield path, landlock.READ
        return
    yield path, landlock.LIST
    try:
        parts = [Path(os.path.realpath(part)) for part in path.iterdir()]  # a link may lead into a hidden folder
    except OSError:
        return
    for part in parts:
        if not any(part.is_relative_to(each) for each in hidden):
            yield from _read_rules(part, within)
