"""The process of one user's function: in the sandbox, with a pipe to the pod, and killed when it exceeds a limit."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from tapedeck_common.sandbox.output import OutputCopy
from tapedeck_common.sandbox.policy import MIB
from tapedeck_common.sandbox.running_time import LOOK_SECONDS, RunningTime
from tapedeck_common.sandbox.scratch import ProcessWatch, ScratchFolder
from tapedeck_common.wire import encode
from tapedeck_crds.errors import InvalidInput, TapedeckError
from tapedeck_transform.function_messages import ANSWER_MAX, CallRequest, FunctionAnswer, LoadRequest, answer_to

MEMORY_BYTES = 1024 * MIB
FOLDER_BYTES = 64 * MIB
OUTPUT_BYTES = MIB
_END_SECONDS = 10.0
_OUTPUT_SECONDS = 1.0
_ENVIRONMENT = ("PYTHONPATH", "LD_LIBRARY_PATH", "LANG")  # to start Python; the worker then discards them


class ProcessEnded(TapedeckError):
    """The process ended, or was killed; the message says why."""


class CallTimeout(ProcessEnded):
    """There was no answer in time, and the process was killed."""


class SandboxedFunction:
    """A running process. It inherits neither the environment nor open files, and holds no connection."""

    def __init__(self) -> None:
        self._scratch = ScratchFolder()
        self._excess = ""
        self._calls = 0
        output, child_output = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tapedeck_transform.function_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=child_output,
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            cwd=self._scratch.path,
            start_new_session=True,
            umask=0o077,
            bufsize=0,
        )
        os.close(child_output)
        self._requests, self._answers = (
            pipe.fileno() for pipe in (self._process.stdin, self._process.stdout) if pipe is not None
        )
        os.set_blocking(self._requests, False)
        self._copy = OutputCopy(output, OUTPUT_BYTES)
        self._watch = ProcessWatch(
            self._process.pid,
            self._scratch.path,
            self._end,
            folder_bytes=FOLDER_BYTES,
            memory_bytes=MEMORY_BYTES,
        )

    def load(
        self,
        module: str,
        folders: Sequence[Path],
        hidden: Sequence[Path],
        seconds: float,
        beside: Path | None = None,
    ) -> FunctionAnswer:
        """Import the function. Raises ProcessEnded."""
        request = LoadRequest(
            module,
            list(map(str, folders)),
            list(map(str, hidden)),
            str(self._scratch.path),
            MEMORY_BYTES,
            str(beside) if beside is not None else None,
        )
        return self._request(0, request, seconds)

    def call(self, records: list[dict[str, Any]], seconds: float) -> FunctionAnswer:
        """Call the function. Raises ProcessEnded."""
        self._calls += 1
        return self._request(self._calls, CallRequest(self._calls, records), seconds)

    def close(self) -> int:
        """Kill the process and all of its session, and delete its folder; returns the exit code."""
        self._watch.stop()
        self._kill()
        code = self._process.wait(_END_SECONDS)
        self._copy.finish(_OUTPUT_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._scratch.close()
        return code

    def _request(self, number: int, request: msgspec.Struct, seconds: float) -> FunctionAnswer:
        clock = RunningTime()
        deadline = clock.now() + seconds
        try:
            self._write(encode(request) + b"\n", clock, deadline)
            return answer_to(number, self._read_line(clock, deadline))
        except InvalidInput as error:
            self.close()
            raise ProcessEnded(f"{error}, and was killed") from None
        except TimeoutError:
            self.close()
            raise CallTimeout(f"took longer than {seconds:g} s, and was killed") from None
        except OSError:
            code = self.close()
            raise ProcessEnded(
                f"was killed: {self._excess}" if self._excess else f"its process exited with code {code}"
            ) from None

    def _write(self, left: bytes, clock: RunningTime, deadline: float) -> None:
        """Raises TimeoutError, and OSError if the process has exited."""
        while left:  # a pipe accepts only what it has room for
            _wait([], [self._requests], clock, deadline)
            left = left[os.write(self._requests, left) :]

    def _read_line(self, clock: RunningTime, deadline: float) -> bytes:
        """Raises TimeoutError, InvalidInput beyond ANSWER_MAX, and OSError if the process has exited."""
        received = b""
        while not received.endswith(b"\n"):
            _wait([self._answers], [], clock, deadline)
            part = os.read(self._answers, ANSWER_MAX)
            if not part:
                raise BrokenPipeError("the process has closed its output")
            received += part
            if len(received) > ANSWER_MAX:
                raise InvalidInput(f"wrote more than {ANSWER_MAX} bytes to the pod's pipe")
        return received

    def _end(self, reason: str) -> None:
        self._excess = reason
        self._kill()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()


def _wait(readable: list[int], writable: list[int], clock: RunningTime, deadline: float) -> None:
    """Wait until a pipe is ready. Raises TimeoutError at the deadline."""
    while (left := deadline - clock.now()) > 0:
        if any(select.select(readable, writable, [], min(left, LOOK_SECONDS / 2))):
            return
    raise TimeoutError
