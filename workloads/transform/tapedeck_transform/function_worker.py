"""``python -m tapedeck_transform.function_worker``: the process that runs one user's function, and nothing else.

It reads lines of JSON from its standard input and answers each with one: first module and folders, then the records of
each call. It exits at the end of its input, or with its parent.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import sys
import traceback
from collections.abc import Callable

from tapedeck_common.parent_death import parent_death_signal
from tapedeck_crds.json import Json

OUTPUT_MAX = 1_048_576  # characters that a function may print
REASON_MAX = 500
UserFunction = Callable[[object], object]


class _LimitedOutput(io.TextIOBase):
    """Standard error, up to OUTPUT_MAX characters."""

    def __init__(self) -> None:
        self._room = OUTPUT_MAX

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        os.write(2, text[: self._room].encode(errors="replace"))
        self._room = max(self._room - len(text), 0)
        return len(text)


def main() -> int:
    """Answer requests; exits 0 at the end of the input."""
    parent_death_signal(os.getppid())()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.stdout = sys.stderr = _LimitedOutput()
    function: UserFunction | None = None
    for line in sys.stdin:
        request = json.loads(line)
        answer: Json
        try:
            if function is None:
                function = _load(**request)
                answer = {}
            else:
                result = function(request)
                answer = {"value": None if result is None else float(result)}  # type: ignore[arg-type]
        except (Exception, SystemExit) as error:
            answer = {"error": _reason(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    return 0


def _load(module: str, folders: list[str]) -> UserFunction:
    sys.path += folders  # last: a user's file must not shadow an installed module
    name, _, attribute = module.partition(":")
    function: UserFunction | None = getattr(importlib.import_module(name), attribute, None)
    if not callable(function):
        raise TypeError(f"{attribute!r} is no function of {name}")
    return function


def _reason(error: BaseException) -> str:
    """The exception, and its place in the user's code."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    own = [frame for frame in frames if "importlib" not in frame.filename]
    place = f" ({own[-1].filename.rpartition(os.sep)[2]}:{own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {error}"[:REASON_MAX] + place


if __name__ == "__main__":
    sys.exit(main())
