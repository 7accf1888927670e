"""All bias checks of a strategy, without the run itself."""

from __future__ import annotations

from tapedeck_backtest.bias_checks.checks import CHECKS
from tapedeck_backtest.bias_checks.rerun import StrategyRerun
from tapedeck_backtest.child.market import read_series, sessions_of
from tapedeck_backtest.child.strategy_run import StrategyRun
from tapedeck_backtest.errors import RunFailed
from tapedeck_backtest.protocol.messages import Checked, RunMarket


def run_checks(run: StrategyRun, market: RunMarket) -> None:
    """Make all checks. Raises RunFailed with all findings, and the reason of the first."""
    series = read_series(run.channel, market)
    rerun = StrategyRerun.over(
        run.spec, run.strategy, run.params, series, market.interval, sessions_of(market), run.guard.heartbeat
    )
    with run.guard.strategy_code():
        findings = {reason: lines for check, reason in CHECKS.values() if (lines := check(rerun))}
    if findings:
        text = "\n".join(f"{reason}: {line}" for reason, lines in findings.items() for line in lines)
        raise RunFailed(next(iter(findings)), text)
    run.channel.send(Checked(len(rerun.events)))
