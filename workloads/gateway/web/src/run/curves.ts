// The columns of the equity plot: times, the account, buy-and-hold beside it, and the drawdown below.
import type { EquityRow, HoldCurve } from "./types";

export interface EquityColumns {
  ts: number[];
  value: number[];
  hold: (number | null)[];
  /** 0 or below. */
  drawdown: (number | null)[];
}

export function equityColumns(curve: readonly EquityRow[], hold: HoldCurve | null): EquityColumns {
  const ts = curve.map((point) => point.ts);
  return {
    ts,
    value: curve.map((point) => point.value),
    hold: lastBy(ts, hold?.points ?? []),
    drawdown: curve.map(({ drawdown_percent }) => (drawdown_percent === null ? null : -drawdown_percent || 0)),
  };
}

/** Of points in order the last value at each time or before it; null before the first. */
export function lastBy(times: readonly number[], points: readonly (readonly [ts: number, value: number])[]): (number | null)[] {
  let next = 0;
  let last: number | null = null;
  return times.map((ts) => {
    for (let point = points[next]; point !== undefined && point[0] <= ts; point = points[next]) {
      last = point[1];
      next += 1;
    }
    return last;
  });
}

/** The text alternative of the plot. */
export function equityText({ ts, value, hold, drawdown }: EquityColumns, format: (value: number) => string): string {
  const [first, last] = [value[0], value.at(-1)];
  if (first === undefined || last === undefined) return "Equity: no points";
  const held = hold.findLast((each) => each !== null);
  const deepest = Math.min(0, ...drawdown.map((each) => each ?? 0));
  const days = (ms: number) => new Date(ms).toISOString().slice(0, 10);
  return [
    `Equity from ${format(first)} on ${days(ts[0] ?? 0)} to ${format(last)} on ${days(ts.at(-1) ?? 0)}`,
    ...(held === undefined || held === null ? [] : [`buy and hold ${format(held)}`]),
    `deepest drawdown ${format(-deepest)} %`,
  ].join(", ");
}
