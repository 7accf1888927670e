"""The process of a strategy, as its parent sees it.

It is forked before anything is read, so that its memory holds no secret, and has pipes for what it is given, what it
answers, what it prints, and where it is. The parent waits for it here and nowhere else: each wait takes its messages,
and keeps the time limit and the request to stop.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Collection
from pathlib import Path
from threading import Event
from typing import TypeVar

import msgspec

from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.protocol import messages
from tapedeck_backtest.protocol.frames import FrameReader, framed
from tapedeck_backtest.protocol.messages import (
    Armed,
    Assignment,
    Entered,
    Failed,
    FromStrategy,
    Heartbeat,
    Left,
    Loaded,
    NextBlock,
    Notice,
    Outcome,
    ToStrategy,
)
from tapedeck_backtest.protocol.signals import TIME_SIGNAL
from tapedeck_backtest.sandbox.memory_limit import memory_limit
from tapedeck_backtest.supervisor.process_end import end_of_process
from tapedeck_backtest.supervisor.stack_dump import stack_of
from tapedeck_backtest.supervisor.time_limit import Overtime, TimeLimit
from tapedeck_common.code_files import named_package, readable_files
from tapedeck_common.logs import log
from tapedeck_common.oom_kills import oom_kills
from tapedeck_common.parent_death import parent_death_signal
from tapedeck_common.sandbox.descendants import adopt_orphans, children, sweep
from tapedeck_common.sandbox.output import OutputCopy
from tapedeck_common.sandbox.policy import MIB
from tapedeck_common.sandbox.running_time import RunningTime
from tapedeck_common.sandbox.scratch import ProcessWatch, ScratchFolder
from tapedeck_common.settings import PodSettings
from tapedeck_crds.backtest import BacktestSpec
from tapedeck_crds.errors import Interrupted, InvalidInput

BAD_MESSAGE, EXCEEDED = "BadMessage", "StrategyLimits"
_SHARED_BYTES = 256 * MIB  # of libraries, which the limit of its own data does not count
_POLL_SECONDS = 0.1
_READ_BYTES = 262_144
_OUTPUT_SECONDS = 1.0
_END_SECONDS = 5.0  # for the kernel to end a killed process
_ACTIVITY_BURST, _ACTIVITY_PER_SECOND = 20_000, 5_000  # heartbeats, notes and the like; a sweep enters code per trial
AnswerT = TypeVar("AnswerT")


class StrategyProcess:
    """``pid`` and the parent's ends of its pipes. ``begin`` gives it work, ``end`` ends it, whatever it does.

    ``others`` are the parent's children that have nothing to do with it.
    """

    def __init__(
        self, pid: int, tasks: int, answers: int, output: int, stacks: int, others: Collection[int] = ()
    ) -> None:
        self._pid = pid
        self._others = others
        self._tasks, self._answers_pipe, self._output, self._stacks = tasks, answers, output, stacks
        self._frames = FrameReader()
        self._answer: FromStrategy | None = None
        self._armed = False
        self._exit_code: int | None = None
        self._oom_kills = oom_kills()
        self._activity, self._activity_since = 0.0, time.monotonic()
        self._copy: OutputCopy | None = None
        self._scratch: ScratchFolder | None = None
        self._watch: ProcessWatch | None = None
        self._excess = ""
        self._limit, self._clock = TimeLimit(0.0), RunningTime()
        self._stop = Event()
        self._on_notice: Callable[[Notice], None] = lambda _: None
        self._closed = False
        self.failed = False
        """Whether the process, or what it sent, has failed the run."""
        self.outcome: Outcome | None = None
        """The results that came with a failure."""

    def begin(
        self,
        spec: BacktestSpec,
        settings: PodSettings,
        stop: Event,
        on_notice: Callable[[Notice], None],
        *,
        check: bool = False,
    ) -> None:
        """Have it load its strategy. Raises RunFailed, Interrupted and what ``on_notice`` raises.

        ``on_notice`` receives records, progress and notes, while this object waits for the process.
        """
        self._limit, self._stop, self._on_notice = TimeLimit(spec.limits.bar_seconds), stop, on_notice
        self._copy = OutputCopy(self._output, spec.limits.output_bytes)
        self._scratch = ScratchFolder()
        limits = spec.resources.limits if spec.resources is not None else None
        memory = memory_limit((limits or {}).get("memory"))
        self._watch = ProcessWatch(
            self._pid,
            self._scratch.path,
            self._end_for_excess,
            memory_bytes=memory + _SHARED_BYTES if memory is not None else None,
        )
        self.send(
            Assignment(
                spec=spec.model_dump_json(by_alias=True, exclude_none=True).encode(),
                files=str(settings.files),
                readable=[str(path) for path in _readable(spec, settings)],
                listable=[str(path) for path in _listable(spec, settings)],
                hidden=[str(path) for path in settings.hidden_folders],
                scratch=str(self._scratch.path),
                check=check,
            )
        )
        self.answer(Loaded)

    def send(self, message: ToStrategy) -> None:
        """Give it work or bars, and take its messages meanwhile. Raises as ``answer``."""
        self._limit.work_begins(self._clock.now())
        rest = memoryview(framed(messages.encode(message)))
        while len(rest) and self._answer is None:  # a failure comes unasked
            self._wait(_POLL_SECONDS, write=True)
            try:
                rest = rest[os.write(self._tasks, rest) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                self._read()
                self._raise_end()

    def answer(self, expected: type[AnswerT]) -> AnswerT:
        """Wait for its answer. Raises RunFailed (also for one of another type), StrategyKilled and Interrupted."""
        while self._answer is None:
            self._wait(_POLL_SECONDS)
        answer, self._answer = self._answer, None
        if isinstance(answer, Failed):
            self.outcome, self.failed = answer.outcome, True
            raise RunFailed(answer.reason, answer.message)
        if not isinstance(answer, expected):
            self.failed = True
            raise _bad_message(f"{type(answer).__name__}, expected {expected.__name__}")
        return answer

    def idle(self) -> None:
        """Call this at least every second while waiting for something else. Raises as ``answer``."""
        self._wait(0)

    def end(self) -> None:
        """End the process and all that it left, copy the last of its output, and delete its folder."""
        if self._closed:
            return
        self._closed = True
        for descriptor in (self._tasks, self._answers_pipe):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        if self._watch is not None:
            self._watch.stop()
        if self._exit_code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            deadline = time.monotonic() + _END_SECONDS
            while not self._has_exited() and time.monotonic() < deadline:
                time.sleep(0.002)
        sweep(spared=self._others)
        if self._copy is not None:
            self._copy.finish(_OUTPUT_SECONDS)
        if self._scratch is not None:
            self._scratch.close()

    def _wait(self, seconds: float, *, write: bool = False) -> None:
        """Wait until it has sent something, or with ``write`` takes something, and process what it has sent."""
        if self._stop.is_set():
            raise Interrupted("the pod was asked to stop before the run was complete")
        select.select([self._answers_pipe], [self._tasks] if write else [], [], seconds)
        try:
            ended = self._has_exited()
            if not self._read() or ended:
                self._raise_end()
            self._keep_time_limit()
        except RunFailed:
            self.failed = True
            raise

    def _read(self) -> bool:
        """Process all that it has sent; False at the end of the pipe."""
        while True:
            try:
                received = os.read(self._answers_pipe, _READ_BYTES)
            except BlockingIOError:
                return True
            if not received:
                return False
            try:
                for payload in self._frames.feed(received):
                    self._receive(messages.decode_foreign(payload))
            except (msgspec.MsgspecError, InvalidInput, RecursionError, UnicodeDecodeError) as error:
                raise _bad_message(str(error)) from error
            if len(received) < _READ_BYTES:
                return True

    def _receive(self, message: FromStrategy) -> None:
        self._limit.heard(self._clock.now())
        match message:
            case Heartbeat():
                self._count_activity()
            case Entered() | Left():
                self._count_activity()
                self._limit.strategy_runs(isinstance(message, Entered))
            case Armed():
                self._armed = True
                log.info("the strategy's process is confined")
            case (
                messages.Loaded()
                | NextBlock()
                | messages.Ended()
                | messages.TrialDone()
                | messages.Checked()
                | Failed()
            ):
                if self._answer is not None:
                    raise _bad_message(f"{type(message).__name__}, expected one answer to each question")
                self._answer = message
                self._limit.work_ends()
            case messages.Progress() | messages.Note() | messages.PathChosen():
                self._count_activity()
                self._on_notice(message)
            case _:
                self._on_notice(message)

    def _count_activity(self) -> None:
        now = time.monotonic()
        drained = (now - self._activity_since) * _ACTIVITY_PER_SECOND
        self._activity, self._activity_since = max(self._activity - drained, 0.0) + 1, now
        if self._activity > _ACTIVITY_BURST:
            raise _bad_message(f"more than {_ACTIVITY_PER_SECOND} a second")

    def _keep_time_limit(self) -> None:
        match self._limit.overtime(self._clock.now()):
            case Overtime.INTERRUPT:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._pid, TIME_SIGNAL)
            case Overtime.KILL:
                stack = stack_of(self._pid, self._stacks)
                raise RunFailed(
                    "TimeLimit",
                    f"limits.barSeconds: the strategy did not finish a bar within {self._limit.seconds:g} s, and did "
                    f"not end when interrupted{', here:' if stack else ''}\n{stack}".strip(),
                )

    def _end_for_excess(self, reason: str) -> None:
        """Called from the watch's thread."""
        if self._exit_code is not None:
            return
        self._excess = reason
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)

    def _has_exited(self) -> bool:
        if self._exit_code is None:
            try:
                pid, status = os.waitpid(self._pid, os.WNOHANG)
            except ChildProcessError:
                pid, status = self._pid, 0
            if pid:
                self._exit_code = os.waitstatus_to_exitcode(status)
        return self._exit_code is not None

    def _raise_end(self) -> None:
        """It closed its pipe or has ended: raises for that, unless it answered before."""
        deadline = time.monotonic() + _END_SECONDS
        while not self._has_exited() and time.monotonic() < deadline:
            time.sleep(0.002)
        if self._answer is not None:
            return
        if self._exit_code is None:
            raise _bad_message("the end of all messages, expected one after the run")
        if self._excess:
            raise RunFailed(EXCEEDED, f"the strategy exceeded its limits: {self._excess}")
        raise end_of_process(self._exit_code, armed=self._armed, oom_kills_before=self._oom_kills)


def start_process(serve: Callable[[int, int, int], None]) -> StrategyProcess:
    """Fork the process of a strategy. In it ``serve`` is called with its ends of the pipes: tasks, answers, stacks.

    It dies with this process. Its standard streams lead to the pipe of its output.
    """
    (child_tasks, tasks), (answers, child_answers), (output, child_output), (stacks, child_stacks) = (
        os.pipe() for _ in range(4)
    )
    bind_to_parent = parent_death_signal(os.getpid())
    others = children()
    adopt_orphans()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            bind_to_parent()
            gc.freeze()  # what the parent holds is not this process's to collect
            for descriptor in (1, 2):
                os.dup2(child_output, descriptor)
            # Not those of the parent, which may lead elsewhere than to descriptors 1 and 2.
            sys.stdout = sys.stderr = open(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
            serve(child_tasks, child_answers, child_stacks)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    for descriptor in (child_tasks, child_answers, child_output, child_stacks):
        os.close(descriptor)
    for descriptor in (tasks, answers, stacks):
        os.set_blocking(descriptor, False)
    return StrategyProcess(pid, tasks, answers, output, stacks, others)


def _readable(spec: BacktestSpec, settings: PodSettings) -> list[Path]:
    """The strategy's files: a ConfigMap is all its own, and the folder of a YAML is its user's."""
    if spec.strategy.config_map is not None:
        return [settings.files]
    own = (*settings.hidden_folders, settings.termination_log, settings.port_file)
    return readable_files(settings.files, spec.strategy.module or "", filter(None, own))


def _listable(spec: BacktestSpec, settings: PodSettings) -> list[Path]:
    """The strategy's package: data in it is found by its name."""
    package = named_package(settings.files, spec.strategy.module or "", settings.hidden_folders)
    return [package] if package is not None else []


def _bad_message(got: str) -> RunFailed:
    return RunFailed(
        BAD_MESSAGE,
        f"the strategy's process: got {got}: only Tapedeck's own code may write to its pipe; "
        "a strategy makes results by its orders",
    )
