"""``python -m tapedeck_replay``: play one Replay, as the environment says."""

from __future__ import annotations

import os
import signal
import sys
import time

from pydantic import ValidationError

from tapedeck_common.logs import configure, log
from tapedeck_common.probe import Probe, leave_report, on_stop
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_crds.errors import EXIT_BAD_INPUT, EXIT_FENCED
from tapedeck_crds.replay import ReplaySpec
from tapedeck_replay.controls import Controls
from tapedeck_replay.run import Run
from tapedeck_replay.tape import BadInput, Unavailable
from tapedeck_replay.writer import Fenced

EXIT_STOPPED = 128 + signal.SIGTERM
STUCK_SECONDS = 240.0  # longer than every bounded retry of the loop


def main() -> int:
    settings = PodSettings()
    configure(settings.log_level, workload="replay", replay=settings.name, uid=settings.uid)
    controls = Controls()

    def give_up() -> None:
        code = _failed(run, "Unavailable", "the broker does not answer and its client hangs; the next start goes on", 1)
        leave_report(settings, run.report())
        os._exit(code)  # the main thread will not come back

    run = Run(settings, controls, give_up)
    with Probe(
        settings,
        report=run.report,
        alive=lambda: time.monotonic() - run.ticked < STUCK_SECONDS,
        ready=lambda: run.ready,
        control=controls.put,
    ):
        on_stop(run.stop)
        code = _play(run, settings)
        leave_report(settings, run.report())
    return code


def _play(run: Run, settings: PodSettings) -> int:
    try:
        spec = ReplaySpec.model_validate_json(settings.spec)
        over = run.play(spec, Connections.read(settings.connections))
    except BadInput as error:
        return _failed(run, error.reason, str(error), EXIT_BAD_INPUT)
    except ValidationError as error:
        return _failed(run, "BadSpec", str(error), EXIT_BAD_INPUT)
    except Fenced as error:
        return _failed(run, "Fenced", str(error), EXIT_FENCED)
    except Unavailable as error:
        return _failed(run, "Unavailable", str(error), 1)
    except Exception as error:  # the report has to say so, and the next start may fare better
        log.exception("unexpected")
        return _failed(run, "InternalError", repr(error), 1)
    return 0 if over else EXIT_STOPPED


def _failed(run: Run, reason: str, message: str, code: int) -> int:
    log.error("replay failed", reason=reason, message=message, exit=code)
    run.fail(reason, message)
    return code


if __name__ == "__main__":
    sys.exit(main())
