// Where a run lost most: the hour of its equity, and the trade.
import { HOUR_MS } from "./lengths_of_time";
import type { TradeRow } from "./trades";
import type { EquityRow } from "./types";

/** A change of the account's value between two times. */
export interface ValueChange {
  from: number;
  to: number;
  change: number;
}

export const isWithinHour = ({ from, to }: ValueChange): boolean => to - from <= HOUR_MS;

/** The hour over which the value fell most; of points wider apart the step. The first among equals; null where none fell. */
export function worstHour(curve: readonly EquityRow[]): ValueChange | null {
  let worst: ValueChange | null = null;
  let first = 0;
  for (const [last, end] of curve.entries()) {
    while (first < last - 1 && end.ts - (curve[first]?.ts ?? end.ts) > HOUR_MS) first += 1;
    const begin = curve[first] ?? end;
    const change = end.value - begin.value;
    if (change < (worst?.change ?? 0)) worst = { from: begin.ts, to: end.ts, change };
  }
  return worst;
}

/** The trade that lost most, the first among equals; null where none lost. */
export const worstTrade = (rows: readonly TradeRow[]): TradeRow | null =>
  rows.reduce<TradeRow | null>((worst, row) => (row.pnl_net < (worst?.pnl_net ?? 0) ? row : worst), null);

/** The trades that were open within a time. */
export const openWithin = (rows: readonly TradeRow[], { from, to }: ValueChange): TradeRow[] =>
  rows.filter(({ entry_ts, exit_ts }) => entry_ts < to && exit_ts > from);
