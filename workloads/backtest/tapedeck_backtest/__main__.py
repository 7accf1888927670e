"""``python -m tapedeck_backtest``: one run. The strategy's process is forked first, while there is nothing to keep."""

from __future__ import annotations

import numpy  # noqa: F401 (before the fork: its library starts threads when it is loaded)

from tapedeck_backtest.supervisor.strategy_process import start_process


def serve(tasks: int, answers: int, stacks: int) -> None:
    """The strategy's process."""
    from tapedeck_backtest.child.main import serve

    serve(tasks, answers, stacks)


if __name__ == "__main__":
    process = start_process(serve)
    from tapedeck_backtest import pod

    pod.main(process)
