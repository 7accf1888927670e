// Runs and trades as the API gives them, with what a test leaves open.
import type { EquityRow, HoldCurve, RunReport, Trade } from "../../src/run/types";

export const trade = (given: Partial<Trade>): Trade => ({
  seq: 0, symbol: "BTC/USD", side: "long", size: 1, entry_ts: 0, entry_price: 1, exit_ts: 0, exit_price: 1, pnl: 0, pnl_net: 0,
  commission: 0, entry_reason: "", exit_reason: "", ...given,
});

export const equityRow = (ts: number, value: number, drawdown: number | null): EquityRow => ({
  seq: ts, ts, value, cash: value, change_percent: null, drawdown_percent: drawdown, sharpe: null,
});

export const hold = (points: HoldCurve["points"], missing = ""): HoldCurve => ({ run_id: "u-1", points, missing, shown_until: null });

export const report = (given: Partial<RunReport> = {}): RunReport => ({
  run_id: "u-1", name: "cross", namespace: "default", strategy: "sma-cross", params: { fast: 5 }, exchange: "coinbase",
  symbols: ["BTC/USD"], interval: "1m", replay_uid: "", cash: 1_000, trials: 0, state: "complete", message: "", bars: 3, metrics: {},
  undefined: {}, started_at: 0, ended_at: 1, shown_until: null, drawdowns: [], periods: [], positions: [], orders: [],
  analyses: null, ...given,
});
