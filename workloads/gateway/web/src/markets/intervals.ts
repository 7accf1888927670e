// What bars a symbol has, and the lengths of the periods of returns.
import { closeOf as calendarClose, intervalMs } from "../chart/lengths";
import type { Period, StoredSymbol } from "./types";

export const DAY_MS = 86_400_000;
/** Of a month the longest. */
export const PERIOD_MS: Record<Period, number> = { day: DAY_MS, week: 7 * DAY_MS, month: 31 * DAY_MS };

/** When a bar of an interval closes that opens at a time. */
export const closeOf = (opened: number, interval: string): number => calendarClose(opened, { interval, width_ms: intervalMs(interval) });

/** When the newest bar of a symbol closed; null where it has none. */
export const lastClose = ({ series }: StoredSymbol): number | null =>
  series.length === 0 ? null : Math.max(...series.map(({ interval, last }) => closeOf(last, interval)));

/** The interval of the shortest bars that are stored; null where there are none. */
export const finestInterval = ({ series }: StoredSymbol): string | null =>
  series.map(({ interval }) => interval).sort((one, other) => intervalMs(one) - intervalMs(other))[0] ?? null;

/** Whether bars of an interval can be made of those that are stored. */
export function hasBarsOf(symbol: StoredSymbol, interval: string): boolean {
  const finest = finestInterval(symbol);
  return finest !== null && intervalMs(finest) <= intervalMs(interval);
}
