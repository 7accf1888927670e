// Holes between the bars of a chart. Bars stand side by side whatever is between their times, so that a hole looks like a jump.
import type { Bar, Resolution } from "../data/types";
import { number } from "../format";
import { closeOf } from "./lengths";
import { expectedBars, type Session } from "./session";

export interface ChartHole {
  /** The open of the bar after it. */
  before: number;
  /** How many bars the market's session expects there. */
  missing: number;
}

/** The holes between neighbours of these bars: none is known after the last one. */
export function holesBetween(bars: readonly Bar[], length: Resolution, session: Session | null): ChartHole[] {
  const found: ChartHole[] = [];
  for (let at = 1; at < bars.length; at += 1) {
    const hole = holeBefore(bars, at, length, session);
    if (hole !== null) found.push(hole);
  }
  return found;
}

/** The hole before the bar of an index; null where its neighbour is the bar before, or the market was closed between them. */
export function holeBefore(bars: readonly Bar[], at: number, length: Resolution, session: Session | null): ChartHole | null {
  const [last, next] = [bars[at - 1], bars[at]];
  if (last === undefined || next === undefined) return null;
  const from = closeOf(last.ts, length);
  if (next.ts <= from) return null;
  const missing = expectedBars(from, next.ts, length, session);
  return missing === 0 ? null : { before: next.ts, missing };
}

export const missingText = (missing: number): string => `${number(missing, 0)} ${missing === 1 ? "bar" : "bars"} missing`;
