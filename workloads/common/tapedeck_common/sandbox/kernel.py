"""System calls that Python has no function for. Linux only."""

from __future__ import annotations

import ctypes
import os

# A forked child must not load a library, so the C library is opened at import.
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long


def syscall(number: int, *arguments: int | bytes | None) -> int:
    """The result of a system call. Raises OSError."""
    result = int(_LIBC.syscall(ctypes.c_long(number), *map(_argument, arguments)))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def prctl(option: int, *arguments: int | bytes) -> int:
    """The result of prctl(2); arguments that are not given are 0. Raises OSError."""
    padded = (*arguments, 0, 0, 0, 0)[:4]
    result = int(_LIBC.prctl(ctypes.c_int(option), *map(_argument, padded)))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def capset(header: bytes, data: bytes) -> None:
    """Replace this thread's capabilities, see capset(2). Raises OSError."""
    if _LIBC.capset(header, data):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def clear_environment() -> None:
    """Empty the C library's list of environment variables, with those that Python does not know."""
    _LIBC.clearenv()


def _argument(value: int | bytes | None) -> object:
    return ctypes.c_long(value) if isinstance(value, int) else ctypes.c_char_p(value)
