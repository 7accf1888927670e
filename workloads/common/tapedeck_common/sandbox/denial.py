"""What the sandbox does not allow, in words: the kernel's own answer is a bare "Operation not permitted"."""

from __future__ import annotations

import errno
import os
import sys

from tapedeck_crds.errors import causes

_ALLOWED = (
    "foreign code reads its own files and the interpreter's, writes its own temporary folder, "
    "opens no network connection, and starts no process"
)
_PROCESS = "starting a process"
_NETWORK = "a network connection"
_EVENTS = {
    "os.exec": _PROCESS,
    "os.fork": _PROCESS,
    "os.forkpty": _PROCESS,
    "os.posix_spawn": _PROCESS,
    "os.spawn": _PROCESS,
    "os.system": _PROCESS,
    "pty.spawn": _PROCESS,
    "subprocess.Popen": _PROCESS,
    "socket.bind": _NETWORK,
    "socket.connect": _NETWORK,
    "socket.getaddrinfo": _NETWORK,
    "socket.gethostbyaddr": _NETWORK,
    "socket.gethostbyname": _NETWORK,
    "socket.sendmsg": _NETWORK,
    "socket.sendto": _NETWORK,
    "os.killpg": "a signal to a group of processes",
}
_DENIED = (errno.EPERM, errno.EACCES, errno.EXDEV)  # Landlock answers EXDEV for a link out of its folder


class NotAllowed(PermissionError):
    """Foreign code tried what the sandbox does not allow."""


def install_audit_hook() -> None:
    """From now on Python's own functions say what is not allowed, before they ask the kernel, which denies it too."""
    pid = os.getpid()

    def check(event: str, arguments: tuple[object, ...]) -> None:
        what = _EVENTS.get(event)
        if event == "os.kill" and arguments[0] != pid:
            what = "a signal to another process"
        if what:
            raise NotAllowed(errno.EPERM, f"not allowed in the sandbox: {what} ({event})")

    sys.addaudithook(check)


def explain_denial(error: BaseException) -> str:
    """What the sandbox denied, if that is why ``error`` was raised; else empty."""
    for each in causes(error):
        if isinstance(each, NotAllowed):
            return f"{each.strerror}; {_ALLOWED}"
        if isinstance(each, OSError) and each.errno in _DENIED:
            target = f" to {each.filename!r}"[:200] if each.filename is not None else ""
            return f"not allowed in the sandbox: access{target}; {_ALLOWED}"
    return ""
