"""The bias checks by their names in a Backtest's spec."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tapedeck_backtest.bias_checks.look_ahead import look_ahead_findings
from tapedeck_backtest.bias_checks.rerun import StrategyRerun
from tapedeck_backtest.bias_checks.start_up import start_up_findings
from tapedeck_backtest.errors import RunFailed

CHECKS: dict[str, tuple[Callable[[StrategyRerun], list[str]], str]] = {
    "lookAhead": (look_ahead_findings, "LookAhead"),
    "startUp": (start_up_findings, "StartUp"),
}
"""Name → the check, which returns one line per finding, and the reason of a run that fails it."""


def fail_if_biased(rerun: StrategyRerun, checks: Sequence[str]) -> None:
    """Raises RunFailed (LookAhead, StartUp) with the findings of the first of these checks that has any."""
    for name in checks:
        check, reason = CHECKS[name]
        if findings := check(rerun):
            raise RunFailed(reason, f"checks: {name}:\n" + "\n".join(findings))
