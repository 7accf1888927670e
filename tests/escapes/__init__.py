"""Strategies that try to escape from their process: what each tries, and how its run must fail."""

from __future__ import annotations

from dataclasses import dataclass

# What all of them can use. ``pipe`` is the strategy's end of the pipe to its pod, as a strategy can find it.
HEAD = """
import array, ctypes, glob, mmap, os, pickle, resource, signal, socket, stat, subprocess, sys, threading, time
import backtrader as bt

def pipe():
    from tapedeck_backtest.child.channel import PodChannel
    frame = sys._getframe()
    while frame:
        for each in frame.f_locals.values():
            if isinstance(each, PodChannel):
                return each
        frame = frame.f_back

def libc(name, *arguments):
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), name)

class Escapes(bt.Strategy):
    def next(self):
        if len(self) == 50:
            escape()

def escape():
"""


@dataclass(frozen=True)
class Escape:
    """The body of ``escape``, the reason of the failed run, and a part of its message.

    ``{secret}`` is the path of a file of the connections, ``{sibling}`` one in another pod's folder.
    """

    body: str
    reason: str
    message: str

    def module(self, **paths: object) -> str:
        """The strategy's module."""
        body = self.body.format(**paths) if "{" in self.body else self.body
        return HEAD + "".join(f"    {line}\n" for line in body.splitlines())


def _denied(body: str, what: str) -> Escape:
    return Escape(body, "StrategyError", f"not allowed in the sandbox: {what}")


ESCAPES = {
    "reads the files of the connections": _denied("open('{secret}').read()", "access to '"),
    "reads another pod's folder": _denied("open('{sibling}').read()", "access to '"),
    "lists processes": _denied("os.listdir('/proc')", "access to '/proc'"),
    "reads its parent's environment": _denied("open(f'/proc/{{os.getppid()}}/environ', 'rb')", "access to '/proc/"),
    "reads its parent's memory": _denied("open(f'/proc/{{os.getppid()}}/mem', 'rb')", "access to '/proc/"),
    "reads its own first environment": _denied("open('/proc/self/environ', 'rb')", "access to '/proc/"),
    "reads its first environment in its own memory": Escape(
        "reader, writer = os.pipe()\n"
        "at, found = ctypes.c_void_p.in_dll(ctypes.CDLL(None), 'program_invocation_name').value, b''\n"
        "while (n := ctypes.CDLL(None).write(writer, ctypes.c_void_p(at), 4096 - at % 4096)) > 0:\n"
        "    found, at = found + os.read(reader, n), at + n\n"
        "raise LookupError(f'it says {{found.count(b\"PATH=\")}} times where programs are')",
        "StrategyError", "it says 0 times where programs are",
    ),
    "traces its parent": _denied("libc('ptrace', 16, os.getppid(), 0, 0)", "access to 'ptrace'"),
    "writes beside its code": _denied("open(os.path.dirname(__file__) + '/new.py', 'w')", "access to '"),
    "connects to a broker": _denied("socket.create_connection(('127.0.0.1', 9092))", "a network connection"),
    "opens a socket past Python's own check": _denied("libc('socket', 2, 1, 0)", "access to 'socket'"),
    "sends a datagram": _denied("socket.socketpair(type=socket.SOCK_DGRAM)", "access"),
    "sends a datagram past Python's own check": _denied(
        "libc('socketpair', 1, 2, 0, (ctypes.c_int * 2)())", "access to 'socketpair'"
    ),
    "sends to a name": _denied("socket.socketpair()[0].sendto(b'x', '/dev/log')", "a network connection"),
    "kills its parent": _denied("os.kill(os.getppid(), 9)", "a signal to another process"),
    "kills its parent past Python's own check": _denied("libc('kill', os.getppid(), 9)", "access to 'kill'"),
    "stops all processes of its user": _denied("libc('kill', -1, 19)", "access to 'kill'"),
    "bombs with forks": _denied("while True: os.fork()", "starting a process"),
    "forks past Python's own check": _denied("libc('fork')", "access to 'fork'"),
    "bombs with threads": Escape(
        "threading.stack_size(32768)\n"
        "while True:\n"
        "    try: threading.Thread(target=time.sleep, args=(600,)).start()\n"
        "    except RuntimeError: pass",
        "StrategyLimits", "threads, at most 512 are allowed",
    ),
    "executes a program": _denied("os.execv('/bin/true', ['true'])", "starting a process"),
    "leaves a daemon behind": _denied(
        "subprocess.Popen(['sleep', '600'], start_new_session=True)", "starting a process"
    ),
    "leaves its session": _denied("libc('setsid')", "access to 'setsid'"),
    "raises its limits": _denied("resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (9, 9))", "access"),
    "raises its limit of memory": Escape(
        "resource.setrlimit(resource.RLIMIT_DATA, (-1, -1))", "StrategyError", "not allowed to raise maximum limit"
    ),
    "exits as if the run were complete": Escape("os._exit(0)", "StrategyExited", "exit code 0"),
    "crashes": Escape("ctypes.string_at(0)", "StrategyExited", "signal SIGSEGV"),
    "closes its pipe": Escape("os.closerange(3, 200); time.sleep(60)", "BadMessage", "the end of all messages"),
    "writes junk on its pipe": Escape("os.write(pipe()._answers, b'junk' * 100)", "BadMessage", "a message of"),
    "writes pickles on its pipe": Escape(
        "evil = pickle.dumps(range(9))\nos.write(pipe()._answers, len(evil).to_bytes(4, 'big') + evil)",
        "BadMessage", "got ",
    ),
    "answers what nobody asked": Escape(
        "from tapedeck_backtest.protocol.messages import Loaded\nfor _ in range(2): pipe().send(Loaded())",
        "BadMessage", "expected",
    ),
    "floods its pod with heartbeats": Escape(
        "from tapedeck_backtest.protocol.messages import Heartbeat\nwhile True: pipe().send(Heartbeat())",
        "BadMessage", "more than",
    ),
    "floods the topic with fills": Escape(
        "from tapedeck_common.records import RunFill\n"
        "for n in range(10**7): pipe().send(RunFill('', n, 'A', 1, 'buy', 1.0, 1.0))",
        "BadRecord", "fills and trades a bar",
    ),
    "trades a symbol of another run": Escape(
        "from tapedeck_common.records import RunFill\npipe().send(RunFill('', 0, 'OTHER', 1, 'buy', 1.0, 1.0))",
        "BadRecord", "got 'OTHER'",
    ),
    "sends a record that breaks the recorder": Escape(
        "from tapedeck_common.records import RunFill\npipe().send(RunFill('', 0, 'A', 2**62, 'buy', 1.0, 1.0))",
        "BadRecord", "a time",
    ),
    "sends market data": Escape(
        "from tapedeck_common.market import Bar\npipe().send(Bar('x', 'A', '1m', 0, 1.0, 1.0, 1.0, 1.0, 1.0))",
        "BadMessage", "got ",
    ),
    "fills its disk": Escape(
        "for n in range(10):\n"
        "    with open(f'{{n}}', 'wb') as file: file.write(bytes(30_000_000))\n"
        "    time.sleep(0.1)",
        "StrategyLimits", "to its folder",
    ),
    "fills its disk below folders that have no path": Escape(
        "for n in range(60):\n"
        "    os.mkdir('n' * 250); os.chdir('n' * 250)\n"
        "for n in range(4):\n"
        "    with open(f'{{n}}', 'wb') as file: file.write(bytes(30_000_000))\n"
        "time.sleep(600)",
        "StrategyLimits", "to its folder",
    ),
    "nests folders without end": Escape(
        "while True: os.mkdir('n'); os.chdir('n')", "StrategyLimits", "nested folders deeper than 64"
    ),
    "fills its disk with mappings of deleted files": Escape(
        "kept = ctypes.CDLL(None).mmap; kept.restype = ctypes.c_void_p\n"
        "for n in range(4):\n"
        "    with open('x', 'wb+') as file:\n"
        "        file.write(bytes(30_000_000)); file.flush()\n"
        "        assert kept(None, ctypes.c_size_t(4096), 1, 2, file.fileno(), ctypes.c_long(0)) != 2**64 - 1\n"
        "    os.unlink('x')\n"
        "time.sleep(600)",
        "StrategyLimits", "by a mapping alone",
    ),
    "reserves space of a deleted file": Escape(
        "file = open('x', 'wb'); os.unlink('x')\n"
        "libc('fallocate', file.fileno(), 1, ctypes.c_long(0), ctypes.c_long(2**30))",
        "StrategyError", "Operation not supported",
    ),
    "reserves space by a control of the file": _denied(
        "file = open('x', 'wb'); os.unlink('x')\n"
        "libc('ioctl', file.fileno(), 0x4030582A, b''.join(n.to_bytes(8, 'little') for n in (0, 0, 2**30, 0, 0, 0)))",
        "access to 'ioctl'",
    ),
    "sends a deleted file to itself": _denied(
        "one, other = socket.socketpair()\nfile = open('x', 'wb'); os.unlink('x')\n"
        "one.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [file.fileno()]))])",
        "a network connection",
    ),
    "sends a deleted file to itself past Python's own check": _denied(
        "one, other = socket.socketpair()\nlibc('sendmsg', one.fileno(), bytes(56), 0)", "access to 'sendmsg'"
    ),
    "keeps a deleted file in a set of rules": _denied(
        "libc('syscall', ctypes.c_long(444), None, ctypes.c_size_t(0), 1)", "access to 'syscall'"
    ),
    "has descriptors of a thread's own": _denied("libc('close_range', 1000, 1001, 2)", "access to 'close_range'"),
    "hides its files from its pod": _denied("libc('prctl', 4, 0, 0, 0, 0)", "access to 'prctl'"),
    "writes one great file": Escape(
        "with open('great', 'wb') as file:\n    for _ in range(300): file.write(bytes(1_000_000))",
        "StrategyError", "File too large",
    ),
    "holds the interpreter's lock": Escape("sum(range(10**12))", "TimeLimit", "in escape"),
}  # fmt: skip
