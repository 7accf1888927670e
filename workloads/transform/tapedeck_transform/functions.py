"""Users' functions, each in a process of its own, which is killed when a call takes too long."""

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
from tapedeck_crds.json import Json
from tapedeck_crds.transforms import FunctionTransform, Transform
from tapedeck_transform.stages import FunctionFailed

START_SECONDS = 30.0
HANGS_MAX = 5  # consecutive, before a function is disabled
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONSAFEPATH", "HOME", "TMPDIR", "LANG", "LD_LIBRARY_PATH")


class InvalidFunction(InvalidInput):
    """A function cannot be imported."""

    reason = "BadTransforms"


class _CallTimeout(Exception):
    """No answer in time."""


class FunctionProcess:
    """One function. Its process has no connections: it inherits neither the environment nor open files."""

    def __init__(self, name: str, function: FunctionTransform, folders: Sequence[Path]) -> None:
        self._name = name
        self._function = function
        self._folders = [str(folder) for folder in folders]
        self._process: subprocess.Popen[bytes] | None = None
        self._hangs = 0  # consecutive
        self.problem = ""

    def start(self) -> None:
        """Start the process and import the function. Raises InvalidFunction."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tapedeck_transform.function_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            bufsize=0,
        )
        if self._process.stdin is not None:
            os.set_blocking(self._process.stdin.fileno(), False)
        request = {"module": self._function.module, "folders": self._folders}
        answer: Json
        try:
            answer = self._request(encode(request), START_SECONDS)
        except _CallTimeout:
            answer = {"error": f"not imported within {START_SECONDS:g} s"}
        except OSError as error:
            answer = {"error": str(error)}
        if "error" in answer:
            self.close()
            raise InvalidFunction(
                f"transforms.{self._name}.function.module: got {self._function.module}, "
                f"expected an importable function: {answer['error']}"
            )

    def call(self, records: list[dict[str, Any]]) -> float | None:
        """The function's result for the records, oldest first. Raises FunctionFailed."""
        if self._hangs >= HANGS_MAX:
            raise FunctionFailed(self.problem)
        try:
            if self._process is None:
                self.start()
            answer = self._request(encode(records), self._function.seconds)
        except InvalidFunction as error:
            raise FunctionFailed(str(error)) from None
        except _CallTimeout:
            self.close()
            self._hangs += 1
            if self._hangs >= HANGS_MAX:
                self.problem = f"disabled: {HANGS_MAX} consecutive calls took longer than {self._function.seconds:g} s"
            raise FunctionFailed(f"took longer than {self._function.seconds:g} s, and was killed") from None
        except OSError:
            code = self.close()
            raise FunctionFailed(f"its process exited with code {code}") from None
        self._hangs = 0
        if "error" in answer:
            raise FunctionFailed(str(answer["error"]))
        value = answer["value"]
        if value is not None and not math.isfinite(value):
            raise FunctionFailed(f"got {value}, expected a finite number or None")
        return None if value is None else float(value)

    def close(self) -> int | None:
        """Kill the process; returns its exit code, None if there was no process."""
        process, self._process = self._process, None
        if process is None:
            return None
        process.kill()
        code = process.wait(10)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        return code

    def _request(self, line: bytes, seconds: float) -> Json:
        """Write one line and read the answer. Raises _CallTimeout, and OSError if the process has exited."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise BrokenPipeError("no process")
        deadline = time.monotonic() + seconds
        left = line + b"\n"
        while left:  # a pipe accepts only what it has room for
            _, ready, _ = select.select([], [process.stdin], [], max(deadline - time.monotonic(), 0))
            if not ready:
                raise _CallTimeout
            left = left[os.write(process.stdin.fileno(), left) :]
        received = b""
        while not received.endswith(b"\n"):
            ready, _, _ = select.select([process.stdout], [], [], max(deadline - time.monotonic(), 0))
            if not ready:
                raise _CallTimeout
            part = os.read(process.stdout.fileno(), 65_536)
            if not part:
                raise BrokenPipeError("the process has closed its output")
            received += part
        answer: Json = json.loads(received)
        return answer


class UserFunctions:
    """The functions of all transforms, by the transform's name."""

    def __init__(self, transforms: Sequence[Transform], folders: Sequence[Path]) -> None:
        self._processes = {
            each.name: FunctionProcess(each.name, each.function, folders)
            for each in transforms
            if each.function is not None
        }

    def start(self) -> None:
        """Import all of them. Raises InvalidFunction."""
        for process in self._processes.values():
            process.start()

    def call(self, name: str, records: list[dict[str, Any]]) -> float | None:
        """The result of a transform's function for the records. Raises FunctionFailed."""
        return self._processes[name].call(records)

    def problem(self, name: str) -> str:
        """Why a transform's function is disabled; empty if it is not."""
        process = self._processes.get(name)
        return process.problem if process is not None else ""

    def close(self) -> None:
        """Kill their processes."""
        for process in self._processes.values():
            process.close()
