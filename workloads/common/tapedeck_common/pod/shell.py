"""The life of a pod, the same for every workload: start, probes, signals, the termination message, the exit code.

A workload says what it does in ``Workload.run`` and how far it is in ``Workload.report``. However ``run`` ends, the
pod leaves a report and an exit code: those of the TapedeckError that it raised, or reason InternalError with the place
of the bug.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import NoReturn, TypeVar

from confluent_kafka import KafkaException
from pydantic import ValidationError

from tapedeck_common.logs import configure_logging, flush_log, log
from tapedeck_common.pod.probe_server import ProbeServer
from tapedeck_common.sandbox.parts import available
from tapedeck_common.settings import PodSettings
from tapedeck_common.tracing import close_tracing, configure_tracing
from tapedeck_crds.errors import Interrupted, InvalidInput, TapedeckError, Unavailable
from tapedeck_crds.report import REPORT_MAX_BYTES, Report
from tapedeck_crds.validation import validation_problems

MESSAGE_MAX = 2_000  # characters of a failure's message in a report
SettingsT = TypeVar("SettingsT", bound=PodSettings)
ReportT = TypeVar("ReportT", bound=Report)


class InternalError(TapedeckError):
    """An exception that nobody expected: a bug. The message holds its type, its text and its place."""

    reason = "InternalError"


class Workload(ABC):
    """The part of a pod that is particular to its workload.

    ``report``, ``alive``, ``ready`` and ``control`` are called from the probe server's thread. ``control`` is None
    where the workload accepts none. One that runs code of users says so: its report tells what the sandbox lacks.
    """

    control: Callable[[bytes], None] | None = None
    runs_foreign_code = False

    def __init__(self) -> None:
        self.stop_requested = Event()

    @abstractmethod
    def run(self) -> None:
        """Do the work; returns when it is complete, or after a stop where the workload has no end of its own.

        Raises TapedeckError: Interrupted where a stop came before the end.
        """

    @abstractmethod
    def report(self) -> Report:
        """The state and the progress while nothing has failed."""

    def stop(self) -> None:
        """Request the end of ``run``. Called from a signal handler."""
        self.stop_requested.set()

    def alive(self) -> bool:
        """Whether the workload makes progress: /healthz."""
        return True

    def ready(self) -> bool:
        """Whether the workload is at work: /readyz."""
        return True


class _Shell:
    """A workload and the failure that ended it, if any."""

    def __init__(self, settings: PodSettings, workload: Workload) -> None:
        self._settings = settings
        self._workload = workload
        self._failure: TapedeckError | None = None
        self._sandbox = available().warning()

    def report(self) -> Report:
        report = self._workload.report()
        if self._workload.runs_foreign_code:
            report = report.model_copy(update={"sandbox": self._sandbox})
        return report if self._failure is None else with_failure(report, self._failure)

    def ready(self) -> bool:
        return self._failure is None and self._workload.ready()

    def execute(self) -> int:
        """Run the workload and leave the termination message; returns the exit code."""
        if self._workload.runs_foreign_code and self._sandbox:
            log.warning(self._sandbox)
        try:
            self._workload.run()
        except Exception as error:
            self._failure = expected_error(error)
            log_failure(self._failure)
        write_termination_message(self._settings, self.report())
        flush_log()
        return 0 if self._failure is None else self._failure.exit_code


def run_pod(
    name: str,
    settings_type: type[SettingsT],
    make: Callable[[SettingsT], Workload],
    *,
    serve_probes: bool = True,
) -> NoReturn:
    """Run one workload from the pod's environment, and end the process. ``name`` is the workload's, for the log.

    With ``serve_probes`` False the workload serves /healthz, /readyz, /status and /metrics itself.
    """
    code = _execute(name, settings_type, make, serve_probes=serve_probes)
    close_tracing()
    _end_process(code)


def _execute(
    name: str, settings_type: type[SettingsT], make: Callable[[SettingsT], Workload], *, serve_probes: bool
) -> int:
    """Run one workload; returns the exit code."""
    try:
        settings = settings_type()
    except ValidationError as error:
        configure_logging("info", {"workload": name})
        log_path = os.environ.get("TAPEDECK_TERMINATION_LOG")
        defaults = PodSettings.model_construct(termination_log=Path(log_path) if log_path else None)
        problems = "\n".join(validation_problems(error, prefix="environment TAPEDECK_"))
        return _fail_to_start(defaults, InvalidInput(problems, reason="BadSettings"))
    configure_logging(settings.log_level, {"workload": name, **_identity(settings)})
    configure_tracing(name, _identity(settings))
    try:
        workload = make(settings)
        shell = _Shell(settings, workload)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: workload.stop())
        if not serve_probes:
            return shell.execute()
        server = ProbeServer(
            settings, report=shell.report, alive=workload.alive, ready=shell.ready, control=workload.control
        )
    except Exception as error:
        return _fail_to_start(settings, expected_error(error))
    with server:
        return shell.execute()


def _identity(settings: PodSettings) -> dict[str, str]:
    """What each line of a pod's log names: the resource, where it runs for one."""
    if not settings.uid:
        return {}
    return {
        "kind": settings.kind,
        "namespace": settings.namespace,
        "name": settings.name,
        "uid": settings.uid,
        "shard": str(settings.shard),
    }


def _fail_to_start(settings: PodSettings, error: TapedeckError) -> int:
    log_failure(error)
    write_termination_message(settings, with_failure(Report(), error))
    return error.exit_code


def exit_at_once(settings: PodSettings, report: Report, error: TapedeckError) -> NoReturn:
    """Leave the termination message and end the process, from any thread: the main thread hangs, or knows no error."""
    log_failure(error)
    write_termination_message(settings, with_failure(report, error))
    flush_log()
    os._exit(error.exit_code)


def _end_process(code: int) -> NoReturn:
    """End the process with this code, after what is to run at its exit.

    The interpreter's own end is skipped: threads of a library that still run then, such as Arrow's, can abort the
    process, whose exit code would be 134.
    """
    atexit._run_exitfuncs()  # it prints what they raise
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # full, or closed
            stream.flush()
    os._exit(code)


def with_failure(report: ReportT, error: TapedeckError) -> ReportT:
    """The report of a workload that the error has ended; an interrupted one keeps its state."""
    state = report.state if isinstance(error, Interrupted) else "failed"
    return report.model_copy(update={"state": state, "reason": error.reason, "message": str(error)[:MESSAGE_MAX]})


def write_termination_message(settings: PodSettings, report: Report) -> None:
    """Write the report to the file whose content Kubernetes keeps after the pod has ended.

    The transforms are left out and the message is cut: Kubernetes keeps REPORT_MAX_BYTES.
    """
    if settings.termination_log is None:
        return
    report = report.model_copy(update={"transforms": None})
    room = REPORT_MAX_BYTES - len(report.model_copy(update={"message": ""}).model_dump_json()) - 8
    message = report.message.encode()[: max(room // 2, 0)].decode(errors="ignore")  # JSON may escape each byte
    try:  # not replaced by another file: Kubernetes mounts this one
        settings.termination_log.write_text(report.model_copy(update={"message": message}).model_dump_json())
    except OSError as error:  # a full disk: the exit code and the log have to do
        log.error("cannot write the termination message", path=str(settings.termination_log), reason=str(error))


def log_failure(error: TapedeckError) -> None:
    """The log line of a failure; with the stack where it is a bug."""
    cause = error.__cause__ if isinstance(error, InternalError) else None
    write = log.info if isinstance(error, Interrupted) else log.error
    event = "interrupted" if isinstance(error, Interrupted) else "failed"
    write(event, reason=error.reason, message=str(error), exit_code=error.exit_code, exc_info=cause)


def expected_error(error: Exception) -> TapedeckError:
    """The error as one with an exit code: itself, Unavailable for one of broker or database, or InternalError."""
    import psycopg  # late: most pods fail without it, and it takes a tenth of a second

    if isinstance(error, TapedeckError):
        return error
    translated: TapedeckError
    if isinstance(error, KafkaException):
        translated = Unavailable(f"broker: {error}", reason="BrokerUnavailable")
    elif isinstance(error, psycopg.Error):
        translated = Unavailable(f"store: {error}".strip(), reason="StoreUnavailable")
    else:
        translated = InternalError(f"{type(error).__name__}: {error} ({error_place(error)})")
    translated.__cause__ = error
    return translated


def error_place(error: Exception) -> str:
    """file:line of the innermost frame of Tapedeck's own code, or of any code where none is."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "tapedeck_" in frame.filename]
    for frame in reversed(own or frames):
        path = Path(frame.filename)
        package = next((number for number, part in enumerate(path.parts) if part.startswith("tapedeck_")), -1)
        return f"{Path(*path.parts[package:])}:{frame.lineno}"
    return "untranslated place"
