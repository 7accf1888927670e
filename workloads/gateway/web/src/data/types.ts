// What the gateway answers, as docs/guides/rest-api.md and /api/v1/docs describe it. Times are milliseconds UTC.

export interface Condition {
  type: string;
  status: "True" | "False" | "Unknown";
  reason: string;
  message?: string;
}

export type Phase = "Pending" | "Running" | "Paused" | "Suspended" | "Complete" | "Degraded" | "Failed";
export const FINAL_PHASES: readonly string[] = ["Complete", "Degraded", "Failed"];

export interface Status {
  phase?: Phase;
  observedGeneration?: number;
  progress?: string;
  message?: string;
  conditions?: Condition[];
  [field: string]: unknown;
}

/** A Feed, Replay or Backtest as Kubernetes has it. */
export interface Resource<Spec = Record<string, unknown>> {
  apiVersion: string;
  kind: "Feed" | "Replay" | "Backtest";
  metadata: { name: string; namespace: string; uid: string; generation?: number; [field: string]: unknown };
  spec: Spec;
  status?: Status;
}

export interface ReplaySpec {
  speed?: number;
  unpaced?: boolean;
  paused?: boolean;
  loop?: number | "forever";
  until?: string;
  atEnd?: "finish" | "hold";
  clock?: { follow?: string };
  [field: string]: unknown;
}

export interface BacktestSpec {
  strategy?: { builtin?: string; module?: string };
  data?: { replay?: { name: string; onSeek?: "stop" | "restart" }; store?: unknown; feed?: unknown };
  [field: string]: unknown;
}

/** A replay that has started, as its topic tells it. */
export interface PlayedReplay {
  uid: string;
  name: string;
  namespace: string;
  exchange: string;
  symbols: string[];
  interval: string;
  range_from: number;
  range_to: number;
  position: number | null;
  epoch: string;
  published: number;
  ended: boolean;
  transforms: string[];
}

export type RunState = "running" | "complete" | "failed";
export type Metrics = Record<string, number | null>;

export interface Run {
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
  state: RunState;
  message: string;
  bars: number | null;
  metrics: Metrics | null;
  undefined: Record<string, string> | null;
  started_at: number;
  ended_at: number | null;
  /** Virtual time up to which the run is shown, where it is ahead of its replay; null where all of it is. */
  shown_until: number | null;
}

export interface Bar {
  ts: number;
  open: number;
  high: number;
  low: number;
  close: number;
  volume: number;
  closed: boolean;
}

export interface Fill {
  seq: number;
  symbol: string;
  ts: number;
  side: "buy" | "sell";
  size: number;
  price: number;
}

export type EquityPoint = [
  seq: number, ts: number, value: number, cash: number,
  changePercent: number | null, drawdownPercent: number | null, sharpe: number | null,
];

/** A bar length that charts offer: UDF's name, the interval, the length (of a month the longest), and any open. */
export interface Resolution {
  resolution: string;
  interval: string;
  width_ms: number;
  origin_ms: number;
}

/** A symbol that a chart can show. */
export interface SymbolListing {
  symbol: string;
  ticker: string;
  description: string;
  exchange: string;
  type: string;
}

export interface SymbolInfo {
  ticker: string;
  pricescale: number;
  timezone: string;
  supported_resolutions: string[];
}

/** A run's state and headline figures, shares in percent. */
export interface RunFigures {
  run: string;
  state: RunState;
  message: string;
  ts: number | null;
  value: number;
  return_percent: number;
  max_drawdown_percent: number;
  trades: number;
  bars: number | null;
  metrics: Metrics | null;
  undefined: Record<string, string> | null;
  shown_until: number | null;
}

/** The state of a replay: see docs/guides/websocket.md. */
export interface ReplayState {
  replay: string;
  namespace: string;
  name: string;
  position: number | null;
  range_from: number | null;
  range_to: number | null;
  epoch: string;
  round: number;
  speed: number | null;
  unpaced: boolean;
  measured_speed: number;
  paused: boolean;
  ended: boolean;
  lateness_ms: number;
  published: number;
}

/** Whether the services of the gateway answer. */
export interface Services {
  broker: boolean;
  database: boolean;
}
