// The equity of a run by bar of the chart: a bar may hold many points, and its line shows only the last.

export interface EquityBar {
  low: number;
  high: number;
  last: number;
}

/** Add the next point to the bar that opens at `open`; returns that bar. */
export function addPoint(bars: Map<number, EquityBar>, open: number, value: number): EquityBar {
  const before = bars.get(open);
  const bar = {
    low: Math.min(before?.low ?? value, value),
    high: Math.max(before?.high ?? value, value),
    last: value,
  };
  bars.set(open, bar);
  return bar;
}
