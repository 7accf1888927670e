// What an indicator is: columns of values, one for each bar, that can be continued from any index.
import type { Bar } from "../data/types";

/** A value for each bar; NaN where there is none yet. */
export type Column = number[];

export interface Output {
  name: string;
  /** How it is drawn. */
  kind: "line" | "histogram";
}

/**
 * ``columns`` are the outputs, then what the indicator remembers. ``extend`` computes all of them from an index to the
 * last bar; earlier values stay as they are, and only they and the bars are read.
 */
export interface Indicator {
  outputs: readonly Output[];
  /** Whether it is drawn over the candles; otherwise in a pane of its own. */
  overlay: boolean;
  columns: number;
  /** The decimals of values that are no prices, such as those from 0 to 100; prices have those of the symbol. */
  decimals?: number;
  /** Whether it cannot be computed of the last bar without bars before the first one. */
  lacksOlder?: (bars: readonly Bar[]) => boolean;
  extend: (bars: readonly Bar[], columns: Column[], from: number) => void;
}

/** An empty set of columns. */
export const emptyColumns = (indicator: Indicator): Column[] => Array.from({ length: indicator.columns }, () => []);

export const closeOf = (bars: readonly Bar[], at: number): number => bars[at]?.close ?? NaN;
export const valueOf = (column: Column | undefined, at: number): number => column?.[at] ?? NaN;

/** The mean of the last ``period`` values up to an index; NaN where one is missing. */
export function meanOf(value: (at: number) => number, at: number, period: number): number {
  if (at < period - 1) return NaN;
  let sum = 0;
  for (let i = at - period + 1; i <= at; i += 1) sum += value(i);
  return sum / period;
}

/** An average that moves from its last value by a share of the difference; it begins with the mean of ``period`` values. */
export function smoothed(before: number, value: (at: number) => number, at: number, period: number, share: number): number {
  return Number.isNaN(before) ? meanOf(value, at, period) : before + share * (value(at) - before);
}

/** Compute the columns of every index from ``from`` on, one index after the other. */
export function eachFrom(bars: readonly Bar[], columns: Column[], from: number, compute: (at: number) => number[]): void {
  for (const column of columns) column.length = Math.min(column.length, from);
  for (let at = from; at < bars.length; at += 1) {
    const values = compute(at);
    columns.forEach((column, n) => (column[at] = values[n] ?? NaN));
  }
}
