"""The limits of the folder of foreign code, and of what is counted to it; its deletion."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tapedeck_common.sandbox.policy import MIB
from tapedeck_common.sandbox.scratch import ProcessWatch, ScratchFolder, folder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")


def _excess(scratch: Path, code: str, seconds: float = 60.0) -> list[str]:
    """Why a process that runs the code in the folder is ended, which may write 2 MiB there; empty if it is not."""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=scratch)
    reasons: list[str] = []

    def end(reason: str) -> None:
        reasons.append(reason)
        process.kill()

    watch = ProcessWatch(process.pid, scratch, end, folder_bytes=2 * MIB)
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    watch.stop()
    process.kill()
    process.wait(60)
    return reasons


_DELETED = "import os, time\nf = open('x', 'wb+'); os.unlink('x'); f.write(bytes({size})); f.flush()\n"
_THREE = ["it wrote 3 MiB to its folder, at most 2 are allowed"]


@pytest.mark.parametrize(
    ("code", "reasons"),
    [
        (_DELETED.format(size=3_000_000) + "time.sleep(600)", _THREE),
        # Space beyond the end of a file, which no limit of its size bounds.
        (
            _DELETED.format(size=1) + "import ctypes\nc = ctypes.c_long\n"
            "assert ctypes.CDLL(None).fallocate(f.fileno(), 1, c(0), c(3 * 2**20)) == 0; time.sleep(600)",
            _THREE,
        ),
        (
            "import os, time\nf = os.open('.', os.O_TMPFILE | os.O_RDWR); os.write(f, bytes(3_000_000))\n"
            "time.sleep(600)",
            _THREE,
        ),
        # The first thread ends: the folder of the process then shows no descriptors and no memory.
        (
            _DELETED.format(size=3_000_000) + "import ctypes, threading\n"
            "threading.Thread(target=time.sleep, args=(600,)).start()\n"
            "ctypes.CDLL(None).syscall({'x86_64': 60}.get(os.uname().machine, 93), 0)",
            _THREE,
        ),
        (
            _DELETED.format(size=9) + "import ctypes\nkeep = ctypes.CDLL(None).mmap\n"
            "keep(None, ctypes.c_size_t(4096), 1, 2, f.fileno(), ctypes.c_long(0)); f.close(); time.sleep(600)",
            ["it keeps a deleted file of its folder by a mapping alone, and that has no size to count"],
        ),
        (
            "import os, time\nfor _ in range(40): os.mkdir('n' * 250); os.chdir('n' * 250)\n"
            "open('x', 'wb').write(bytes(3_000_000)); time.sleep(600)",
            _THREE,
        ),
        (
            "import os, time\nfor _ in range(2000): os.mkdir('n'); os.chdir('n')\ntime.sleep(600)",
            ["it nested folders deeper than 64"],
        ),
    ],
)  # fmt: skip
def test_a_process_that_fills_its_folder_is_ended_wherever_it_hides_its_files(
    scratch: Path, code: str, reasons: list[str]
) -> None:
    assert _excess(scratch, code) == reasons


def test_entries_are_counted_just_beyond_their_limit(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "ENTRIES_MAX", 5)
    for name in "abc":
        (scratch / name).mkdir()
        (scratch / name / "file").touch()
    (scratch / "link").symlink_to("/")
    assert folder.FolderFiles(scratch).entries == 6


def test_a_deleted_file_that_is_mapped_and_open_and_one_with_two_names_count_once(scratch: Path) -> None:
    code = (
        "import mmap, os, tempfile, time\n"
        "f = open('a', 'wb+'); f.write(bytes(1_200_000)); f.flush(); os.link('a', 'b')\n"
        "g = tempfile.TemporaryFile(dir='.'); g.write(bytes(600_000)); g.flush()\n"
        "m = mmap.mmap(g.fileno(), 0); g.close(); time.sleep(600)"
    )
    assert _excess(scratch, code, seconds=2.5) == []


def test_a_folder_is_deleted_however_deep_it_is_and_whatever_may_not_be_entered() -> None:
    code = "import os\nfor n in range(1100): os.mkdir('n', 0o700 if n % 100 else 0o300); os.chdir('n')"
    deep = ScratchFolder()
    subprocess.run([sys.executable, "-c", code], cwd=deep.path, check=True, timeout=60)
    deep.close()
    assert not deep.path.exists()
