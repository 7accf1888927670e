// What the API says of markets: see api_types/market.py and api_types/analytics.py. Times are milliseconds UTC.

export interface TimeSpan {
  first: number;
  last: number;
}

/** A series of bars, by the opens of its first and last bar. */
export interface StoredSeries extends TimeSpan {
  interval: string;
}

/** A symbol with what the store has of it: bars, the longest series first, trades, tickers. */
export interface StoredSymbol {
  symbol: string;
  exchange: string;
  name: string;
  price_step: number | null;
  series: StoredSeries[];
  trades: TimeSpan | null;
  tickers: TimeSpan | null;
}

export interface DayCoverage {
  day: string;
  bars: number;
  expected: number;
}

export interface Hole {
  from: number;
  to: number;
}

export interface SeriesCoverage {
  days: DayCoverage[];
  holes: Hole[];
  next: string | null;
}

export type Period = "day" | "week" | "month";
export const PERIODS: readonly Period[] = ["day", "week", "month"];

/** ``change`` is a share: 0.01 is 1 %. */
export interface Mover {
  symbol: string;
  ts: number;
  close: number;
  change: number;
}

export interface MoverReport {
  exchange: string;
  period: Period;
  at: number;
  up: Mover[];
  down: Mover[];
  flat: Mover[];
}

export interface SymbolReturns {
  symbol: string;
  returns: { ts: number; return: number | null }[];
}

export interface SymbolVolume {
  symbol: string;
  total: number;
  periods: { ts: number; volume: number }[];
}

export interface SymbolVolatility {
  symbol: string;
  returns: number;
  volatility: number | null;
  annualised: number | null;
}

export interface CorrelationReport {
  symbols: string[];
  matrix: (number | null)[][];
  counts: number[][];
}
