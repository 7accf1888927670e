"""``python -m tapedeck_transform.child``: the process that runs a function of the user's, and nothing else.

It reads a line of JSON and answers with one: first module and folders, then records of each call. It ends with its
standard input, or with its parent.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

from tapedeck_common.parent_death import die_with

OUTPUT_MAX = 1_048_576  # characters that a function may print
REASON_MAX = 500


class _Bounded(io.TextIOBase):
    """Standard error, until a function has printed enough."""

    def __init__(self) -> None:
        self._room = OUTPUT_MAX

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        os.write(2, text[: self._room].encode(errors="replace"))
        self._room = max(self._room - len(text), 0)
        return len(text)


def main() -> int:
    """Exit 0 at the end of the input."""
    die_with(os.getppid())()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.stdout = sys.stderr = _Bounded()
    function: Callable[[Any], Any] | None = None
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            if function is None:
                function = _function(**asked)
                answer: dict[str, Any] = {}
            else:
                found = function(asked)
                answer = {"value": None if found is None else float(found)}
        except (Exception, SystemExit) as error:
            answer = {"error": _reason(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    return 0


def _function(module: str, folders: list[str]) -> Callable[[Any], Any]:
    sys.path += folders  # last: a user's file must not hide a module that is needed
    name, _, attribute = module.partition(":")
    found = getattr(importlib.import_module(name), attribute, None)
    if not callable(found):
        raise TypeError(f"{attribute!r} is no function of {name}")
    checked: Callable[[Any], Any] = found
    return checked


def _reason(error: BaseException) -> str:
    """What was raised, and where in the user's code."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    own = [frame for frame in frames if "importlib" not in frame.filename]
    place = f" ({own[-1].filename.rpartition(os.sep)[2]}:{own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {error}"[:REASON_MAX] + place


if __name__ == "__main__":
    sys.exit(main())
