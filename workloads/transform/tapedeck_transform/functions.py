"""Users' functions, each in a process of its own, which is started again after a call that ended it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.transforms import FunctionTransform, Transform
from tapedeck_transform.function_process import CallTimeout, ProcessEnded, SandboxedFunction
from tapedeck_transform.stages import FunctionFailed

START_SECONDS = 30.0
ENDS_MAX = 5  # consecutive, before a function is disabled


class InvalidFunction(InvalidInput):
    """A function cannot be imported."""

    reason = "BadTransforms"


class UserFunction:
    """One function, from modules in ``folders``, which are its own; it cannot read ``hidden`` folders.

    Without a ConfigMap it is from modules in ``beside`` as well: a user's folder, of which it reads what is its code.
    """

    def __init__(
        self,
        name: str,
        function: FunctionTransform,
        folders: Sequence[Path],
        hidden: Sequence[Path] = (),
        beside: Path | None = None,
    ) -> None:
        self._name = name
        self._function = function
        self._folders = folders
        self._hidden = hidden
        self._beside = beside if function.config_map is None else None
        self._process: SandboxedFunction | None = None
        self._ends = 0  # consecutive
        self.problem = ""

    def start(self) -> None:
        """Start the process and import the function. Raises InvalidFunction."""
        self._started()

    def call(self, records: list[dict[str, Any]]) -> float | None:
        """The function's result for the records, oldest first. Raises FunctionFailed."""
        if self.problem:
            raise FunctionFailed(self.problem)
        try:
            answer = (self._process or self._started()).call(records, self._function.seconds)
        except InvalidFunction as error:
            raise FunctionFailed(str(error)) from None
        except ProcessEnded as error:
            self._process = None
            self._count_end(error)
            raise FunctionFailed(str(error)) from None
        self._ends = 0
        if answer.error:
            raise FunctionFailed(answer.error)
        return answer.value

    def close(self) -> None:
        """Kill the process."""
        process, self._process = self._process, None
        if process is not None:
            process.close()

    def _started(self) -> SandboxedFunction:
        process = SandboxedFunction()
        try:
            problem = process.load(
                self._function.module, self._folders, self._hidden, START_SECONDS, self._beside
            ).error
            if problem:
                process.close()
        except CallTimeout:
            problem = f"not imported within {START_SECONDS:g} s"
        except ProcessEnded as error:
            problem = str(error)
        if problem:
            raise InvalidFunction(
                f"transforms.{self._name}.function.module: got {self._function.module}, "
                f"expected an importable function: {problem}"
            )
        self._process = process
        return process

    def _count_end(self, error: ProcessEnded) -> None:
        self._ends += 1
        if self._ends >= ENDS_MAX:
            self.problem = f"disabled: {ENDS_MAX} consecutive calls ended its process; the last {error}"


class UserFunctions:
    """The functions of all transforms, by the transform's name."""

    def __init__(
        self,
        transforms: Sequence[Transform],
        folders: Sequence[Path],
        hidden: Sequence[Path] = (),
        beside: Path | None = None,
    ) -> None:
        self._functions = {
            each.name: UserFunction(each.name, each.function, folders, hidden, beside)
            for each in transforms
            if each.function is not None
        }

    def start(self) -> None:
        """Import all of them. Raises InvalidFunction."""
        for function in self._functions.values():
            function.start()

    def call(self, name: str, records: list[dict[str, Any]]) -> float | None:
        """The result of a transform's function for the records. Raises FunctionFailed."""
        return self._functions[name].call(records)

    def problem(self, name: str) -> str:
        """Why a transform's function is disabled; empty if it is not."""
        function = self._functions.get(name)
        return function.problem if function is not None else ""

    def close(self) -> None:
        """Kill their processes."""
        for function in self._functions.values():
            function.close()
