"""A run of a strategy: its progress, its results, and their comparison with those of another."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from tapedeck import resources
from tapedeck.answers import list_of, objects_of, part_of
from tapedeck.comparison import ComparedRuns
from tapedeck.display.chart import Chart
from tapedeck.display.html import facts_html
from tapedeck.display.progress import ProgressLine
from tapedeck.errors import BadRequest, ClientError, UnknownName, WaitTimeout, WorkFailed
from tapedeck.sync_async import Blocking
from tapedeck.table import MarketTable
from tapedeck.tear_sheet import TearSheet
from tapedeck.transport import Transport
from tapedeck.waiting import until

POLL_SECONDS = 0.5
STORED_SECONDS = 180.0  # until the recorder has stored what a run left, also after an outage of the gateway
ENDED = frozenset({"complete", "failed"})
SUMMARY = ("final_value", "return_percent", "max_drawdown_percent", "sharpe", "trades", "win_rate_percent")


class RunHandle:
    """A run of a strategy. ``metrics``, ``trades``, ``fills``, ``equity`` and the rest wait until it has ended.

    ``name`` is that of its Backtest, ``run_id`` the id in the store. Every method has a form for asyncio, such as
    ``await run.wait.aio()``; ``await run.load.aio()`` reads all results, so that no property blocks afterwards.
    """

    def __init__(
        self,
        transport: Transport,
        name: str,
        namespace: str,
        run_id: str | None = None,
        run: Mapping[str, Any] | None = None,
    ) -> None:
        self._transport = transport
        self.name = name
        self.namespace = namespace
        self._run_id = run_id
        self._run = run if run is not None and run.get("state") in ENDED else None

    @property
    def run_id(self) -> str:
        """The run's id in the store. Waits until the run has one."""
        if self._run_id is None:
            self._run_id = until(self._started_id, POLL_SECONDS, None, f"the start of backtest {self.name}")
        return self._run_id

    @Blocking
    def wait(self, timeout: float | None = None, *, progress: bool | None = None) -> None:
        """Wait until the run has ended and its results are stored; ``progress`` shows a bar, by default to people.

        Raises WorkFailed if it failed, and WaitTimeout after ``timeout`` seconds.
        """
        if self._run is None:
            line = ProgressLine(self.name, shown=progress)
            until(lambda: self._ended(line), POLL_SECONDS, timeout, f"the end of backtest {self.name}")
            try:
                self._run = until(self._stored_end, POLL_SECONDS, STORED_SECONDS, f"the results of {self.name}")
            except WaitTimeout:
                raise WorkFailed(
                    f"backtest {self.name} has ended or was deleted, but its results are not stored after "
                    f"{STORED_SECONDS:.0f} s: does the recorder run? `tapedeck status` shows it"
                ) from None
            line.end(str(self._run["state"]))
        if self._run["state"] == "failed":
            raise WorkFailed(f"backtest {self.name} failed: {self._run.get('message') or 'its log has the reason'}")

    @Blocking
    def load(self) -> None:
        """Wait for the end, and read all results. Raises as ``wait``."""
        self.wait()
        _ = (self.trades, self.fills, self.equity)

    @property
    def result(self) -> Mapping[str, Any]:
        """The stored run with its metrics, drawdowns, periods and what was open at its end."""
        self.wait()
        assert self._run is not None
        return self._run

    @property
    def state(self) -> str:
        """running, complete or failed, as far as the store knows now."""
        if self._run is not None:
            return str(self._run["state"])
        try:
            self._run_id = self._run_id or self._started_id()
            return "running" if self._run_id is None else str(self._transport.get(self._path()).get("state", "running"))
        except UnknownName:
            return "running"

    @property
    def metrics(self) -> dict[str, float | None]:
        """Figures by name, such as return_percent; None where ``report()`` says why there is none."""
        return dict(part_of(self.result, "metrics") or {})

    @cached_property
    def trades(self) -> MarketTable:
        """Closed trades: seq, symbol, side (long or short), size (base currency), entry_ts, entry_price, exit_ts,
        exit_price, pnl, pnl_net (after commission), commission (all in the quote currency), entry_reason, exit_reason.
        """
        return self._table("trades")

    @cached_property
    def fills(self) -> MarketTable:
        """Filled orders: seq, symbol, ts, side (buy or sell), size (base currency), price (quote currency)."""
        return self._table("fills")

    @cached_property
    def equity(self) -> MarketTable:
        """The account after each bar: seq, ts (its close), value and cash (quote currency), change_percent since the
        bar before, drawdown_percent below the highest value so far, sharpe (rolling).
        """
        return self._table("equity")

    def plot(self) -> Chart:
        """The value of the account over time."""
        return self.equity.plot()

    def report(self) -> TearSheet:
        """Metrics, drawdowns, results by month and year, open positions and orders."""
        return TearSheet(self.name, self.result)

    def compare(self, other: RunHandle) -> ComparedRuns:
        """This run beside another: their metrics, and both equity curves as changes in percent."""
        if not isinstance(other, RunHandle):
            raise BadRequest(f"other: got {type(other).__name__}, expected a run, as of td.backtest() or td.run()")
        runs = [(run.name, run.metrics, run.equity) for run in (self, other)]
        return ComparedRuns(*runs)

    @Blocking
    def log(self, lines: int = 200) -> str:
        """The last lines that each of the strategy's pods has printed."""
        path = f"{resources.path_of('backtests', self.namespace, self.name)}/log"
        pods = objects_of(self._transport.get(path, {"tail": lines}), "pods")
        return "\n".join(str(line) for pod in pods for line in list_of(pod, "lines"))

    @Blocking
    def delete(self) -> None:
        """Delete the Backtest, which stops it. Stored results stay."""
        resources.delete(self._transport, "backtests", self.namespace, self.name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.namespace}/{self.name}, {self._run['state'] if self._run else 'running'})"

    def _repr_html_(self) -> str:
        try:
            if self._run is None and self.state not in ENDED:
                return facts_html(f"backtest {self.name}", {"state": "running"})
            metrics, picture = self.metrics, self.plot().svg
        except WorkFailed as error:
            return facts_html(f"backtest {self.name}", {"state": "failed", "message": str(error)})
        except ClientError as error:
            return facts_html(f"backtest {self.name}", {"state": "unknown", "message": str(error)})
        return picture + facts_html(f"backtest {self.name}", {n: metrics[n] for n in SUMMARY if n in metrics})

    def _path(self, part: str = "") -> str:
        return f"/runs/{resources.quoted(self.run_id)}" + (f"/{part}" if part else "")

    def _table(self, part: str) -> MarketTable:
        self.wait()
        return MarketTable(self._transport.table(self._path(part)), f"{self.name}: {part}")

    def _started_id(self) -> str | None:
        resource = resources.read(self._transport, "backtests", self.namespace, self.name)
        run_id = resources.status_of(resource).get("runId")
        if run_id is None and resources.phase_of(resource) == "Failed":
            raise WorkFailed(f"backtest {self.name} failed: {resources.message_of(resource)}")
        return run_id

    def _ended(self, line: ProgressLine) -> bool | None:
        """Whether the Backtest has ended; one that was deleted meanwhile is judged by its stored results."""
        try:
            resource = resources.read(self._transport, "backtests", self.namespace, self.name)
        except UnknownName:
            return True  # what it stored is all that there will be
        status = resources.status_of(resource)
        done, _, total = str(status.get("progress") or "").partition("/")
        if done.isdigit() and total.isdigit():
            line.update(int(done), int(total))
        if resources.phase_of(resource) not in resources.FINAL:
            return None
        self._run_id = self._run_id or status.get("runId")
        if self._run_id is None or (resources.phase_of(resource) == "Failed" and self._stored_end() is None):
            raise WorkFailed(f"backtest {self.name} failed: {resources.message_of(resource)}")
        return True

    def _stored_end(self) -> Mapping[str, Any] | None:
        try:
            run: Mapping[str, Any] = self._transport.get(self._path())
        except UnknownName:
            return None
        return run if run.get("state") in ENDED else None
