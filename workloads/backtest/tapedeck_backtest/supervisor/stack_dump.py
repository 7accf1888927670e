"""Where the strategy's process is, as its faulthandler writes it: also of code that holds the interpreter's lock."""

from __future__ import annotations

import os
import re
import select
import time

from tapedeck_backtest.protocol.signals import STACK_SIGNAL

_ANSWER_SECONDS = 0.5
_FRAMES = 10
_FRAME = re.compile(rb'^  File "([^"\n]{1,300})", line (\d{1,9}) in (.{1,100})$', re.MULTILINE)
_LIBRARIES = ("/tapedeck_backtest/", "/backtrader/", "/importlib/", "<frozen importlib")
_BYTES_MAX = 65_536


def stack_of(pid: int, pipe: int) -> str:
    """The innermost frames of the process that are not Tapedeck's, the innermost last; empty if it gives none."""
    try:
        os.kill(pid, STACK_SIGNAL)
    except ProcessLookupError:
        return ""
    return frames_of(_read(pipe))


def frames_of(dump: bytes) -> str:
    """The frames in faulthandler's text, of the thread that it names first."""
    first = dump.partition(b"\n\n")[0]
    found = [tuple(part.decode(errors="replace") for part in frame) for frame in _FRAME.findall(first)]
    own = [frame for frame in found if not any(library in frame[0] for library in _LIBRARIES)]
    return "\n".join(f'File "{name}", line {line}, in {place}' for name, line, place in reversed(own[:_FRAMES]))


def _read(pipe: int) -> bytes:
    received, deadline = b"", time.monotonic() + _ANSWER_SECONDS
    while len(received) < _BYTES_MAX and (left := deadline - time.monotonic()) > 0:
        if select.select([pipe], [], [], left if not received else 0.05)[0] and (part := os.read(pipe, 16_384)):
            received += part
        elif received:
            break
        else:
            time.sleep(0.01)
    return received
