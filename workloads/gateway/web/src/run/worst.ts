// Where a run lost most: the hour of its equity, the time without data, and the trade.
import { HOUR_MS } from "./lengths_of_time";
import type { TradeRow } from "./trades";
import type { EquityRow } from "./types";

/** A change of the account's value between two times. */
export interface ValueChange {
  from: number;
  to: number;
  change: number;
}

/** So far apart are the points of a loss that has bars: an hour, of longer bars their length. */
const reachOf = (barMs: number): number => Math.max(HOUR_MS, barMs);

/** The hour over which the value fell most, of longer bars the bar: both ends are points. The first among equals; null where none fell. */
export function worstHour(curve: readonly EquityRow[], barMs: number): ValueChange | null {
  const reach = reachOf(barMs);
  let worst: ValueChange | null = null;
  let first = 0;
  for (const end of curve) {
    while (end.ts - (curve[first]?.ts ?? end.ts) > reach) first += 1;
    worst = deeper(worst, curve[first] ?? end, end);
  }
  return worst;
}

/** The time without data across which the value fell most: no bar has an hour of it, of longer bars no bar is where the next one should be. */
export function worstGap(curve: readonly EquityRow[], barMs: number): ValueChange | null {
  const reach = reachOf(barMs);
  let worst: ValueChange | null = null;
  let begin: EquityRow | undefined;
  for (const end of curve) {
    if (begin !== undefined && end.ts - begin.ts > reach) worst = deeper(worst, begin, end);
    begin = end;
  }
  return worst;
}

function deeper(worst: ValueChange | null, begin: EquityRow, end: EquityRow): ValueChange | null {
  const change = end.value - begin.value;
  return change < (worst?.change ?? 0) ? { from: begin.ts, to: end.ts, change } : worst;
}

/** Whether no point is left out between the first and the last one. */
export const isWhole = (curve: readonly EquityRow[]): boolean =>
  (curve.at(-1)?.seq ?? 0) - (curve[0]?.seq ?? 0) === Math.max(0, curve.length - 1);

/** The trade that lost most, the first among equals; null where none lost. */
export const worstTrade = (rows: readonly TradeRow[]): TradeRow | null =>
  rows.reduce<TradeRow | null>((worst, row) => (row.pnl_net < (worst?.pnl_net ?? 0) ? row : worst), null);

/** The trades that were open within a time. */
export const openWithin = (rows: readonly TradeRow[], { from, to }: ValueChange): TradeRow[] =>
  rows.filter(({ entry_ts, exit_ts }) => entry_ts < to && exit_ts > from);
