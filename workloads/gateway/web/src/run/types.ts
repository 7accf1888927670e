// What /api/v1 answers of runs. Times are milliseconds UTC, prices and values in the quote currency.

export type Figures = Record<string, number | null>;

export interface RunSummary {
  run_id: string;
  name: string;
  namespace: string;
  strategy: string;
  params: Record<string, unknown>;
  exchange: string;
  symbols: string[];
  interval: string;
  replay_uid: string;
  cash: number;
  trials: number;
  state: "running" | "complete" | "failed";
  message: string;
  bars: number | null;
  metrics: Figures | null;
  /** Why a figure of metrics is null. */
  undefined: Record<string, string> | null;
  started_at: number;
  ended_at: number | null;
  /** The position of the run's replay, beyond which nothing is shown; null where all is. */
  shown_until: number | null;
}

export interface Drawdown {
  percent: number;
  amount: number;
  peak: number;
  trough: number;
  end: number | null;
  days: number;
}

/** A month (2018-04) or a year (2018). */
export interface Period {
  period: string;
  start_value: number;
  end_value: number;
  return_percent: number | null;
  max_drawdown_percent: number;
  trades: number;
  wins: number;
  profit: number;
}

export interface OpenPosition {
  symbol: string;
  size: number;
  price: number;
  close: number | null;
  unrealised: number | null;
}

export interface OpenOrder {
  symbol: string;
  ts: number;
  side: "buy" | "sell";
  kind: string;
  size: number | null;
  price: number | null;
  reason: string;
}

export interface RunReport extends RunSummary {
  drawdowns: Drawdown[] | null;
  periods: Period[] | null;
  positions: OpenPosition[] | null;
  orders: OpenOrder[] | null;
}

export interface EquityRow {
  seq: number;
  ts: number;
  value: number;
  cash: number;
  change_percent: number | null;
  drawdown_percent: number | null;
  sharpe: number | null;
}

export interface Trade {
  seq: number;
  symbol: string;
  side: "long" | "short";
  size: number;
  entry_ts: number;
  entry_price: number;
  exit_ts: number;
  exit_price: number;
  pnl: number;
  pnl_net: number;
  commission: number;
  entry_reason: string;
  exit_reason: string;
}

export interface Excursion {
  seq: number;
  lowest: number;
  highest: number;
  adverse_percent: number | null;
  favourable_percent: number | null;
}

export interface HoldCurve {
  points: [ts: number, value: number][];
  missing: string;
}

export interface RunInputs {
  spec: { sweep?: SweepSpec; [field: string]: unknown };
  yaml: string;
  data: string;
  images: Record<string, string>;
  version: string;
  path: string;
  seed: number | null;
  obstacle: string;
  decimals: Record<string, number>;
}

export interface SweepSpec {
  params?: { name: string }[];
  objective?: { metric?: string; direction?: "maximize" | "minimize" };
  walkForward?: unknown;
}

export interface Trial {
  window: number;
  trial: number;
  params: Record<string, unknown>;
  start: number;
  end: number;
  metrics: Figures;
  objective: number | null;
  feasible: boolean;
  message: string;
}

export interface WalkForwardWindow {
  window: number;
  params: Record<string, unknown>;
  in_sample: Trial | null;
  out_of_sample: Trial;
}

/** A metric by the values of two params: a row for each of ys, a column for each of xs. */
export interface Matrix {
  x: string;
  y: string;
  metric: string;
  xs: unknown[];
  ys: unknown[];
  values: (number | null)[][];
  counts: number[][];
}

export interface PodLog {
  pod: string;
  phase: string;
  lines: string[];
}

/** Some of a run's trades, and how many come after them; null where that is not known. */
export interface TradeList {
  trades: Trade[];
  leftOut: number | null;
}

export interface ExcursionList {
  excursions: Excursion[];
  missing: string;
}

/** What the file of a report has inside: see RunDocument of the API. */
export interface RunDocument {
  made_at: number;
  report: RunReport;
  inputs: RunInputs;
  equity: EquityRow[];
  hold: HoldCurve;
  trades: Trade[];
  excursions: Excursion[];
  excursions_missing: string;
  trades_left_out: number;
}
