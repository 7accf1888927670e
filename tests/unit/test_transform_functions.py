"""Users' functions in the sandbox: what they may not do fails cleanly, and what they may do works."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tapedeck_crds.transforms import FunctionTransform
from tapedeck_transform.functions import ENDS_MAX, InvalidFunction, UserFunction
from tapedeck_transform.stages import FunctionFailed
from waits import within

pytestmark = pytest.mark.slow

ESCAPES = """
import ctypes, os, signal, socket, subprocess, sys, threading, time
from pathlib import Path

HERE = Path(__file__).parent
def reads_connections(window): return len((HERE / "home" / "store_dsn").read_text())
def reads_a_password_file(window): return len(open("/etc/passwd").read())
def reads_its_parent(window): return len(open(f"/proc/{os.getppid()}/environ", "rb").read())
def reads_memory(window): return open(f"/proc/{os.getppid()}/mem", "rb").read(1)[0]
def writes_beside_itself(window): return (HERE / "own.py").write_text("")
def deletes(window): return os.unlink(HERE / "own.py")
def opens_a_port(window): return socket.create_connection(("127.0.0.1", 9))
def starts_a_program(window): return subprocess.run(["true"]).returncode
def forks(window): return os.fork()
def bombs_with_forks(window):
    while True: os.fork()
def bombs_past_pythons_check(window):
    library = ctypes.CDLL(None, use_errno=True)
    while library.fork() >= 0: pass
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "fork")
def asks_a_shell(window): return os.system("true")
def stops_its_parent(window): return os.kill(os.getppid(), signal.SIGSTOP)
def fills_memory(window): return len(bytearray(3_000_000_000))
def fills_a_file(window): return open("big", "wb").write(bytes(40_000_000))

def floods(window):
    while True:
        for descriptor in range(3, 20):
            try: os.write(descriptor, b"x" * 60_000)
            except OSError: pass
def forges(window):
    for descriptor in range(3, 20):  # one write, so that the pod reads both
        try: os.write(descriptor, 2 * b'{"number":1,"value":3.0}\\n')
        except OSError: pass
    return 4
def bombs_with_threads(window):
    threading.stack_size(32768)
    while True:
        try: threading.Thread(target=time.sleep, args=(600,)).start()
        except RuntimeError: pass
def holds_the_interpreter(window): return ctypes.PyDLL(None).sleep(600)
def fills_the_disk(window):
    for n in range(9): open(f"part{n}", "wb").write(bytes(15_000_000))
    time.sleep(60)
def prints(window):
    for _ in range(40): os.write(1, b"y" * 100_000)
    return 1
def inherits(window): return len(os.environ) - len([n for n in os.environ if n in ("HOME", "TMPDIR") or "THREADS" in n])
def uses_what_it_may(window):
    import numpy, zoneinfo, tempfile
    with tempfile.TemporaryFile() as file: file.write(b"x")
    t = threading.Thread(target=zoneinfo.ZoneInfo, args=("Europe/Paris",)); t.start(); t.join()
    return numpy.mean([each["close"] for each in window])
"""
FAILURES = {
    "reads_connections": "access to '{}/home/store_dsn'",
    "reads_a_password_file": "access to '/etc/passwd'",
    "reads_its_parent": "access to '/proc/",
    "reads_memory": "access to '/proc/",
    "writes_beside_itself": "access to '{}/own.py'",
    "deletes": "access to '{}/own.py'",
    "opens_a_port": "a network connection",
    "starts_a_program": "starting a process",
    "forks": "starting a process",
    "bombs_with_forks": "starting a process",
    "bombs_past_pythons_check": "access to 'fork'",
    "asks_a_shell": "starting a process",
    "stops_its_parent": "a signal to another process",
}
ENDS = {
    "floods": "wrote more than 16384 bytes to the pod's pipe, and was killed",
    "forges": "wrote something other than its answer to the pod's pipe, and was killed",
    "holds_the_interpreter": "took longer than 0.5 s, and was killed",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own.py").write_text(ESCAPES)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "store_dsn").write_text("postgresql://somebody:password@nowhere/")
    return tmp_path


@pytest.fixture
def function(folder: Path) -> Iterator[UserFunction]:
    """The module's function whose name the test sets."""
    made = _function(folder, "uses_what_it_may")
    yield made
    made.close()


def _function(folder: Path, name: str, seconds: float = 10.0) -> UserFunction:
    function = FunctionTransform(module=f"own:{name}", lookback=1, seconds=seconds)
    return UserFunction("x", function, [folder], hidden=[folder / "home"])


def _failure(function: UserFunction) -> str:
    with pytest.raises(FunctionFailed) as failed:
        function.call([{"close": 1.0}])
    return str(failed.value)


def test_what_a_function_may_not_do_fails_with_a_message_that_says_it(folder: Path) -> None:
    (folder / "own.py").write_text(ESCAPES + "\ndef any(window): return globals()[window[0]['name']](window)\n")
    function = _function(folder, "any")
    try:
        for name, expected in FAILURES.items():
            with pytest.raises(FunctionFailed) as failed:
                function.call([{"name": name}])
            text = str(failed.value)
            assert text.startswith(f"not allowed in the sandbox: {expected.format(folder)}"), (name, text)
            assert "(own.py:" in text
        with pytest.raises(FunctionFailed, match=r"^MemoryError.*own.py"):
            function.call([{"name": "fills_memory"}])
        with pytest.raises(FunctionFailed, match=r"^OSError: \[Errno 27\] File too large"):
            function.call([{"name": "fills_a_file"}])
        assert function.call([{"name": "inherits"}]) == 0
        assert function.call([{"name": "uses_what_it_may", "close": 2.5}]) == 2.5
        assert "password" in (folder / "home" / "store_dsn").read_text()
    finally:
        function.close()


@pytest.mark.parametrize(("name", "expected"), ENDS.items())
def test_a_flood_a_forged_answer_and_a_hang_that_holds_the_interpreter_are_ended(
    folder: Path, name: str, expected: str
) -> None:
    function = _function(folder, name, seconds=0.5 if name == "holds_the_interpreter" else 30)
    try:
        with within(10):
            assert _failure(function) == expected
    finally:
        function.close()


def test_a_function_that_fills_the_disk_is_ended(folder: Path) -> None:
    function = _function(folder, "fills_the_disk", seconds=30)
    try:
        assert _failure(function).startswith("was killed: it wrote ")
    finally:
        function.close()


def test_what_a_function_prints_is_limited_past_pythons_streams(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tapedeck_transform.function_process._OUTPUT_SECONDS", 60.0)  # all that it printed is copied
    function = _function(folder, "prints")
    try:
        assert function.call([{}]) == 1
    finally:
        function.close()
    printed = capfd.readouterr().err
    assert printed.count("y" * 64) == 2**20 // 64
    assert printed.endswith("… output beyond 1048576 bytes is dropped\n")


def test_a_function_that_bombs_with_threads_is_ended(folder: Path) -> None:
    function = _function(folder, "bombs_with_threads", seconds=30)
    try:
        assert re.fullmatch(r".*it ran \d+ threads, at most 512 are allowed.*", _failure(function))
    finally:
        function.close()


def test_code_that_runs_at_import_is_in_the_sandbox_too(folder: Path) -> None:
    (folder / "own.py").write_text("import os\nos.fork()\ndef f(window): return 1")
    with pytest.raises(InvalidFunction, match="importable function: not allowed in the sandbox: starting a process"):
        _function(folder, "f").start()


def test_a_function_whose_process_ends_each_time_is_not_called_again(folder: Path) -> None:
    function = _function(folder, "forges")
    for _ in range(ENDS_MAX):
        _failure(function)
    assert _failure(function) == f"disabled: 5 consecutive calls ended its process; the last {ENDS['forges']}"
    assert sorted(each.name for each in folder.iterdir() if each.is_file()) == ["own.py"]
