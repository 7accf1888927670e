// Trials of sweeps: their order, what is around the best, and windows, compared with values found by hand.
import { describe, expect, it } from "vitest";
import {
  breakEven, colouring, coordinates, hasOwnAccount, lossText, luck, neighbours, outOfSampleText, paramNames, ranked, resultName,
  robustness, sharesOf, valuesOf, windowRows, windowSummary,
} from "../../src/run/sweep";
import { paramsText } from "../../src/run/trial_text";
import type { Trial } from "../../src/run/types";

let numbered = 0;
const trial = (params: Record<string, unknown>, objective: number | null, given: Partial<Trial> = {}): Trial => ({
  window: 0, trial: numbered++, params, start: 0, end: 1, metrics: {}, objective, feasible: objective !== null, message: "", ...given,
});

/** A grid of fast × slow whose objective is fast + slow / 100; 30 by 90 failed. */
const GRID = [10, 20, 30].flatMap((fast) =>
  [60, 90, 120].map((slow) => trial({ fast, slow, kind: "x" }, fast === 30 && slow === 90 ? null : fast + slow / 100)),
);
const at = (fast: number, slow: number) => GRID.find(({ params }) => params["fast"] === fast && params["slow"] === slow) as Trial;
const TEST = trial({ fast: 30, slow: 120, kind: "x" }, 99, { trial: -1 });

describe("trials", () => {
  it("are ranked by objective in its direction, without those that are not feasible, and without tests", () => {
    const best = (direction: "maximize" | "minimize") => ranked([TEST, ...GRID], direction).slice(0, 2).map(({ params }) => [params["fast"], params["slow"]]);
    expect(best("maximize")).toEqual([[30, 120], [30, 60]]);
    expect(best("minimize")).toEqual([[10, 60], [10, 90]]);
    const equal = [trial({}, 1, { trial: 9 }), trial({}, 1, { trial: 4 }), trial({}, 1, { trial: 2, window: 1 })];
    expect(ranked(equal, "maximize").map((each) => [each.window, each.trial])).toEqual([[0, 4], [0, 9], [1, 2]]);
  });
  it("differ by some of their params", () => {
    expect(paramNames(GRID)).toEqual(["fast", "slow"]);
    expect(valuesOf([trial({ a: "b" }, 1), trial({ a: 10 }, 1), trial({ a: 9 }, 1), trial({ a: "a" }, 1)], "a")).toEqual([9, 10, "a", "b"]);
  });
});

describe("the neighbours of a trial", () => {
  const around = (fast: number, slow: number) =>
    neighbours([TEST, ...GRID], at(fast, slow)).trials.map(({ params }) => [params["fast"], params["slow"]]);
  it("have the same params, or the next values", () => {
    expect(around(30, 120)).toEqual([[20, 90], [20, 120], [30, 90]]);
    expect(around(20, 90)).toHaveLength(8);
  });
  it("tell how robust the best is", () => {
    const { median, ...others } = robustness([TEST, ...GRID], at(30, 120), "maximize");
    expect(median).toBeCloseTo(21.05, 12); // of 20.9 and 21.2, which is more than 5 of all 8
    expect(others).toEqual({ best: 31.2, neighbours: 3, are: "next", feasible: 2, worst: 20.9, rank: 5 / 8 });
    expect(robustness(GRID, at(10, 60), "minimize").worst).toBe(20.9);
  });
  it("of a search at random are the nearest", () => {
    const random = Array.from({ length: 40 }, (_, i) => trial({ a: (i * 17) % 41, b: (i * 29) % 43 }, i));
    const best = random[11] as Trial;
    const { trials: found, are } = neighbours(random, best);
    const distance = ({ params }: Trial) => Math.hypot(((params["a"] as number) - (best.params["a"] as number)) / 40, ((params["b"] as number) - (best.params["b"] as number)) / 42);
    const furthest = Math.max(...found.map(distance));
    expect([found.length, are]).toEqual([8, "nearest"]);
    expect(random.filter((each) => each !== best && distance(each) < furthest * 0.9).every((each) => found.includes(each))).toBe(true);
  });
  it("of another text are none", () => {
    const kinds = [trial({ kind: "a", n: 1 }, 1), trial({ kind: "b", n: 1 }, 1), trial({ kind: "a", n: 2 }, 1)];
    expect(neighbours(kinds, kinds[0] as Trial)).toEqual({ trials: [kinds[2]], are: "next" });
  });
  it("of a sweep over one param are the two beside it, or the one at an end", () => {
    const line = Array.from({ length: 20 }, (_, i) => trial({ fast: 5 * i, kind: "x" }, i));
    const of = (at: number) => neighbours(line, line[at] as Trial).trials.map(({ params }) => params["fast"]);
    expect([of(7), of(0), of(19)]).toEqual([[30, 40], [5], [90]]);
    expect(robustness(line, line[19] as Trial, "maximize")).toMatchObject({ neighbours: 1, are: "next", median: 18 });
  });
});

describe("luck", () => {
  it.each([[0.97, "unlikely to be luck"], [0.7, "may be luck"], [0.2, "probably luck"]])("at %d", (deflated, verdict) => {
    const found = luck({ trials: 41, metrics: { deflated_sharpe: deflated, best_sharpe: 2, best_sharpe_error: 0.5, trials_with_sharpe: 40 }, undefined: {} });
    expect(found).toEqual({ deflated, verdict, sharpe: 2, error: 0.5, known: "best of 40 trials" });
  });
  it("is unknown for a reason", () =>
    expect(luck({ trials: 24, metrics: { deflated_sharpe: null }, undefined: { deflated_sharpe: "got 3 daily returns" } }).verdict).toBe(
      "unknown: got 3 daily returns",
    ));
});

describe("a Sharpe ratio that no trial has", () => {
  it.each([
    [{ trials_with_sharpe: 0, daily_returns: 3 }, "0 of 24 trials have a Sharpe ratio; it needs 30 daily returns, this has 3"],
    [{ trials_with_sharpe: 0, daily_returns: 40 }, "0 of 24 trials have a Sharpe ratio"], // of days that are all equal
    [{}, ""],
    [null, ""],
  ])("of a sweep with %j is told", (metrics, known) => expect(luck({ trials: 24, metrics, undefined: {} }).known).toBe(known));
});

describe("trials that lost money", () => {
  const trials = (...returns: (number | null)[]) => returns.map((each) => trial({}, 1, { metrics: { return_percent: each } }));
  it.each([
    [trials(-12, -9.84, -30), "All 3 trials lost money; the best -9.84 %"],
    [trials(-12, 0), ""],
    [trials(-12, 3), ""],
    [trials(-12, -13, null), "All 2 trials with a return lost money; the best -12.00 %"],
    [trials(null), ""],
    [[], ""],
  ])("are told where they are all of them", (given, text) => expect(lossText(given)).toBe(text));
});

describe("the colour of a value", () => {
  it("is one of two beside what is neither gain nor loss", () => {
    const all = [8_000, 9_500, 10_000, 11_000];
    expect(all.map(colouring(all, 10_000, false))).toEqual([
      { tone: "down", heat: 1 }, { tone: "down", heat: 0.25 }, { tone: "up", heat: 0 }, { tone: "up", heat: 0.5 },
    ]);
    expect(colouring([0, 0], 0, false)(0)).toEqual({ tone: "up", heat: 0 });
  });
  it("is stronger of the better of a metric that knows no loss", () => {
    expect(colouring([2, 6], null, false)(3)).toEqual({ tone: "heat", heat: 0.25 });
    expect(colouring([2, 6], null, true)(3)).toEqual({ tone: "heat", heat: 0.75 });
  });
  it.each([null, 10])("reads all values once, whatever the number of those that are coloured (border %s)", (border) => {
    let reads = 0;
    const all = new Proxy([2, 3, 6], { get: (of, name) => ((reads += 1), Reflect.get(of, name) as unknown) });
    const colourOf = colouring(all, border, false);
    const before = reads;
    [2, 3, 6].map(colourOf);
    expect([before > 0, reads - before]).toEqual([true, 0]);
  });
  it.each([["finalValue", 5_000], ["returnPercent", 0], ["averageTrade", 0], ["sharpe", null], ["maxDrawdownPercent", null]])(
    "has its border of %s at %j", (metric, border) => expect(breakEven(resultName(metric), 5_000)).toBe(border),
  );
});

describe("windows of a walk-forward", () => {
  const windows = [1, -2, 3].map((percent, window) => ({
    window,
    params: { fast: window },
    in_sample: window === 2 ? null : trial({}, 10 + window),
    out_of_sample: trial({}, percent, { trial: -1, window, metrics: { return_percent: percent, trades: 4 }, start: window, end: window + 1 }),
  }));
  it("have both figures, and a summary of all", () => {
    const rows = windowRows(windows);
    expect(rows[1]).toEqual({ window: 1, params: { fast: 1 }, start: 1, end: 2, inSample: 11, outOfSample: -2, returnPercent: -2, trades: 4 });
    expect(windowSummary(rows)).toEqual({ windows: 3, won: 2, inSample: 10.5, outOfSample: 1 });
    expect(outOfSampleText(rows, String)).toBe(
      "2 of 3 windows had a profit out-of-sample, each with the best trial of the time before; median objective 10.5 in-sample, 1 out-of-sample",
    );
    expect(windowSummary([])).toEqual({ windows: 0, won: 0, inSample: null, outOfSample: null });
    expect(paramsText({ fast: 5, trail: false, kind: "x" })).toBe("fast 5, trail false, kind x");
  });
});

it.each([
  [0, null, true], [6, null, false], [6, { best_sharpe: 1 }, false], [6, { final_value: 900 }, true],
])("of %d trials with the figures %j has an account of its own: %s", (trials, metrics, has) => expect(hasOwnAccount({ trials, metrics })).toBe(has));

describe("parallel coordinates", () => {
  it("place each trial on each axis, numbers by their value", () => {
    const found = coordinates([trial({ n: 1, kind: "a" }, 5), trial({ n: 2, kind: "b" }, 15), trial({ n: 5, kind: "c" }, 10), trial({ n: 9, kind: "c" }, null)], ["n", "kind"]);
    expect(found.map(({ places }) => places)).toEqual([[0, 0, 0], [0.25, 0.5, 1], [1, 1, 0.5]]);
    expect([sharesOf([3, 3])(3), sharesOf([2, 6])(4)]).toEqual([1, 0.5]);
  });
});
