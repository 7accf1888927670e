// Where a run lost most, compared with every hour and every trade looked at one by one.
import { describe, expect, it } from "vitest";
import { isWhole, openWithin, worstGap, worstHour, worstTrade } from "../../src/run/worst";
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
    expect(worstHour(curveOf(points), MINUTE)).toEqual(expected);
  });
  it("of uneven points begins with the first point within the hour, and never before a time without data", () => {
    const points = walk(3, 400, (n) => (n % 7 === 0 ? 95 * MINUTE : (1 + (n % 5) * 4) * MINUTE));
    const found = points.flatMap((end) => {
      const begin = points.find(({ ts }) => ts < end.ts && end.ts - ts <= HOUR);
      return begin === undefined ? [] : { from: begin.ts, to: end.ts, change: end.value - begin.value };
    });
    const worst = Math.min(...found.map(({ change }) => change));
    expect(worstHour(curveOf(points), MINUTE)).toEqual(found.find(({ change }) => change === worst));
  });
  it("is not the step over a hole, though that lost more: the hole is a loss of its own", () => {
    const hole = [[0, 100], [1, 95], [2, 97], [400, 20], [401, 18]].map(([minute = 0, value = 0]) => ({ ts: minute * MINUTE, value }));
    expect(worstHour(curveOf(hole), MINUTE)).toEqual({ from: 0, to: MINUTE, change: -5 });
    expect(worstGap(curveOf(hole), MINUTE)).toEqual({ from: 2 * MINUTE, to: 400 * MINUTE, change: -77 });
  });
  it("of bars that are longer is the worst of them, and a missing bar is a hole", () => {
    const bars = curveOf([100, 90, 95, 80, 79].map((value, n) => ({ ts: 4 * n * HOUR, value })));
    expect([worstHour(bars, 4 * HOUR), worstGap(bars, 4 * HOUR)]).toEqual([{ from: 8 * HOUR, to: 12 * HOUR, change: -15 }, null]);
    expect(worstGap(bars, MINUTE)).toEqual({ from: 8 * HOUR, to: 12 * HOUR, change: -15 });
    expect(worstHour(bars, MINUTE)).toBeNull();
  });
  it("is none where the value never fell", () => {
    for (const worst of [worstHour, worstGap]) {
      expect(worst([], MINUTE)).toBeNull();
      expect(worst(curveOf([5, 5, 6].map((value, n) => ({ ts: 2 * n * HOUR, value }))), MINUTE)).toBeNull();
    }
  });
  it("is exact where the points have all numbers from the first to the last one", () => {
    const numbered = (...numbers: number[]) => numbers.map((seq) => ({ ...equityRow(seq, 1, 0), seq }));
    expect([isWhole([]), isWhole(numbered(4)), isWhole(numbered(4, 5, 6)), isWhole(numbered(4, 6))]).toEqual([true, true, true, false]);
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
