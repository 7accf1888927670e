"""The sandbox of foreign code: real processes try what is forbidden, and do what must still work."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tapedeck_common.sandbox import landlock, seccomp
from tapedeck_common.sandbox.descendants import adopt_orphans, children, sweep
from tapedeck_common.sandbox.limits import REPORT_BYTES
from tapedeck_common.sandbox.parts import available
from tapedeck_common.sandbox.syscall_numbers import NUMBERS
from tapedeck_deck.embedded import forkserver
from waits import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")

# The child: enters the sandbox, then executes each snippet and tells what it raised, and what the sandbox says of it.
_CHILD = """
import json, sys
from pathlib import Path
from tapedeck_common.sandbox.enter import enter
from tapedeck_common.sandbox.denial import explain_denial
from tapedeck_common.sandbox.policy import SandboxPolicy
given = json.loads(sys.argv[1])
policy = SandboxPolicy(
    Path(given["scratch"]), tuple(map(Path, given["readable"])), environment={"TZ": "Europe/Paris"}, **given["amounts"]
)
enter(policy)
outcomes = []
for snippet in given["snippets"]:
    try:
        scope = {"parent": given["parent"]}
        exec(snippet, scope)
        outcomes.append(["done", repr(scope.get("result"))])
    except BaseException as error:
        outcomes.append([f"{type(error).__name__}: {error}", explain_denial(error)])
print(json.dumps(outcomes))
"""
_SYSCALL = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
if libc.syscall({number}, {arguments}) < 0:
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
"""

# All that the kernel wrote above the arguments, read as no limit of addresses can end the process.
_STACK = """
import ctypes, os
reader, writer = os.pipe()
at, found = ctypes.c_void_p.in_dll(ctypes.CDLL(None), 'program_invocation_name').value, b''
while (n := ctypes.CDLL(None).write(writer, ctypes.c_void_p(at), 4096 - at % 4096)) > 0:
    found, at = found + os.read(reader, n), at + n
"""


def _run(scratch: Path, *snippets: str, readable: tuple[Path, ...] = (), **amounts: int) -> list[tuple[str, str]]:
    given = {
        "scratch": str(scratch),
        "readable": list(map(str, readable)),
        "amounts": amounts,
        "snippets": snippets,
        "parent": os.getpid(),
    }
    done = subprocess.run([sys.executable, "-c", _CHILD, json.dumps(given)], capture_output=True, text=True, timeout=99)
    assert done.returncode == 0, done.stderr
    return [(outcome, words) for outcome, words in json.loads(done.stdout)]


def _syscall(name: str, *arguments: str) -> str:
    column = ["x86_64", "aarch64"].index(platform.machine())
    return _SYSCALL.format(number=NUMBERS[name][column], arguments=", ".join(arguments) or "0")


def test_what_foreign_code_may_not_do_fails_and_the_message_says_what_was_not_allowed(
    scratch: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "store_dsn"
    secret.write_text("postgresql://somebody:password@nowhere/")
    attempts = {
        f"open({str(secret)!r}).read()": f"access to {str(secret)!r}",
        f"open({str(tmp_path / 'new')!r}, 'w')": "access to",
        f"import os; os.listdir({str(tmp_path)!r})": "access to",
        f"import os; os.unlink({str(secret)!r})": "access to",
        f"import os; os.chmod({str(secret)!r}, 0o777)": "access to",
        f"import os; os.truncate({str(secret)!r}, 0)": "access to",
        f"import os; os.link({str(secret)!r}, 'link')": "access",
        "open(f'/proc/{parent}/environ', 'rb').read()": "access to '/proc/",
        "open(f'/proc/{parent}/mem', 'rb').read(1)": "access to '/proc/",
        "open('/proc/self/environ', 'rb').read()": "access to '/proc/",
        "open('/etc/passwd').read()": "access to '/etc/passwd'",
        "open('/dev/shm/x', 'w')": "access to '/dev/shm/x'",
        "import socket; socket.socket()": "access",
        "import socket; socket.create_connection(('127.0.0.1', 9092))": "a network connection",
        "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9/')": "a network connection",
        "import subprocess; subprocess.run(['true'])": "starting a process",
        "import os; os.system('true')": "starting a process",
        "import os; os.fork()": "starting a process",
        "import multiprocessing as m; m.get_context('fork').Process(target=print).start()": "starting a process",
        "import os; os.execv('/bin/true', ['true'])": "starting a process",
        "import os; os.kill(parent, 0)": "a signal to another process",
        "import os; os.killpg(0, 15)": "a signal to a group",
        "import resource; resource.prlimit(parent, resource.RLIMIT_NOFILE, (1, 1))": "access",
        _syscall("fork") if platform.machine() == "x86_64" else _syscall("clone", "17", "0"): "access",
        _syscall("clone", "17", "0"): "access",
        _syscall("execve", "b'/bin/true'", "None", "None"): "access",
        _syscall("socket", "1", "1", "0"): "access",
        _syscall("kill", "parent", "0"): "access",
        _syscall("kill", "-1", "0"): "access",
        _syscall("tkill", "parent", "0"): "access",
        _syscall("ptrace", "16", "parent", "0", "0"): "access",
        _syscall("process_vm_readv", "parent", "0", "0", "0", "0", "0"): "access",
        _syscall("pidfd_open", "parent", "0"): "access",
        _syscall("prctl", "1", "0", "0", "0", "0"): "access",
        _syscall("unshare", str(0x10000000)): "access",
        _syscall("bpf", "0", "0", "0"): "access",
        _syscall("keyctl", "0", "0", "0"): "access",
        _syscall("io_uring_setup", "1", "0"): "access",
        _syscall("memfd_create", "b'x'", "0"): "access",
        _syscall("shmget", "0", "4096", "0o1600"): "access",
        _syscall("perf_event_open", "0", "0", "0", "0", "0"): "access",
        _syscall("sendmmsg", "0", "0", "0", "0"): "access",
        _syscall("socketpair", "1", "5", "0", "(ctypes.c_int * 2)()"): "access",
        _syscall("socketpair", "16", "1", "0", "(ctypes.c_int * 2)()"): "access",
        _syscall("landlock_add_rule", "0", "0", "0", "0"): "access",
        _syscall("ioctl", "0", "0x5412", "b'x'"): "access",
        _syscall("clone", str(0x10000 | 0x800 | 0x100), "0"): "access",
    }
    outcomes = _run(scratch, *attempts)
    for (snippet, expected), (outcome, words) in zip(attempts.items(), outcomes, strict=True):
        assert words.startswith(f"not allowed in the sandbox: {expected}"), (snippet, outcome, words)
    assert secret.read_text() == "postgresql://somebody:password@nowhere/"
    assert secret.stat().st_mode & 0o777 == 0o644


def test_a_newer_system_call_than_the_filter_knows_and_clone3_do_not_exist(scratch: Path) -> None:
    outcomes = _run(scratch, _syscall("clone3", "0", "0"), _SYSCALL.format(number=600, arguments="0"))
    assert [outcome for outcome, _ in outcomes] == ["OSError: [Errno 38] Function not implemented"] * 2


def test_libraries_time_zones_threads_and_the_own_folder_work_inside(scratch: Path, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("1,2\n")
    outcomes = _run(
        scratch,
        "import numpy; result = float((numpy.ones((300, 300)) @ numpy.ones((300, 300))).sum())",
        "import pandas, io; result = int(pandas.read_csv(io.StringIO('a\\n1\\n2')).a.sum())",
        "import pandas; result = str(pandas.Timestamp('2024-07-01', tz='America/New_York').tz_convert('Asia/Tokyo'))",
        "import backtrader; result = backtrader.Cerebro().run()",
        "import zoneinfo, datetime; result = datetime.datetime(2024, 7, 1, tzinfo=zoneinfo.ZoneInfo('Europe/Paris'))"
        ".utcoffset().total_seconds()",
        "import time; result = time.localtime(1719792000).tm_hour",
        "import threading; r = []; t = threading.Thread(target=r.append, args=(1,)); t.start(); t.join(); result = r",
        "import tempfile; f = tempfile.NamedTemporaryFile('w+'); f.write('x'); f.seek(0); result = f.read()",
        "import os; os.makedirs('a/b'); open('a/c', 'w').close(); os.rename('a/c', 'a/b/c'); result = os.listdir('a')",
        "import asyncio; result = asyncio.run(asyncio.sleep(0, 7))",
        f"result = open({str(tmp_path / 'data.csv')!r}).read()",
        "import random, secrets, uuid, os; result = len(secrets.token_bytes(3)) + len(os.urandom(2))",
        "import os; os.kill(os.getpid(), 0); open(os.devnull, 'w').write('x'); result = os.cpu_count() > 0",
        "import os; f = open('reserved', 'wb'); os.posix_fallocate(f.fileno(), 0, 9000);"
        "result = os.stat('reserved').st_size",
        "import sqlite3; c = sqlite3.connect('db'); c.execute('PRAGMA journal_mode = WAL');"
        "c.execute('CREATE TABLE t(a)');"
        "c.execute('INSERT INTO t VALUES (5)'); c.commit(); result = c.execute('SELECT a FROM t').fetchone()",
        "import numpy; a = numpy.memmap('map', 'int64', 'w+', shape=(1000,)); a[7] = 9; a.flush();"
        "result = int(numpy.memmap('map', 'int64', 'r')[7])",
        "import pyarrow as p, pyarrow.parquet as q; q.write_table(p.table({'a': [1, 2]}), 'p');"
        "result = q.read_table('p', memory_map=True)['a'].to_pylist()",
        "import pandas; pandas.DataFrame({'a': [4]}).to_csv('csv'); result = int(pandas.read_csv('csv').a[0])",
        "import shutil; shutil.copyfile('csv', 'copy'); result = open('copy').read(1)",
        "import socket; a, b = socket.socketpair(); a.sendall(b'x'); a.setblocking(False); result = b.recv(9)",
        "import multiprocessing as m; a, b = m.Pipe(); a.send({}); result = b.recv()",
        "import sys; result = sys.stdin.isatty()",
        readable=(tmp_path,),
    )
    assert [words if outcome == "done" else outcome for outcome, words in outcomes] == [
        "27000000.0", "3", "'2024-07-01 13:00:00+09:00'", "[]", "7200.0", "2", "[1]", "'x'", "['b']", "7", "'1,2\\n'",
        "5", "True", "9000", "(5,)", "9", "[1, 2]", "4", "','", "b'x'", "{}", "False",
    ]  # fmt: skip


def test_the_process_has_no_descriptor_environment_or_capability_of_its_parent(scratch: Path) -> None:
    os.environ["TAPEDECK_SECRET"] = "password"
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    try:
        outcomes = _run(
            scratch,
            f"import os; os.write({writer}, b'x')",
            "import os; result = sorted(os.environ)",
            "import os; result = os.getsid(0) == os.getpid() and os.umask(0) == 0o077",
            "import ctypes; s = ctypes.create_string_buffer(24); h = (ctypes.c_uint32 * 2)(0x20080522, 0);"
            "ctypes.CDLL(None).capget(h, s); result = set(s.raw)",
            "import ctypes; result = ctypes.CDLL(None).prctl(39, 0, 0, 0, 0)",  # PR_GET_NO_NEW_PRIVS
        )
    finally:
        os.close(reader)
        os.close(writer)
        del os.environ["TAPEDECK_SECRET"]
    assert outcomes[0][0] == "OSError: [Errno 9] Bad file descriptor"
    assert [words for _, words in outcomes[1:]] == ["['HOME', 'TMPDIR', 'TZ']", "True", "{0}", "1"]


def test_amounts_are_limited_from_the_first_line(scratch: Path) -> None:
    outcomes = _run(
        scratch,
        "x = bytearray(900_000_000)",
        "f = open('x', 'wb'); f.write(bytes(2_000_000)); f.close()",
        "files = [open('/dev/null') for _ in range(100)]",
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))",
        "import resource; result = resource.getrlimit(resource.RLIMIT_CORE)",
        memory_bytes=500_000_000, file_bytes=1_000_000, open_files=64,
    )  # fmt: skip
    assert outcomes[0][0].startswith("MemoryError")
    assert "[Errno 27] File too large" in outcomes[1][0]
    assert "[Errno 24] Too many open files" in outcomes[2][0]
    assert outcomes[3][0] == "ValueError: not allowed to raise maximum limit"
    assert outcomes[4] == ("done", "(0, 0)")


def test_memory_is_limited_beyond_what_the_process_allows_itself_and_it_is_the_first_to_be_killed(
    scratch: Path,
) -> None:
    outcomes = _run(
        scratch,
        "import resource; soft, hard = resource.getrlimit(resource.RLIMIT_DATA); result = hard - soft",
        "import resource; resource.setrlimit(resource.RLIMIT_DATA, (-1, -1))",
        "import resource; resource.setrlimit(resource.RLIMIT_DATA, (hard := resource.getrlimit(2)[1], hard))",
        "x = bytearray(900_000_000)",
        memory_bytes=500_000_000,
    )
    assert outcomes[0] == ("done", str(REPORT_BYTES))
    assert outcomes[1][0] == "ValueError: not allowed to raise maximum limit"
    assert outcomes[2][0] == "done"
    assert outcomes[3][0].startswith("MemoryError")
    with _confined(scratch) as process:
        assert Path(f"/proc/{process.pid}/oom_score_adj").read_text() == "1000\n"


def test_the_first_environment_is_not_in_the_memory_of_the_process_and_of_pods_of_a_deck(
    scratch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAPEDECK_SECRET", "password")
    # The arguments have this code: it must not have the words.
    looks = "result = b'TAPEDECK' b'_SECRET' in found, b'PA' b'TH=' in found"
    assert _run(scratch, f"{_STACK}\n{looks}") == [("done", "(False, False)")]
    # The server of the tests has the whole environment of their shell.
    code = f"{_STACK}\nprint('stack', b'PATH=' in found)"
    log = tmp_path / "log"
    forked = forkserver.start("timeit", ["-n1", "-r1", code], log=log, env={"TZ": "UTC"})
    assert forked.wait(60) == 0, log.read_text()
    assert log.read_text().startswith("stack False")


def test_no_datagram_reaches_a_socket_that_has_a_name(scratch: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "log"))
        receiver.setblocking(False)
        address = f"(ctypes.c_char * 110)(*(1).to_bytes(2, 'little') + {os.fsencode(tmp_path / 'log')!r})"
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            _run(
                scratch,
                "import ctypes\nlibc = ctypes.CDLL(None)\npair = (ctypes.c_int * 2)()\n"
                f"libc.socketpair(1, {int(kind)}, 0, pair)\nlibc.sendto(pair[0], b'x', 1, 0, {address}, 110)",
            )
        with pytest.raises(BlockingIOError):
            receiver.recv(9)


def test_a_process_with_several_threads_is_refused() -> None:
    code = (
        "import threading, time; threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
        "from pathlib import Path\nfrom tapedeck_common.sandbox.enter import enter\n"
        "from tapedeck_common.sandbox.policy import SandboxPolicy\nenter(SandboxPolicy(Path('/tmp')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=99)
    assert "SandboxFailed: the process has several threads, expected one" in done.stderr


def test_this_system_has_every_part_and_a_kernel_without_them_says_what_code_can_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert available().missing == ()
    assert available().warning() == ""
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    monkeypatch.setattr(seccomp, "missing", lambda: "this kernel has no seccomp")
    assert available().warning() == (
        "the sandbox of foreign code is incomplete: no Landlock: foreign code reads and writes the files that this "
        "user may; this kernel has no seccomp: foreign code can open connections, start processes, and evade the "
        "limit of its folder; Landlock ABI 0: foreign code can signal this user's other processes"
    )


@pytest.mark.parametrize(("machine", "column", "token"), [("x86_64", 0, 0xC000003E), ("aarch64", 1, 0xC00000B7)])
def test_the_numbers_of_system_calls_are_those_of_libseccomp(machine: str, column: int, token: int) -> None:
    library = ctypes.CDLL("libseccomp.so.2")
    differing = {}
    for name, numbers in NUMBERS.items():
        known = library.seccomp_syscall_resolve_name_arch(ctypes.c_uint32(token), name.encode())
        if known != -1 and max(known, -1) != (-1 if numbers[column] is None else numbers[column]):
            differing[name] = known
    assert not differing
    assert len(seccomp.assemble(machine, 1)) % 8 == 0


def test_a_sweep_kills_what_a_child_left_behind_however_deep_and_spares_the_others() -> None:
    adopt_orphans()
    before = children()  # such as the server of forks
    spared = subprocess.Popen(["sleep", "60"])
    child = subprocess.Popen(["sh", "-c", "(setsid sh -c 'sleep 60 & sleep 60' &) ; exec sleep 60"])

    def has_orphan() -> bool:
        """Whether this process has become the parent of one that has a child."""
        with suppress(psutil.NoSuchProcess):
            return any(psutil.Process(pid).children() for pid in children() - before - {spared.pid, child.pid})
        return False

    eventually(has_orphan)
    child.kill()
    child.wait(60)
    assert sweep(spared=[*before, spared.pid]) >= 2
    assert children() == before | {spared.pid}
    spared.kill()
    spared.wait(60)


@contextmanager
def _confined(scratch: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has entered the sandbox and waits."""
    code = (
        "import time\nfrom pathlib import Path\nfrom tapedeck_common.sandbox.enter import enter\n"
        f"from tapedeck_common.sandbox.policy import SandboxPolicy\nenter(SandboxPolicy(Path({str(scratch)!r})))\n"
        "open('entered', 'w').close(); time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        eventually((scratch / "entered").exists)
        yield process
    finally:
        process.kill()
        process.wait(60)
