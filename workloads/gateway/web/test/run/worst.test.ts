// Where a run lost most, compared with every hour and every trade looked at one by one.
import { describe, expect, it } from "vitest";
import { openWithin, worstHour, worstTrade } from "../../src/run/worst";
import { tradeRows } from "../../src/run/trades";
import { equityRow, trade } from "./made";

const [MINUTE, HOUR] = [60_000, 3_600_000];

/** A walk from a seed, in steps of cents: sums are exact in whole numbers. */
function walk(seed: number, count: number, step: (n: number) => number): { ts: number; value: number }[] {
  let [state, value, ts] = [seed, 1_000_000, 0];
  return Array.from({ length: count }, (_, n) => {
    state = (state * 48_271) % 2_147_483_647;
    value += (state % 2_001) - 1_000;
    ts += step(n);
    return { ts, value };
  });
}
const curveOf = (points: { ts: number; value: number }[]) => points.map(({ ts, value }) => equityRow(ts, value, 0));

describe("the worst hour", () => {
  it.each([1, 7, 2_018])("of minutes is the worst difference to the sixtieth before, or to the first one (seed %d)", (seed) => {
    const points = walk(seed, 500, () => MINUTE);
    const hours = points.map((end, n) => {
      const begin = points[Math.max(0, n - 60)] ?? end;
      return { from: begin.ts, to: end.ts, change: end.value - begin.value };
    });
    const [expected] = hours.sort((a, b) => a.change - b.change || a.to - b.to);
    expect(worstHour(curveOf(points))).toEqual(expected);
  });
  it("of uneven points is the worst from the first point within the hour, or from the point before", () => {
    const points = walk(3, 400, (n) => (n % 7 === 0 ? 95 * MINUTE : (1 + (n % 5) * 4) * MINUTE));
    const found = points.slice(1).map((end, n) => {
      const begin = points.find(({ ts }) => ts < end.ts && end.ts - ts <= HOUR) ?? points[n] ?? end;
      return { from: begin.ts, to: end.ts, change: end.value - begin.value };
    });
    const worst = Math.min(...found.map(({ change }) => change));
    expect(worstHour(curveOf(points))).toEqual(found.find(({ change }) => change === worst));
  });
  it("of points wider than an hour is the worst step between two", () =>
    expect(worstHour(curveOf([100, 90, 95, 80, 79].map((value, n) => ({ ts: 4 * n * HOUR, value }))))).toEqual({
      from: 8 * HOUR, to: 12 * HOUR, change: -15,
    }));
  it("is none where the value never fell", () => {
    expect(worstHour([])).toBeNull();
    expect(worstHour(curveOf([5, 5, 6].map((value, n) => ({ ts: n, value }))))).toBeNull();
  });
});

describe("the worst trade", () => {
  const rows = tradeRows([
    trade({ seq: 0, pnl_net: 5, entry_ts: 0, exit_ts: 10 }), trade({ seq: 1, pnl_net: -3, entry_ts: 10, exit_ts: 20 }),
    trade({ seq: 2, pnl_net: -7, entry_ts: 20, exit_ts: 40 }), trade({ seq: 3, pnl_net: -7, entry_ts: 50, exit_ts: 60 }),
  ], []);
  it("is the first of those that lost most", () => {
    expect(worstTrade(rows)?.seq).toBe(2);
    expect([worstTrade(rows.slice(0, 1)), worstTrade([])]).toEqual([null, null]);
  });
  it("of a time is one that was open within it", () =>
    expect(openWithin(rows, { from: 12, to: 20, change: -1 }).map(({ seq }) => seq)).toEqual([1]));
});
