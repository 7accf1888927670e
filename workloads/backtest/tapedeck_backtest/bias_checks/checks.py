"""The checks that a Backtest asks for, before its run."""

from __future__ import annotations

from collections.abc import Sequence

from tapedeck_backtest.bias_checks.look_ahead import look_ahead
from tapedeck_backtest.bias_checks.rerun import Lab
from tapedeck_backtest.bias_checks.start_up import start_up
from tapedeck_backtest.errors import RunFailed

CHECKS = {"lookAhead": (look_ahead, "LookAhead"), "startUp": (start_up, "StartUp")}


def refuse_dishonest(lab: Lab, wanted: Sequence[str]) -> None:
    """Raises RunFailed (LookAhead, StartUp) with what the first check that fails has found."""
    for name in wanted:
        check, reason = CHECKS[name]
        if found := check(lab):
            raise RunFailed(reason, f"checks: {name}:\n" + "\n".join(found))
