"""``python -m tapedeck_transform.function_worker``: the process that runs one user's function, and nothing else.

It reads lines of JSON from its standard input and answers each with one. After the first, which says what the function
may use, it enters the sandbox, and only then imports the function. It exits at the end of its input, or with its
parent.
"""

from __future__ import annotations

import importlib
import math
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from tapedeck_common.code_files import named_package, readable_files, reading_advice
from tapedeck_common.parent_death import parent_death_signal
from tapedeck_common.sandbox.denial import explain_denial
from tapedeck_common.sandbox.enter import enter
from tapedeck_common.sandbox.policy import MIB, SandboxPolicy
from tapedeck_common.unlisted_modules import UnlistedModules
from tapedeck_common.wire import encode
from tapedeck_transform.function_messages import (
    REASON_MAX,
    CallRequest,
    FunctionAnswer,
    LoadRequest,
    decode_call,
    decode_load,
)

FILE_BYTES = 16 * MIB
# A function works on few numbers, and each thread of a library takes memory.
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
Function = Callable[[object], object]


def main() -> int:
    """Answer requests; exits 0 at the end of the input."""
    parent_death_signal(os.getppid())()
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    request = decode_load(sys.stdin.buffer.readline())
    try:
        enter(_policy(request, answers.fileno()))
        function = _load(request)
        answers.write(encode(FunctionAnswer(0)) + b"\n")
    except (Exception, SystemExit) as error:
        answers.write(encode(FunctionAnswer(0, error=_reason(error, request))) + b"\n")
        return 0
    for line in sys.stdin.buffer:
        answers.write(encode(_answer(function, decode_call(line), request)) + b"\n")
    return 0


def _policy(request: LoadRequest, answers: int) -> SandboxPolicy:
    hidden = tuple(map(Path, request.hidden))
    beside = Path(request.beside) if request.beside is not None else None
    own = readable_files(beside, request.module, hidden) if beside is not None else ()
    package = named_package(beside, request.module, hidden) if beside is not None else None
    return SandboxPolicy(
        scratch=Path(request.scratch),
        readable=(*map(Path, request.folders), *own),
        hidden=hidden,
        listable=(package,) if package is not None else (),
        descriptors=(0, 1, 2, answers),
        environment=_ENVIRONMENT,
        memory_bytes=request.memory_bytes,
        file_bytes=FILE_BYTES,
    )


def _load(request: LoadRequest) -> Function:
    sys.path += request.code  # last: a user's file must not shadow an installed module
    if request.beside is not None:
        sys.meta_path.append(UnlistedModules(Path(request.beside)))
    name, _, attribute = request.module.partition(":")
    function: Function | None = getattr(importlib.import_module(name), attribute, None)
    if not callable(function):
        raise TypeError(f"{attribute!r} is no function of {name}")
    return function


def _answer(function: Function, call: CallRequest, request: LoadRequest) -> FunctionAnswer:
    try:
        result = function(call.records)
        value = None if result is None else float(result)  # type: ignore[arg-type]
    except (Exception, SystemExit) as error:
        return FunctionAnswer(call.number, error=_reason(error, request))
    if value is not None and not math.isfinite(value):
        return FunctionAnswer(call.number, error=f"got {value}, expected a finite number or None")
    return FunctionAnswer(call.number, value)


def _reason(error: BaseException, request: LoadRequest) -> str:
    """The exception, or what the sandbox does not allow and what to do, and its place in the user's code."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    own = [frame for frame in frames if frame.filename.startswith(tuple(request.code))]
    foreign = own or [frame for frame in frames if frame.filename != __file__]
    place = f" ({foreign[-1].filename.rpartition(os.sep)[2]}:{foreign[-1].lineno})" if foreign else ""
    denial = "; ".join(filter(None, (explain_denial(error), reading_advice(error, [request.beside or ""]))))
    return (denial or f"{type(error).__name__}: {error}")[: REASON_MAX - len(place)] + place


if __name__ == "__main__":
    sys.exit(main())
