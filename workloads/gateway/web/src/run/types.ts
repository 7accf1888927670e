// What /api/v1 answers of runs, by the page's names. Times are milliseconds UTC, prices and values in the quote currency.
import type * as api from "../data/api";

export type {
  EquityRow,
  ExcursionRow as Excursion,
  HoldCurve,
  PodLog,
  RunDrawdown as Drawdown,
  RunOrder as OpenOrder,
  RunPeriod as Period,
  RunPosition as OpenPosition,
  RunReport,
  RunSummary,
  RunTradeRow as Trade,
  SweepMatrix as Matrix,
  TrialRow as Trial,
  WalkForwardWindow,
} from "../data/api";

export type Figures = Record<string, number | null>;

/** What the page reads of a Backtest's spec. */
export interface SweepSpec {
  params?: { name: string }[];
  objective?: { metric?: string; direction?: "maximize" | "minimize" };
  walkForward?: unknown;
}

/** The spec is a resource's, which the API does not describe. */
export type RunInputs = Omit<api.RunInputs, "spec"> & { spec: { sweep?: SweepSpec; [field: string]: unknown } };

/** What is known of a run that failed, also of one that failed before it was stored. */
export type FailedRun = Pick<api.RunReport, "run_id" | "namespace" | "name" | "message">;

/** Some of a run's trades, and how many come after them; null where that is not known. */
export interface TradeList {
  trades: api.RunTradeRow[];
  leftOut: number | null;
}

/** The first trials of a sweep, and whether there are more. */
export interface TrialList {
  trials: api.TrialRow[];
  isCut: boolean;
}

export interface ExcursionList {
  excursions: api.ExcursionRow[];
  missing: string;
}

/** What the file of a report has inside. */
export type RunDocument = Omit<api.RunDocument, "inputs"> & { inputs: RunInputs };
