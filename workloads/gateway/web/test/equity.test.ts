import { expect, it } from "vitest";
import { addPoint, type EquityBar } from "../src/chart/equity";

it("keeps the trough and the peak of a bar beside its last value", () => {
  const bars = new Map<number, EquityBar>();
  for (const value of [100, 40, 130, 90]) addPoint(bars, 0, value);
  expect(addPoint(bars, 60_000, 95)).toEqual({ low: 95, high: 95, last: 95 });
  expect([...bars]).toEqual([
    [0, { low: 40, high: 130, last: 90 }],
    [60_000, { low: 95, high: 95, last: 95 }],
  ]);
});
