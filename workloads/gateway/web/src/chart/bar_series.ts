// The bars of one series, in order and each once: what the WebSocket pushes, and older ones by history.
import type { Bar } from "../data/types";

/** What has changed: everything, the bars from an index on, or so many have come before the first one. */
export type BarChange = { kind: "all" } | { kind: "tail"; from: number } | { kind: "older"; count: number } | { kind: "none" };

const NONE: BarChange = { kind: "none" };
const ALL: BarChange = { kind: "all" };

/** The index of the first of these bars that opens at a time or later. */
export function firstAt(bars: readonly Bar[], ts: number): number {
  let [low, high] = [0, bars.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((bars[middle]?.ts ?? 0) < ts) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The open of the bar that opens at a time, or of the last before it; undefined where there is none. */
export const lastOpen = (bars: readonly Bar[], ts: number): number | undefined => bars[firstAt(bars, ts + 1) - 1]?.ts;

/**
 * ``generation`` counts how often all bars were taken back or replaced. History that was asked for in an earlier one is of
 * bars that may no longer be shown.
 */
export class BarSeries {
  bars: Bar[] = [];
  generation = 0;
  /** Whether nothing older than the first bar is stored. */
  isComplete = false;

  get first(): number | null {
    return this.bars[0]?.ts ?? null;
  }

  get last(): Bar | null {
    return this.bars.at(-1) ?? null;
  }

  /** Take all bars back: the replay has sought, or another series is shown. */
  reset(): BarChange {
    this.bars = [];
    this.generation += 1;
    this.isComplete = false;
    return ALL;
  }

  /** The newest bars, which replace all that there is: what was missed before them may have changed or ended any bar. */
  snapshot(bars: readonly Bar[]): BarChange {
    this.reset();
    this.bars = [...bars];
    return ALL;
  }

  /** New bars, and new states of the last one. */
  push(bars: readonly Bar[]): BarChange {
    let from = this.bars.length;
    for (const bar of bars) {
      const at = this.bars.length === 0 || bar.ts > (this.last?.ts ?? 0) ? this.bars.length : this.indexAt(bar.ts);
      if (at === this.bars.length) this.bars.push(bar);
      else if (this.bars[at]?.ts === bar.ts) this.bars[at] = bar;
      else continue; // before what is loaded, or late without a revision
      from = Math.min(from, at);
    }
    return from < this.bars.length ? { kind: "tail", from } : NONE;
  }

  /** Bars that had closed and have changed, or were late: they are replaced or put in their place. */
  revise(bars: readonly Bar[]): BarChange {
    const first = this.first;
    if (first === null) return NONE;
    for (const bar of bars) {
      if (bar.ts < first) continue;
      const at = this.indexAt(bar.ts);
      this.bars.splice(at, this.bars[at]?.ts === bar.ts ? 1 : 0, bar);
    }
    return ALL;
  }

  /** Bars of the history, asked for in ``generation``. Without any the series has none that are older. */
  addOlder(bars: readonly Bar[], generation: number): BarChange {
    if (generation !== this.generation) return NONE;
    const { first } = this;
    const older = bars.filter(({ ts }) => ts < (first ?? Infinity));
    this.isComplete = older.length === 0;
    if (older.length === 0) return NONE;
    this.bars = [...older, ...this.bars];
    return first === null ? ALL : { kind: "older", count: older.length };
  }

  /** The index of the first bar that opens at a time or later. */
  indexAt(ts: number): number {
    return firstAt(this.bars, ts);
  }
}
