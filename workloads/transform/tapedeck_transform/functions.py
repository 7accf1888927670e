"""Functions of the user's: each in a process of its own, which is ended when a call takes too long."""

from __future__ import annotations

import json
import math
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tapedeck_common.wire import encode
from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.transforms import FunctionTransform, Transform
from tapedeck_transform.stages import FunctionFailed

START_SECONDS = 30.0
HANGS_MAX = 5  # in a row, before a function is called no more
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONSAFEPATH", "HOME", "TMPDIR", "LANG", "LD_LIBRARY_PATH")


class BadFunction(InvalidInput):
    """The function that is asked for can't be had."""


class _Late(Exception):
    """No answer in time."""


class FunctionProcess:
    """One function. It knows no connections: neither environment nor open files of ours come along."""

    def __init__(self, name: str, function: FunctionTransform, folders: Sequence[Path]) -> None:
        self._name = name
        self._function = function
        self._folders = [str(folder) for folder in folders]
        self._process: subprocess.Popen[bytes] | None = None
        self._hangs = 0
        self.problem = ""

    def start(self) -> None:
        """Import it. Raises BadFunction."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tapedeck_transform.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            bufsize=0,
        )
        if self._process.stdin is not None:
            os.set_blocking(self._process.stdin.fileno(), False)
        wanted = {"module": self._function.module, "folders": self._folders}
        try:
            answer = self._ask(encode(wanted), START_SECONDS)
        except _Late:
            answer = {"error": f"not imported within {START_SECONDS:g} s"}
        except OSError as error:
            answer = {"error": str(error)}
        if "error" in answer:
            self.close()
            raise BadFunction(f"transforms.{self._name}.function.module: {self._function.module}: {answer['error']}")

    def call(self, records: list[dict[str, Any]]) -> float | None:
        """What it makes of the records. Raises FunctionFailed."""
        if self._hangs >= HANGS_MAX:
            raise FunctionFailed(self.problem)
        try:
            if self._process is None:
                self.start()
            answer = self._ask(encode(records), self._function.seconds)
        except BadFunction as error:
            raise FunctionFailed(str(error)) from None
        except _Late:
            self.close()
            self._hangs += 1
            if self._hangs >= HANGS_MAX:
                self.problem = f"not called any more: took longer than {self._function.seconds:g} s {HANGS_MAX} times"
            raise FunctionFailed(f"took longer than {self._function.seconds:g} s, and was ended") from None
        except OSError:
            code = self.close()
            raise FunctionFailed(f"its process ended by itself ({code})") from None
        self._hangs = 0
        if "error" in answer:
            raise FunctionFailed(str(answer["error"]))
        value = answer["value"]
        if value is not None and not math.isfinite(value):
            raise FunctionFailed(f"got {value}, expected a finite number or None")
        return None if value is None else float(value)

    def close(self) -> int | None:
        """End the process; returns how it ended."""
        process, self._process = self._process, None
        if process is None:
            return None
        process.kill()
        code = process.wait(10)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        return code

    def _ask(self, line: bytes, seconds: float) -> dict[str, Any]:
        """Raises _Late, and OSError where the process is gone."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise BrokenPipeError("no process")
        deadline = time.monotonic() + seconds
        left = line + b"\n"
        while left:  # a pipe takes what it has room for
            _, ready, _ = select.select([], [process.stdin], [], max(deadline - time.monotonic(), 0))
            if not ready:
                raise _Late
            left = left[os.write(process.stdin.fileno(), left) :]
        said = b""
        while not said.endswith(b"\n"):
            ready, _, _ = select.select([process.stdout], [], [], max(deadline - time.monotonic(), 0))
            if not ready:
                raise _Late
            part = os.read(process.stdout.fileno(), 65_536)
            if not part:
                raise BrokenPipeError("it ended")
            said += part
        answer: dict[str, Any] = json.loads(said)
        return answer


class Functions:
    """All functions that transforms name."""

    def __init__(self, transforms: Sequence[Transform], folders: Sequence[Path]) -> None:
        self._processes = {
            each.name: FunctionProcess(each.name, each.function, folders)
            for each in transforms
            if each.function is not None
        }

    def start(self) -> None:
        """Import them all. Raises BadFunction."""
        for process in self._processes.values():
            process.start()

    def call(self, name: str, records: list[dict[str, Any]]) -> float | None:
        """What a transform's function makes of the records. Raises FunctionFailed."""
        return self._processes[name].call(records)

    def problem(self, name: str) -> str:
        """Why a transform's function is called no more; empty where it is."""
        process = self._processes.get(name)
        return process.problem if process is not None else ""

    def close(self) -> None:
        """End their processes."""
        for process in self._processes.values():
            process.close()
