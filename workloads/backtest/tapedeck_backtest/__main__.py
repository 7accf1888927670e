"""``python -m tapedeck_backtest``: one run, in a child process that this process supervises.

The pod's modules are imported late: the supervisor needs them only if there is something to report.
"""

from __future__ import annotations

import sys

from tapedeck_backtest.sandbox.protocol import SupervisorChannel
from tapedeck_backtest.sandbox.supervisor import RunKilled, StrategyExit, supervise


def _work(channel: SupervisorChannel) -> int:
    from tapedeck_backtest import pod

    return pod.main(channel)


def _output_limit() -> int:
    from tapedeck_backtest import pod

    return pod.output_limit()


def main() -> int:
    """Supervise the run; returns the exit code."""
    run_exit = supervise(_work, _output_limit)
    if isinstance(run_exit, StrategyExit):
        from tapedeck_backtest import pod

        return pod.report_strategy_exit(run_exit)
    if isinstance(run_exit, RunKilled):
        from tapedeck_backtest import pod

        return pod.report_kill(run_exit)
    return run_exit.exit_code


if __name__ == "__main__":
    sys.exit(main())
