"""A program that reads one input, in a process of its own: what it says, its memory and its time."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

SECONDS_MAX = 5.0
MEMORY_MAX = 256 * 2**20

# Prints what is said of the input.
READER = """
    import sys
    from pathlib import Path
    from tapedeck_common.files import FilesAccess, InvalidFiles, SeriesReader, find_files, kind_of, single_rows
    from tapedeck_crds.files import Files
    path = Path(sys.argv[1])
    files = Files.model_validate({"exchange": "x", "sets": [{"symbol": "A/B", "path": path.name}]})
    begin()
    rows, refused = 0, []
    try:
        for sources in find_files(files, FilesAccess(path.parent)).values():
            reader = SeriesReader(files, lambda row: refused.append(row.reason))
            for _, item in reader.rows(kind_of(files, sources), sources):
                rows += sum(1 for _ in single_rows([item]))
        print(rows, "rows", *refused[:3])
    except InvalidFiles as error:
        print(error)
"""
DOCUMENTS = """
    import sys
    from tapedeck_crds.errors import TapedeckError
    from tapedeck_crds.parse import parse_resource
    from tapedeck_deck.embedded.documents import read
    begin()
    try:
        for document in read([sys.argv[1]]):
            parse_resource(document.content)
    except TapedeckError as error:
        print(str(error)[:1000])
"""
NAMES = """
    import sys
    from tapedeck_common.files.layouts.file_names import declared_parts
    from tapedeck_crds.files import Files
    pattern, name = open(sys.argv[1]).read().splitlines()
    begin()
    try:
        Files.model_validate({"exchange": "x", "sets": [{"path": "*"}], "fileName": pattern})
        print(declared_parts(pattern, name))
    except ValueError as error:
        print(str(error)[:1000])
"""
_BEGIN = """
import resource, time
resource.setrlimit(resource.RLIMIT_CPU, ({seconds}, {seconds}))
began = [time.process_time()]
def begin():
    began[0] = time.process_time()
"""
# getrusage would give the peak of the process that started this one, if that was higher. The end of an interpreter is
# not measured: threads of Arrow's pools that begin meanwhile may abort it.
_END = """
import os, sys
print(time.process_time() - began[0])
with open("/proc/self/status") as status:
    print(next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM")))
sys.stdout.flush()
os._exit(0)
"""


class Measured(NamedTuple):
    """What a program said, the peak of its memory in bytes, and its seconds of a processor after it was loaded."""

    said: str
    memory: int
    seconds: float

    def problem(self) -> str | None:
        """What it took more of than permitted."""
        if self.memory > MEMORY_MAX:
            return f"took {self.memory >> 20} MB, expected at most {MEMORY_MAX >> 20} MB"
        if self.seconds > SECONDS_MAX:
            return f"took {self.seconds:.1f} s of a processor, expected at most {SECONDS_MAX:g} s"
        return None


def measured(program: str, path: Path, seconds: int = 60) -> Measured:
    """Run a program on a file, for at most so many seconds of a processor. Raises AssertionError if it fails."""
    code = _BEGIN.format(seconds=seconds) + textwrap.dedent(program) + _END
    done = subprocess.run(
        [sys.executable, "-c", code, path],
        capture_output=True,
        text=True,
        check=False,
        timeout=10 * seconds,  # a busy machine gives a process a part of its time
    )
    assert done.returncode == 0, f"the process ended with {done.returncode}: {done.stderr[-2000:]}"
    *said, taken, memory = done.stdout.splitlines()
    return Measured("\n".join(said), int(memory), float(taken))
