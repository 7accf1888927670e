"""What a transform pod and the process of a user's function write to each other: lines of JSON.

The answers come from a process with foreign code: they are input from outside.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tapedeck_crds.errors import InvalidInput

ANSWER_MAX = 16_384  # bytes of a line
REASON_MAX = 700  # characters


class LoadRequest(msgspec.Struct, frozen=True):
    """The first line: the function, as module:name, and what its process may read and write.

    Of the folder ``beside`` it may read what is its code.
    """

    module: str
    folders: list[str]
    hidden: list[str]
    scratch: str
    memory_bytes: int
    beside: str | None = None

    @property
    def code(self) -> list[str]:
        """The folders with modules."""
        return self.folders if self.beside is None else [*self.folders, self.beside]


class CallRequest(msgspec.Struct, frozen=True):
    """A call of the function with records. ``number`` counts the calls of a process."""

    number: int
    records: list[dict[str, Any]]


class FunctionAnswer(msgspec.Struct, frozen=True):
    """The result of the call ``number``, or of loading the function, which is number 0."""

    number: int
    value: float | None = None
    error: str = ""


decode_load = msgspec.json.Decoder(LoadRequest).decode
decode_call = msgspec.json.Decoder(CallRequest).decode
_decode_answer = msgspec.json.Decoder(FunctionAnswer).decode


def answer_to(number: int, line: bytes) -> FunctionAnswer:
    """The answer to the request ``number``. Raises InvalidInput for anything else."""
    try:
        answer = _decode_answer(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidInput("wrote something other than its answer to the pod's pipe") from None
    if answer.number != number:
        raise InvalidInput("answered more often than it was called")
    return answer
