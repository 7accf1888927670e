"""A filter of system calls: network, processes, other processes' memory and signals, and files' metadata are denied.

The filter is assembled here: it is small, it needs no library on the node, and it also denies calls that are newer than
its table, which a filter by names cannot. A denied call fails with EPERM, so that Python raises PermissionError.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from dataclasses import dataclass

from tapedeck_common.sandbox.kernel import prctl
from tapedeck_common.sandbox.syscall_numbers import LAST, NUMBERS

_PR_GET_SECCOMP, _PR_SET_SECCOMP, _MODE_FILTER = 21, 22, 2
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# Instructions of classic BPF, and what a filter returns.
_LOAD, _EQUAL, _GREATER, _ANY_BIT, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_CLONE_FILES, _CLONE_THREAD = 0x00000400, 0x00010000
_AF_UNIX, _SOCK_STREAM, _SOCK_NONBLOCK, _SOCK_CLOEXEC = 1, 1, 0o4000, 0o2000000
_CLOSE_RANGE_CLOEXEC = 4
# A descriptor's size, blocking mode and end with an exec, copies that share a file's blocks, and whether it is a
# terminal. Others begin where the filter of calls ends: they reserve disk space, make subvolumes, write to terminals.
_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451, 0x802C542A, 0x40049409, 0x4020940D)

# Messages with a header carry descriptors, which nobody can count on their way.
NETWORK = ("socket", "connect", "bind", "listen", "accept", "accept4", "sendmsg", "sendmmsg")
PROGRAMS = ("execve", "execveat", "fork", "vfork")
OTHER_PROCESSES = (
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease", "pidfd_open",
    "pidfd_getfd", "pidfd_send_signal", "kcmp", "tkill", "setpriority", "ioprio_set", "migrate_pages", "move_pages",
    "setsid", "setpgid",
)  # fmt: skip
KERNEL = (
    "mount", "umount2", "pivot_root", "chroot", "open_tree", "open_tree_attr", "move_mount", "fsopen", "fsconfig",
    "fsmount", "fspick", "mount_setattr", "unshare", "setns", "bpf", "perf_event_open", "add_key", "request_key",
    "keyctl", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "syslog", "quotactl",
    "quotactl_fd",
)  # fmt: skip
SHARED_MEMORY = (  # the limit of memory does not count it, and others' segments would be within reach
    "memfd_create", "memfd_secret", "shmget", "shmat", "shmctl", "semget", "semop", "semctl", "semtimedop", "msgget",
    "msgsnd", "msgrcv", "msgctl", "mq_open", "mq_unlink",
)  # fmt: skip
HOLDERS = ("landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self")  # rules keep deleted files
METADATA = (
    "chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat", "setxattr", "lsetxattr",
    "fsetxattr", "setxattrat", "removexattr", "lremovexattr", "fremovexattr", "removexattrat", "utime", "utimes",
    "futimesat", "utimensat", "file_setattr", "truncate", "inotify_init", "inotify_init1", "fanotify_init",
    "fanotify_mark", "name_to_handle_at", "open_by_handle_at",
)  # fmt: skip
DENIED = (*NETWORK, *PROGRAMS, *OTHER_PROCESSES, *KERNEL, *SHARED_MEMORY, *HOLDERS, *METADATA)


@dataclass(frozen=True)
class _Values:
    """A call is allowed by the value of one argument: only ``among`` these, or all ``but`` these."""

    argument: int
    among: tuple[int, ...] = ()
    but: tuple[int, ...] = ()


def _by_argument(pid: int) -> dict[str, tuple[_Values, ...]]:
    """Calls that are allowed for this process alone, or without the commands that reach another or evade a limit."""
    own = (_Values(0, among=(pid,)),)
    own_or_zero = (_Values(0, among=(0, pid)),)
    flags = (0, _SOCK_NONBLOCK, _SOCK_CLOEXEC, _SOCK_NONBLOCK | _SOCK_CLOEXEC)
    scheduling = ("sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler")
    return {
        **dict.fromkeys(("kill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"), own),
        **dict.fromkeys(("prlimit64", *scheduling), own_or_zero),
        # For event loops. Datagrams of a pair can be sent to any socket that has a name.
        "socketpair": (_Values(0, among=(_AF_UNIX,)), _Values(1, among=tuple(_SOCK_STREAM | each for each in flags))),
        # The signal of the parent's death, subreaper, and what would keep the parent from looking at this process.
        "prctl": (_Values(0, but=(1, 4, 36)),),
        "fcntl": (_Values(1, but=(8, 15, 1024, 1026)),),  # owners of signals, leases, notices
        "ioctl": (_Values(1, among=_IOCTLS),),
        "close_range": (_Values(2, among=(0, _CLOSE_RANGE_CLOEXEC)),),  # not with descriptors of a thread's own
    }


def missing() -> str:
    """Why this system has no filter of system calls; empty if it has one."""
    if sys.platform != "linux":
        return "only Linux filters system calls"
    if platform.machine() not in _AUDIT_ARCH or sys.maxsize < 2**32:
        return f"there is no table of system calls for {platform.machine()}"
    try:
        prctl(_PR_GET_SECCOMP)
    except OSError:
        return "this kernel has no seccomp"
    return ""


def restrict() -> None:
    """From now on this thread, and threads that it starts, cannot make the denied calls. Needs no_new_privs.

    Raises OSError.
    """
    program = assemble(platform.machine(), os.getpid())
    buffer = ctypes.create_string_buffer(program, len(program))
    prctl(_PR_SET_SECCOMP, _MODE_FILTER, struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer)))


def assemble(machine: str, pid: int) -> bytes:
    """The filter of the process ``pid`` for an architecture, as an array of struct sock_filter."""
    column = list(_AUDIT_ARCH).index(machine)
    number = {name: each for name, numbers in NUMBERS.items() if (each := numbers[column]) is not None}
    program = [
        _instruction(_LOAD, _ARCHITECTURE),
        _instruction(_EQUAL, _AUDIT_ARCH[machine], when_true=1),
        _instruction(_RETURN, _KILL),
        _instruction(_LOAD, _NUMBER),
        *_when(_GREATER, LAST, _ERROR | errno.ENOSYS),
        *_when(_EQUAL, number["clone3"], _ERROR | errno.ENOSYS),  # its flags lie in memory; libraries then use clone
        # It reserves disk space beyond every limit; libraries then write.
        *_when(_EQUAL, number["fallocate"], _ERROR | errno.EOPNOTSUPP),
    ]
    for name in DENIED:
        if name in number:
            program += _when(_EQUAL, number[name], _ERROR | errno.EPERM)
    for name, conditions in _by_argument(pid).items():
        checks = [part for values in conditions for part in _check(values)]
        program += _skip_unless(number[name], [*checks, _instruction(_RETURN, _ALLOW)])
    program += _skip_unless(number["clone"], _clone_check())
    return b"".join([*program, _instruction(_RETURN, _ALLOW)])


def _instruction(code: int, value: int, *, when_true: int = 0, when_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, when_true, when_false, value)


def _when(test: int, value: int, result: int) -> list[bytes]:
    return [_instruction(test, value, when_false=1), _instruction(_RETURN, result)]


def _unless(test: int, value: int, result: int) -> list[bytes]:
    return [_instruction(test, value, when_true=1), _instruction(_RETURN, result)]


def _skip_unless(number: int, check: list[bytes]) -> list[bytes]:
    return [_instruction(_EQUAL, number, when_false=len(check)), *check]


def _load_argument(index: int) -> bytes:
    return _instruction(_LOAD, _ARGUMENTS + 8 * index)  # the lower half: both architectures are little-endian


def _check(values: _Values) -> list[bytes]:
    """Deny the call, or go on after the last instruction."""
    denied = _ERROR | errno.EPERM
    if not values.among:
        return [_load_argument(values.argument), *(part for each in values.but for part in _when(_EQUAL, each, denied))]
    left = len(values.among)
    tests = [_instruction(_EQUAL, each, when_true=left - place) for place, each in enumerate(values.among)]
    return [_load_argument(values.argument), *tests, _instruction(_RETURN, denied)]


def _clone_check() -> list[bytes]:
    """Threads are allowed that share the descriptors, so that the parent sees them; processes are not."""
    return [
        _load_argument(0),
        *_unless(_ANY_BIT, _CLONE_THREAD, _ERROR | errno.EPERM),
        *_unless(_ANY_BIT, _CLONE_FILES, _ERROR | errno.EPERM),
        _instruction(_RETURN, _ALLOW),
    ]
