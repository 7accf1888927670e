// What is asked of the API for the chosen symbols, over ranges that end with their newest bars.
import { Polled } from "../data/loadable";
import { get } from "../data/request";
import { hasBarsOf, intervalMs, lastClose, PERIOD_MS } from "./intervals";
import type { CorrelationReport, Period, StoredSymbol, SymbolReturns, SymbolVolatility, SymbolVolume } from "./types";

const ANALYTICS_MS = 30_000;
/** So many days, weeks or months are shown. */
export const PERIODS_SHOWN = 12;
/** So many bars the volatility and the correlation are of, at most. */
export const BARS_OF_STATISTICS = 500;

/** Where a range of so many lengths begins that ends with the newest bar of any of these symbols. */
export function startOf(symbols: readonly StoredSymbol[], lengthMs: number, count: number): number {
  const newest = Math.max(0, ...symbols.map((symbol) => lastClose(symbol) ?? 0));
  return Math.max(0, newest - lengthMs * count);
}

const names = (symbols: readonly StoredSymbol[]): string[] => symbols.map(({ symbol }) => symbol);

export interface PeriodReport {
  returns: SymbolReturns[];
  volumes: SymbolVolume[];
}

/** The returns and volumes of the last periods that are over. */
export const periodReport = (symbols: readonly StoredSymbol[], period: Period): Polled<PeriodReport> =>
  new Polled(async () => {
    const shown = symbols.filter(({ series }) => series.length > 0);
    if (shown.length === 0) return { returns: [], volumes: [] };
    const query = { symbol: names(shown), period, from: startOf(shown, PERIOD_MS[period], PERIODS_SHOWN + 2) };
    const [returns, volumes] = await Promise.all([
      get<{ symbols: SymbolReturns[] }>("/api/v1/analytics/returns", query),
      get<{ symbols: SymbolVolume[] }>("/api/v1/analytics/volume", query),
    ]);
    return { returns: returns.symbols, volumes: volumes.symbols };
  }, ANALYTICS_MS);

export interface StatisticsReport {
  volatility: SymbolVolatility[];
  correlation: CorrelationReport | null;
  /** Symbols without bars of this interval. */
  leftOut: string[];
}

/** The volatility of each symbol, and how two of them go together, by the bars of an interval. */
export const statisticsReport = (symbols: readonly StoredSymbol[], interval: string): Polled<StatisticsReport> =>
  new Polled(async () => {
    const shown = symbols.filter((each) => hasBarsOf(each, interval));
    const leftOut = names(symbols.filter((each) => !hasBarsOf(each, interval)));
    if (shown.length === 0) return { volatility: [], correlation: null, leftOut };
    const query = { symbol: names(shown), interval, from: startOf(shown, intervalMs(interval), BARS_OF_STATISTICS) };
    const [volatility, correlation] = await Promise.all([
      get<{ symbols: SymbolVolatility[] }>("/api/v1/analytics/volatility", query),
      shown.length < 2 ? null : get<CorrelationReport>("/api/v1/analytics/correlation", query),
    ]);
    return { volatility: volatility.symbols, correlation, leftOut };
  }, ANALYTICS_MS);

/** The opens of the last periods that any symbol has, in order. */
export function lastPeriods(report: PeriodReport): number[] {
  const opens = new Set(report.returns.flatMap(({ returns }) => returns.map(({ ts }) => ts)));
  return [...opens].sort((one, other) => one - other).slice(-PERIODS_SHOWN);
}

/** How strong a value is beside the strongest, 0 to 1. */
export const heatOf = (value: number, all: readonly number[]): number => {
  const strongest = Math.max(...all.map(Math.abs));
  return strongest === 0 ? 0 : Math.abs(value) / strongest;
};

/** The name of a period by its open: a day, the Monday of a week, or a month. */
export const periodName = (ts: number, period: Period): string => new Date(ts).toISOString().slice(0, period === "month" ? 7 : 10);
