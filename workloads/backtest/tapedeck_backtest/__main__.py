"""``python -m tapedeck_backtest``: one run, in a process of its own below this one."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tapedeck_backtest.sandbox.supervisor import Mark, above


def _work(mark: Mark) -> int:
    from tapedeck_backtest import pod

    return pod.main(mark)


def _ended(how: str, runs: Sequence[str]) -> int:
    from tapedeck_backtest import pod

    return pod.ended_by_strategy(how, runs[-1], announced=len(runs) > 1)  # it is first entered to be loaded


def _killed(how: str) -> None:
    from tapedeck_backtest import pod

    pod.killed(how)


def _room() -> int:
    from tapedeck_backtest import pod

    return pod.room()


if __name__ == "__main__":
    sys.exit(above(_work, _ended, _killed, _room))
