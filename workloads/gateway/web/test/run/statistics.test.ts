// Statistics, compared with values of published tables and with counts made one by one.
import { describe, expect, it } from "vitest";
import { duration } from "../../src/run/lengths_of_time";
import { histogram, mean, median, quantile, roundStep, shareInterval } from "../../src/run/statistics";

describe("a median and a quantile", () => {
  it.each([
    [[], null, null],
    [[3], 3, 3],
    [[4, 1, 3], 3, 8 / 3],
    [[1, 2, 3, 10], 2.5, 4],
  ])("of %j", (values, middle, average) => {
    expect(median(values)).toBe(middle);
    if (average === null) expect(mean(values)).toBeNull();
    else expect(mean(values)).toBeCloseTo(average, 12);
  });
  it("lie between two values by their distance", () => expect(quantile([0, 10, 20, 30], 0.25)).toBe(7.5));
});

describe("the interval of a share", () => {
  // Wilson's interval solves |p - share| = z √(p (1 - p) / n): both ends do.
  it.each([[8, 10], [1, 30], [250, 500], [0, 7], [7, 7]])("of %d of %d solves Wilson's equation", (hits, cases) => {
    const [low, high] = shareInterval(hits, cases) ?? [NaN, NaN];
    for (const end of [low, high])
      if (end > 1e-12 && end < 1 - 1e-12)
        expect(Math.abs(end - hits / cases)).toBeCloseTo(1.959963984540054 * Math.sqrt((end * (1 - end)) / cases), 10);
    expect(low).toBeLessThanOrEqual(hits / cases + 1e-12);
    expect(high).toBeGreaterThanOrEqual(hits / cases - 1e-12);
  });
  it("of 8 of 10 is that of the textbook", () => {
    const [low, high] = shareInterval(8, 10) ?? [0, 0];
    expect(low).toBeCloseTo(0.4902, 4);
    expect(high).toBeCloseTo(0.9433, 4);
  });
  it("of no case is none", () => expect(shareInterval(0, 0)).toBeNull());
});

describe("a histogram", () => {
  it.each([
    [[-1.9, -0.1, 0, 0.1, 2, 2.4, 2.5], 5],
    [[5], 30],
    [[0, 0, 0], 30],
    [[1e-9, 2e-9], 4],
    [Array.from({ length: 999 }, (_, i) => Math.sin(i) * 40), 30],
  ])("of %j counts each value once, in the bin that holds it", (values, wanted) => {
    const bins = histogram(values, wanted);
    expect(bins.reduce((sum, { count }) => sum + count, 0)).toBe(values.length);
    for (const { from, to, count } of bins) {
      const slack = (to - from) * 1e-9;
      const held = values.filter((value) => value >= from - slack && value < to - slack).length;
      expect(Math.abs(held - count)).toBeLessThanOrEqual(values.filter((v) => Math.abs(v - from) < slack || Math.abs(v - to) < slack).length);
    }
    expect(bins.length).toBeLessThanOrEqual(wanted + 2);
  });
  it("has 0 as a border: no bin has gains and losses", () => {
    for (const { from, to } of histogram([-3.7, 8.2, 0.4])) expect(from < 0 && to > 1e-12).toBe(false);
  });
  it("of nothing has no bins", () => expect(histogram([])).toEqual([]));
});

it.each([[0.7, 1], [1, 1], [1.1, 2], [2.1, 2.5], [3, 5], [0.06, 0.1], [700, 1000]])("%d becomes the step %d", (step, rounded) =>
  expect(roundStep(step)).toBeCloseTo(rounded, 12),
);

it.each([
  [0, "0 ms"], [999, "999 ms"], [1_000, "1 s"], [90_000, "1.5 min"], [3_600_000, "1 h"], [5_400_000, "1.5 h"],
  [86_400_000, "1 d"], [1_000 * 86_400_000, "1,000 d"], [null, "–"], [NaN, "–"],
])("%s ms is %s", (ms, text) => expect(duration(ms)).toBe(text));
