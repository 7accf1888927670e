// What the gateway answers and sends. Times are milliseconds UTC. The types of /api/v1 and of the WebSocket are in api.ts,
// which `make api-types` writes; here are their names in the page, and what the API does not describe.
import type { ReplayMessage, RunMessage, ServicesState } from "./api";

export type { BarItem as Bar, EquityPoint, RunFillRow as Fill, RunSummary as Run } from "./api";

/** The fields of a message that do not belong to its subscription's thing. */
type Sent = "seq" | "id" | "type";
export type RunFigures = Omit<RunMessage, Sent>;
export type ReplayState = Omit<ReplayMessage, Sent>;
export type Services = Omit<ServicesState, Sent>;

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
  type: string;
  pricescale: number;
  /** Above 0 where prices are told in parts of a pip. */
  minmove2: number;
  timezone: string;
  /** Such as 0930-1600:23456, or 24x7. */
  session: string;
  supported_resolutions: string[];
}
