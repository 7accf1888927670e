"""The life of the strategy's process: confine itself, load the strategy, do the pod's work until the pipe is closed."""

from __future__ import annotations

import faulthandler
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from tapedeck_backtest.child.channel import PodChannel
from tapedeck_backtest.child.checks import run_checks
from tapedeck_backtest.child.single_run import run_stored, run_stream
from tapedeck_backtest.child.strategy_run import StrategyRun, load_run
from tapedeck_backtest.child.trials import run_trials
from tapedeck_backtest.errors import PodGone, RunFailed
from tapedeck_backtest.protocol.messages import (
    TEXT_MAX,
    Activity,
    Armed,
    Assignment,
    Entered,
    Failed,
    Heartbeat,
    Left,
    Loaded,
    RunMarket,
)
from tapedeck_backtest.protocol.signals import STACK_SIGNAL, TIME_SIGNAL
from tapedeck_backtest.sandbox.error_boundary import StrategyGuard
from tapedeck_backtest.sandbox.memory_limit import memory_limit
from tapedeck_backtest.text import storable
from tapedeck_common.sandbox.enter import enter
from tapedeck_common.sandbox.errors import SandboxFailed
from tapedeck_common.sandbox.policy import SandboxPolicy
from tapedeck_common.unlisted_modules import UnlistedModules
from tapedeck_crds.backtest import BacktestSpec

_ACTIVITIES: dict[str, Activity] = {"entered": Entered(), "left": Left(), "heartbeat": Heartbeat()}


def serve(tasks: int, answers: int, stacks: int) -> None:
    """Do the work that the pod gives through these pipes, and return when it has closed them."""
    channel = PodChannel(tasks, answers)
    try:
        assignment = channel.receive_of(Assignment)
    except PodGone:  # its settings are wrong
        return
    spec = BacktestSpec.model_validate_json(assignment.spec)
    guard = StrategyGuard(
        spec.limits.bar_seconds, lambda activity: channel.send(_ACTIVITIES[activity]), lambda: channel.busy
    )
    guard.handle(TIME_SIGNAL)
    faulthandler.register(STACK_SIGNAL, stacks, all_threads=True, chain=False)
    run: StrategyRun | None = None

    def work() -> None:
        nonlocal run
        enter(_policy(assignment, spec, (tasks, answers, stacks)))
        channel.send(Armed())
        sys.meta_path.append(UnlistedModules(Path(assignment.files)))
        run = load_run(spec, Path(assignment.files), channel, guard)
        channel.send(Loaded())
        while True:
            _work(run, channel.receive_of(RunMarket), check=assignment.check)

    _answer_failures(work, channel, lambda: run)


def _policy(assignment: Assignment, spec: BacktestSpec, pipes: tuple[int, ...]) -> SandboxPolicy:
    limits = spec.resources.limits if spec.resources is not None else None
    return SandboxPolicy(
        scratch=Path(assignment.scratch),
        readable=tuple(map(Path, assignment.readable)),
        listable=tuple(map(Path, assignment.listable)),
        hidden=tuple(map(Path, assignment.hidden)),
        descriptors=(1, 2, *pipes),
        environment={name: value for name, value in os.environ.items() if _is_harmless(name)},
        memory_bytes=memory_limit((limits or {}).get("memory")),
    )


def _is_harmless(name: str) -> bool:
    return name in ("LANG", "LANGUAGE", "TZ") or name.startswith("LC_") or name.endswith("_NUM_THREADS")


def _work(run: StrategyRun, market: RunMarket, *, check: bool) -> None:
    over = run.over(market)
    if check:
        run_checks(over, market)
    elif run.spec.sweep is not None and run.spec.data.store is not None:
        run_trials(over, market, run.spec.sweep)
    elif run.spec.data.store is not None:
        run_stored(over, market)
    else:
        run_stream(over, market)


def _answer_failures(work: Callable[[], None], channel: PodChannel, run: Callable[[], StrategyRun | None]) -> None:
    """Do the work; a failure is the answer to whatever the pod waits for."""
    try:
        work()
    except (PodGone, BrokenPipeError):
        return
    except (RunFailed, SandboxFailed) as failure:
        reason, message = failure.reason, str(failure)
    except Exception as error:
        traceback.print_exc()
        reason, message = "InternalError", f"{type(error).__name__}: {error}"
    begun = run()
    outcome = begun.reporter.outcome() if begun is not None else None
    channel.send(Failed(reason, storable(message)[:TEXT_MAX], outcome))
