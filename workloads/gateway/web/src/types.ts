// The gateway's responses and push messages. Times are milliseconds UTC, except in /history, where UDF has seconds.

export interface Replay {
  uid: string;
  name: string;
  namespace: string;
  exchange: string;
  symbols: string[];
  interval: string;
  range_from: number;
  range_to: number;
  rows: number;
  started: number;
  position: number | null;
  epoch: string;
  published: number;
  ended: boolean;
}

export type RunState = "running" | "complete" | "failed";
export type Metrics = Record<string, number | null>;

export interface Run {
  run_id: string;
  name: string;
  namespace: string;
  strategy: string;
  exchange: string;
  symbols: string[];
  interval: string;
  replay_uid: string;
  cash: number;
  state: RunState;
  message: string;
  bars: number | null;
  metrics: Metrics | null;
  started_at: number;
  ended_at: number | null;
  /** Virtual time up to which the run is shown, where it is ahead of its replay; null where all of it is. */
  shown_until: number | null;
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

export interface SymbolListing {
  symbol: string;
  full_name: string;
  ticker: string;
  description: string;
  exchange: string;
  type: string;
}

/** A bar length that charts offer: UDF's name, the interval, the length (of a month the longest), and any open. */
export interface Resolution {
  resolution: string;
  interval: string;
  width_ms: number;
  origin_ms: number;
}

export interface SymbolInfo {
  ticker: string;
  pricescale: number;
  supported_resolutions: string[];
}

export type History =
  | { s: "ok"; t: number[]; o: number[]; h: number[]; l: number[]; c: number[]; v: number[] }
  | { s: "no_data"; nextTime?: number }
  | { s: "error"; errmsg: string };

export type Candle = [ts: number, open: number, high: number, low: number, close: number, volume: number, closed: boolean];

/** A run's state and headline figures. */
export interface RunSummary {
  type: "run";
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
  /** Why a metric is null. */
  undefined: Record<string, string> | null;
  shown_until: number | null;
}

export interface Position {
  type: "position";
  replay: string;
  v: number | null;
  epoch: string;
  published: number;
  ended: boolean;
}

/** Whether the services of the gateway answer. */
export interface Services {
  type: "services";
  broker: boolean;
  database: boolean;
}

export type Subscription = { symbol: string; resolution: string } | { run: string };

export type PushMessage =
  | { type: "bars"; symbol: string; resolution: string; bars: Candle[] }
  | { type: "reset"; symbol: string; resolution: string; run: string }
  | { type: "subscribed" | "unsubscribed"; symbol: string; resolution: string; run: string }
  | { type: "fills"; run: string; fills: Fill[] }
  | { type: "equity"; run: string; points: EquityPoint[] }
  | { type: "error"; message: string }
  | { type: "ping"; at: number }
  | Services
  | RunSummary
  | Position;
