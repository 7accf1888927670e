// What is asked of the API for the chosen symbols, over ranges that end with the newest bar of each.
import { intervalMs } from "../chart/lengths";
import { Polled } from "../data/loadable";
import { get } from "../data/request";
import { hasBarsOf, lastClose, PERIOD_MS } from "./intervals";
import { endOf, firstOf, groupsByEnd, newestOf } from "./time_groups";
import type { CorrelationReport, Period, StoredSymbol, SymbolReturns, SymbolVolatility, SymbolVolume } from "./types";

const ANALYTICS_MS = 30_000;
/** So many days, weeks or months are shown of a symbol. */
export const PERIODS_SHOWN = 12;
/** So many bars the volatility and the correlation are of, at most. */
export const BARS_OF_STATISTICS = 500;
/** Symbols that end within this share of a range have one range together. */
const [PERIODS_TOLERANCE, STATISTICS_TOLERANCE] = [0.5, 0.1];

/** Where a range of so many lengths begins that ends with the newest bar of any of these symbols. */
export function startOf(symbols: readonly StoredSymbol[], lengthMs: number, count: number): number {
  const newest = Math.max(0, ...symbols.map((symbol) => lastClose(symbol) ?? 0));
  return Math.max(0, newest - lengthMs * count);
}

const names = (symbols: readonly StoredSymbol[]): string[] => symbols.map(({ symbol }) => symbol);

/** The returns and volumes of symbols that end at about the same time. */
export interface PeriodReport {
  returns: SymbolReturns[];
  volumes: SymbolVolume[];
}

/** The returns and volumes of the last periods of each symbol that are over, those that end together in one report. */
export const periodReports = (symbols: readonly StoredSymbol[], period: Period): Polled<PeriodReport[]> =>
  new Polled(async () => {
    const found: PeriodReport[] = [];
    for (const group of groupsByEnd(symbols, PERIOD_MS[period] * PERIODS_SHOWN * PERIODS_TOLERANCE)) {
      const oldest = group.reduce((one, other) => (endOf(other) < endOf(one) ? other : one));
      const query = { symbol: names(group), period, from: startOf([oldest], PERIOD_MS[period], PERIODS_SHOWN + 2) };
      const [returns, volumes] = await Promise.all([
        get<{ symbols: SymbolReturns[] }>("/api/v1/analytics/returns", query),
        get<{ symbols: SymbolVolume[] }>("/api/v1/analytics/volume", query),
      ]);
      found.push({ returns: returns.symbols, volumes: volumes.symbols });
    }
    return found;
  }, ANALYTICS_MS);

export interface StatisticsReport {
  volatility: SymbolVolatility[];
  correlation: CorrelationReport | null;
  /** Symbols without bars of this interval. */
  leftOut: string[];
  /** Whether the symbols end at different times. */
  areApart: boolean;
}

/** The volatility of each symbol up to its end, and how two of them go together up to the end of the older, by the bars of an interval. */
export const statisticsReport = (symbols: readonly StoredSymbol[], interval: string): Polled<StatisticsReport> =>
  new Polled(async () => {
    const shown = symbols.filter((each) => hasBarsOf(each, interval));
    const leftOut = names(symbols.filter((each) => !hasBarsOf(each, interval)));
    const length = intervalMs(interval);
    const groups = groupsByEnd(shown, length * BARS_OF_STATISTICS * STATISTICS_TOLERANCE);
    const volatility: SymbolVolatility[] = [];
    const correlations: CorrelationReport[] = [];
    for (const [at, group] of groups.entries()) {
      const from = startOf(group, length, BARS_OF_STATISTICS);
      const end = newestOf(group);
      // Those of newer groups have bars of this time, too: a pair is compared where both have some.
      const together = shown.filter((each) => group.includes(each) || (endOf(each) > end && firstOf(each) < end));
      const upTo = at === 0 ? {} : { to: end };
      const [ofGroup, ofPairs] = await Promise.all([
        get<{ symbols: SymbolVolatility[] }>("/api/v1/analytics/volatility", { symbol: names(group), interval, from }),
        shown.length < 2 ? null : get<CorrelationReport>("/api/v1/analytics/correlation", { symbol: names(together), interval, from, ...upTo }),
      ]);
      volatility.push(...ofGroup.symbols);
      if (ofPairs !== null) correlations.push(ofPairs);
    }
    const order = names(shown);
    volatility.sort((one, other) => order.indexOf(one.symbol) - order.indexOf(other.symbol));
    return { volatility, correlation: shown.length < 2 ? null : mergedPairs(order, correlations), leftOut, areApart: groups.length > 1 };
  }, ANALYTICS_MS);

/** Each pair as the first report has it that knows both: reports of newer times come first, and those of a pair's own end have both. */
export function mergedPairs(symbols: readonly string[], reports: readonly CorrelationReport[]): CorrelationReport {
  const pair = (one: string, other: string): [number | null, number] => {
    for (const { symbols: known, matrix, counts } of reports) {
      const [i, j] = [known.indexOf(one), known.indexOf(other)];
      if (i >= 0 && j >= 0) return [matrix[i]?.[j] ?? null, counts[i]?.[j] ?? 0];
    }
    return [null, 0];
  };
  const pairs = symbols.map((one) => symbols.map((other) => pair(one, other)));
  return {
    symbols: [...symbols],
    matrix: pairs.map((row) => row.map(([value]) => value)),
    counts: pairs.map((row) => row.map(([, count]) => count)),
  };
}

/** The opens that a table has: the last periods of each symbol, in order. */
export function lastPeriods({ returns: symbols }: PeriodReport): number[] {
  const opens = new Set(symbols.flatMap(({ returns }) => returns.map(({ ts }) => ts).slice(-PERIODS_SHOWN)));
  return [...opens].sort((one, other) => one - other);
}

/** How strong a value is beside the strongest, 0 to 1. */
export const heatOf = (value: number, all: readonly number[]): number => {
  const strongest = Math.max(...all.map(Math.abs));
  return strongest === 0 ? 0 : Math.abs(value) / strongest;
};

/** The name of a period by its open: a day, the Monday of a week, or a month. */
export const periodName = (ts: number, period: Period): string => new Date(ts).toISOString().slice(0, period === "month" ? 7 : 10);
