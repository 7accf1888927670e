// The trade that is open: from the fill that opened a position to no exit yet.
import type { Fill } from "../data/types";
import type { Trade } from "./types";

/** A trade as a chart draws it; one that is open has no exit, and no number. */
export interface DrawnTrade extends Pick<Trade, "symbol" | "side" | "entry_ts" | "entry_price"> {
  seq: number | null;
  exit_ts: number | null;
  exit_price: number | null;
}

/** What is left of a position below this share of the last fill is rounding. */
const ROUNDING = 1e-9;

/** The trade of a symbol that is open after these fills, which are in order; null where there is no position. */
export function openTrade(fills: readonly Fill[], symbol: string): DrawnTrade | null {
  let size = 0;
  let entry: Fill | null = null;
  for (const fill of fills) {
    if (fill.symbol !== symbol) continue;
    const before = size;
    size += fill.side === "buy" ? fill.size : -fill.size;
    if (Math.abs(size) <= ROUNDING * fill.size) [size, entry] = [0, null];
    else if (before === 0 || before > 0 !== size > 0) entry = fill; // opened, or turned around
  }
  if (entry === null) return null;
  const side = size > 0 ? "long" : "short";
  return { symbol, side, entry_ts: entry.ts, entry_price: entry.price, seq: null, exit_ts: null, exit_price: null };
}
