// What is missing in the data: holes in words, the axis that all strips share, and how the coverage of many series is loaded.
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Resource } from "../src/data/types";
import {
  type CoveredSeries, holeAddress, holesText, holeText, leadText, missingBars, rowsOf, seriesOf, startOf, storedText, summaryOf,
} from "../src/markets/coverage";
import { axisOf, axisText, axisTicks, breaksOf, cellsOf, columnText, holeIn, kindOf, pathsOf, placeOf, shareOf } from "../src/markets/coverage_axis";
import { CoverageLoads, Gate } from "../src/markets/coverage_load";
import { coveredOf } from "../src/markets/selection";
import type { SeriesCoverage, StoredSymbol } from "../src/markets/types";
import { given, initialValues } from "../src/new/fields";
import { fillAddress } from "../src/new/fill_form";
import { FORMS, manifestOf } from "../src/new/forms";

const [M, H, D] = [60_000, 3_600_000, 86_400_000];
const day = (n: number, bars: number, expected: number) => ({ day: new Date(n * D).toISOString().slice(0, 10), bars, expected });
const coverage = (given: Partial<SeriesCoverage>): SeriesCoverage => ({ days: [], holes: [], next: null, ...given });

function covered(name: string, interval: string, first = 0, last = D): CoveredSeries {
  const symbol: StoredSymbol = { symbol: `x:${name}`, exchange: "x", name, price_step: null, series: [{ interval, first, last }], trades: null, tickers: null };
  return seriesOf([symbol])[0] as CoveredSeries;
}

describe("a series", () => {
  it("says how many holes it has, how long they are together, and the longest", () => {
    const holes = [{ from: 0, to: 30 * M }, { from: H, to: 3 * H }];
    expect(holesText(summaryOf(coverage({ holes })))).toBe("2 holes, 2.5 h in all, the longest 2 h");
    expect(holesText(summaryOf(coverage({ holes: holes.slice(0, 1) })))).toBe("1 hole of 30 min");
    expect(holesText(summaryOf(coverage({})))).toBe("No hole");
  });
  it("says how many bars are missing and stored, also where days are left out", () => {
    expect(storedText(summaryOf(coverage({ days: [day(0, 5, 20)] })))).toBe("15 bars missing, 25.00 % of 20 bars stored");
    expect(storedText(summaryOf(coverage({ days: [day(0, 19, 20)] })))).toBe("1 bar missing, 95.00 % of 20 bars stored");
    expect(storedText(summaryOf(coverage({ days: [day(0, 9, 9)], next: "c" })))).toBe("100.00 % of 9 bars stored; later days are not loaded");
    expect(storedText(summaryOf(coverage({ days: [day(0, 0, 0)] })))).toBe("0 bars stored");
  });
  it("begins with its first bar, or with the first of its last days", () => {
    const series = { interval: "1m", first: 5 * D + H, last: 9 * D - M };
    expect([startOf(series, "all"), startOf(series, "30"), startOf({ ...series, first: 0 }, "365")]).toEqual([5 * D + H, 5 * D + H, 0]);
    expect(startOf({ ...series, first: 0, last: 40 * D - M }, "30")).toBe(10 * D);
  });
});

describe("a hole", () => {
  it.each([
    ["1m", { from: 0, to: 2 * H }, 120],
    ["1m", { from: M, to: M + 30_000 }, 1], // a range that ends within a bar
    ["4h", { from: 4 * H, to: D }, 5],
    ["1w", { from: 4 * D, to: 18 * D }, 2],
    ["1M", { from: Date.UTC(2018, 0), to: Date.UTC(2018, 3) }, 3],
  ])("of %s bars %j lacks %d", (interval, hole, bars) => expect(missingBars(hole, interval, [])).toBe(bars));
  it("of days lacks those that the session expects", () =>
    expect(missingBars({ from: D, to: 5 * D }, "1d", [day(0, 0, 1), day(1, 0, 1), day(2, 0, 0), day(3, 0, 0), day(4, 0, 1), day(5, 0, 1)])).toBe(2));
  it("says from when to when, and how many bars are missing", () => {
    expect(holeText({ from: 9 * H, to: 11 * H }, "1m", [])).toBe("1970-01-01 09:00–11:00, 120 bars missing");
    expect(holeText({ from: 23 * H, to: 25 * H }, "2h", [])).toBe("1970-01-01 23:00–1970-01-02 01:00, 1 bar missing");
  });
  it("opens the chart with forty bars on both sides", () => {
    const query = (interval: string, from: number, to: number) =>
      Object.fromEntries(new URLSearchParams(holeAddress(covered("BTC/USD", interval), { from, to }).slice(2)));
    expect(query("1m", 10 * H, 12 * H)).toEqual({
      symbol: "x:BTC/USD", interval: "1m", from: String(10 * H - 40 * M), to: String(12 * H + 40 * M),
    });
    expect(query("1h", H, 2 * H)["from"]).toBe("0");
  });
  it("that is longer than a chart shows is shown by longer bars that are made of its own", () => {
    const interval = (of: string, days: number) => new URLSearchParams(holeAddress(covered("A", of), { from: 0, to: days * D }).slice(2)).get("interval");
    expect(interval("1s", 1)).toBe("1m");
    expect([interval("1m", 10), interval("1m", 11), interval("1m", 40), interval("2h", 2_000), interval("1d", 20_000)]).toEqual(["1m", "3m", "5m", "4h", "3d"]);
  });
});

describe("the series that are shown", () => {
  const hole = (hours: number) => coverage({ days: [day(0, 1, 2)], holes: [{ from: 0, to: hours * H }] });
  const load = (name: string, value: SeriesCoverage | null, error: string | null = null) => ({ ...covered(name, "1m"), coverage: { value, error } });
  const loads = [load("whole", coverage({})), load("short", hole(1)), load("waiting", null), load("long", hole(5)), load("refused", null, "no")];

  it("have those that lack most first, and the whole ones last", () =>
    expect(rowsOf(loads).map(({ symbol }) => symbol.name)).toEqual(["long", "short", "waiting", "refused", "whole"]));
  it("are told in a sentence", () => {
    expect(leadText(rowsOf(loads))).toBe("2 of 3 series lack bars: 2 holes, 6 h in all; 1 more being loaded");
    expect(leadText(rowsOf(loads.slice(0, 2)))).toBe("1 of 2 series lacks bars: 1 hole, 1 h in all");
    expect(leadText(rowsOf(loads.slice(0, 1)))).toBe("No hole in 1 series");
    expect(leadText(rowsOf(loads.slice(2, 3)))).toBe("Nothing is known yet; 1 more being loaded");
  });
  it("are of all symbols where they are few and none is chosen", () =>
    expect([coveredOf(100, []), coveredOf(101, []), coveredOf(3, ["x:A"])]).toEqual(["all symbols", "chosen symbols", "chosen symbols"]));
});

describe("the axis", () => {
  it("has whole days from the first to the last moment of any series", () => {
    expect(axisOf([{ from: 2 * D + H, to: 4 * D }, { from: 3 * D, to: 5 * D + M }], 366)).toEqual({
      stretches: [{ from: 2 * D, days: 4, at: 0 }], cells: 4, each: 1, gap: 0,
    });
    expect(axisOf([], 366)).toEqual({ stretches: [{ from: 0, days: 1, at: 0 }], cells: 1, each: 1, gap: 0 });
  });
  it("has several days in a cell where there is no room for each, and says so", () => {
    const axis = axisOf([{ from: 0, to: 1_000 * D }], 366);
    expect([axis, axisText(axis)]).toEqual([{ stretches: [{ from: 0, days: 1_000, at: 0 }], cells: 334, each: 3, gap: 0 }, "1970-01-01 to 1972-09-26; a cell is 3 days"]);
    expect(axisText(axisOf([{ from: D, to: 3 * D }], 366))).toBe("1970-01-02 to 1970-01-03; a cell is a day");
  });
  it("has dates, as many as there is room for, and that of its begin", () => {
    const texts = (days: number, most: number) => axisTicks(axisOf([{ from: 0, to: days * D }], 366), most).map(({ text }) => text);
    expect(texts(3, 10)).toEqual(["1970-01-01", "1970-01-02", "1970-01-03"]);
    expect(texts(12, 3)).toEqual(["1970-01-01", "1970-01-06", "1970-01-11"]);
    expect(texts(20_000, 3)).toHaveLength(3);
    expect(axisTicks(axisOf([{ from: 0, to: 732 * D }], 366), 3)[1]).toEqual({ place: 182.5, text: "1971-01-01" });
  });
  it("leaves out long stretches in which no series has a bar, with a break that says its days", () => {
    const T = Date.UTC(2024, 2, 1);
    const axis = axisOf([{ from: 0, to: 3 * D }, { from: D, to: 2 * D }, { from: T + H, to: T + 4 * D }], 366);
    expect(axis).toEqual({ stretches: [{ from: 0, days: 3, at: 0 }, { from: T, days: 4, at: 4 }], cells: 8, each: 1, gap: 1 });
    const left = "1970-01-04 to 2024-02-29 left out: no series has a bar";
    expect(axisText(axis)).toBe(`1970-01-01 to 2024-03-04; a cell is a day; ${left}`);
    expect(breaksOf(axis)).toEqual([{ at: 3, text: left }]);
    expect([0, 2.5 * D, 9 * D, T, T + 3 * D].map((ts) => placeOf(ts, axis))).toEqual([0, 2.5, 3, 4, 7]);
    expect([2, 3, 4].map((at) => columnText(null, at, axis))).toEqual(["1970-01-03: not of the series", left, "2024-03-01: not of the series"]);
    expect(axisTicks(axis, 8).map(({ place }) => place)).toEqual([0, 1, 2, 4, 5, 6, 7]);
    expect(axisTicks(axis, 2).map(({ place, text }) => [place, text])).toEqual([[0, "1970-01-01"], [4, "2024-03-01"]]);
    expect(axisTicks(axis, 4).map(({ place }) => place)).toEqual([0, 4, 6]); // one at 2 would go across the break at 3
    const days = [day(2, 1, 2), { day: "2024-03-02", bars: 3, expected: 3 }];
    expect(cellsOf(days, axis).flatMap((cell, at) => (cell === null ? [] : at))).toEqual([2, 5]);
  });
  it("has short ones, and those that are short beside the days with bars", () => {
    const parts = (years: number, gap: number) => axisOf([{ from: 0, to: years * 365 * D }, { from: (years * 365 + gap) * D, to: (years * 365 + gap + 5) * D }], 366).stretches.length;
    expect([parts(1, 30), parts(1, 40), parts(2, 40), parts(10, 300), parts(10, 400)]).toEqual([1, 2, 1, 1, 2]);
  });
  it("has room for its breaks among the most cells", () => {
    const ranges = Array.from({ length: 5 }, (_, n) => ({ from: n * 2_000 * D, to: (n * 2_000 + 400) * D }));
    const axis = axisOf(ranges, 366);
    expect([axis.stretches.length, axis.each, axis.cells <= 366]).toEqual([5, 7, true]);
  });
  it("has a hole of one series above that of another", () => {
    const axis = axisOf([{ from: 0, to: 10 * D }, { from: 6 * D, to: 9 * D }], 366);
    const lacks = (days: ReturnType<typeof day>[]) => cellsOf(days, axis).flatMap((cell, at) => (kindOf(cell) === "missing" ? at : []));
    const long = Array.from({ length: 10 }, (_, n) => day(n, n === 7 ? 0 : 10, 10));
    expect([lacks(long), lacks([day(6, 10, 10), day(7, 0, 10), day(8, 10, 10)])]).toEqual([[7], [7]]);
  });
});

describe("a strip", () => {
  const axis = { stretches: [{ from: 0, days: 5, at: 0 }], cells: 5, each: 1, gap: 0 };
  const days = [day(0, 10, 10), day(1, 10, 10), day(2, 5, 10), day(3, 0, 0)];
  it("has a cell for each day, and none where the series has none", () => {
    expect(cellsOf(days, axis).map(kindOf)).toEqual(["whole", "whole", "part", "closed", "none"]);
    const two = { stretches: [{ from: 0, days: 4, at: 0 }], cells: 2, each: 2, gap: 0 };
    expect(cellsOf(days, two)).toEqual([{ bars: 20, expected: 20 }, { bars: 5, expected: 10 }]);
    expect(cellsOf(days, two).map((cell) => cell && shareOf(cell))).toEqual([1, 0.5]);
  });
  it("says what is in a cell", () => {
    expect(cellsOf(days, axis).map((cell, at) => columnText(cell, at, axis))).toEqual([
      "1970-01-01: 10 of 10 bars", "1970-01-02: 10 of 10 bars", "1970-01-03: 5 of 10 bars", "1970-01-04: closed", "1970-01-05: not of the series",
    ]);
    expect(columnText({ bars: 5, expected: 10 }, 1, { ...axis, each: 2 })).toBe("1970-01-03 to 1970-01-04: 5 of 10 bars");
  });
  it("draws holes where they are while a cell is wide, and else the share of each cell", () => {
    const holes = [{ from: 2 * D, to: 2.5 * D }];
    const near = pathsOf(cellsOf(days, axis), holes, axis);
    expect(near).toEqual({ closed: "M3 1h1v-1h-1z", missing: "", stored: "M0 1h2v-1h-2zM2 1h1v-1h-1z", holes: "M2 1h0.5v-1h-0.5z" });
    const far = { ...axis, each: 1, cells: 100 };
    expect(pathsOf(cellsOf(days, far), holes, far)).toEqual({
      closed: "M3 1h1v-1h-1z", missing: "M2 1h1v-1h-1z", stored: "M0 1h2v-1h-2zM2 1h1v-0.5h-1z", holes: "",
    });
  });
  it("shows a cell and a hole that lack one bar of many", () => {
    const far = { stretches: [{ from: 0, days: 100, at: 0 }], cells: 100, each: 1, gap: 0 };
    expect(pathsOf(cellsOf([day(0, 1_439, 1_440)], far), [], far).stored).toBe("M0 1h1v-0.8h-1z");
    expect(pathsOf([], [{ from: D, to: D + M }], { ...axis, cells: 4 }).holes).toBe("M1 1h0.01v-1h-0.01z");
  });
  it("opens the longest hole of a cell", () => {
    const holes = [{ from: D, to: D + H }, { from: 1.5 * D, to: 2.2 * D }, { from: 4 * D, to: 5 * D }];
    expect([holeIn(holes, 0, axis), holeIn(holes, 1, axis), holeIn(holes, 2, axis), holeIn(holes, 3, axis)]).toEqual([undefined, holes[1], holes[1], undefined]);
    expect(placeOf(3 * D, { ...axis, each: 2 })).toBe(1.5);
  });
  it("of a year with a hole a day has as many paths as one of a day", () => {
    const year = { stretches: [{ from: 0, days: 365, at: 0 }], cells: 365, each: 1, gap: 0 };
    const paths = pathsOf(cellsOf(Array.from({ length: 365 }, (_, n) => day(n, 7, 10)), year), [], year);
    expect(paths.stored.split("M")).toHaveLength(366);
  });
});

describe("what is missing", () => {
  const lacked = { exchange: "binance", symbol: "BTC/USDT", interval: "1h", from: Date.UTC(2018, 3, 4, 9), to: Date.UTC(2018, 3, 6) };
  const feed = (name: string) => ({ metadata: { name, namespace: "default" } }) as Resource;
  const query = (feeds: Resource[]) => new URLSearchParams(fillAddress(lacked, feeds).split("?")[1]);
  it("fills the form of a Feed of its history alone", () => {
    const values = { ...initialValues(FORMS.feed), ...given(FORMS.feed, query([])) };
    expect(manifestOf("feed", FORMS.feed, values, [])).toEqual({
      apiVersion: "tapedeck.dev/v1alpha1", kind: "Feed", metadata: { name: "fill-binance-btc-usdt-1h" },
      spec: {
        exchange: "binance", symbols: ["BTC/USDT"], intervals: ["1h"],
        backfill: { from: "2018-04-04T09:00:00Z", to: "2018-04-06T00:00:00Z", only: true },
      },
    });
  });
  it("has a name that no Feed has", () => expect(query([feed("fill-binance-btc-usdt-1h")]).get("name")).toBe("fill-binance-btc-usdt-1h-2"));
});

describe("loading", () => {
  afterEach(() => vi.useRealTimers());
  it("has no more than four requests under way, and begins none when nobody looks any more", async () => {
    vi.useFakeTimers();
    const asked: number[] = [];
    const answers: (() => void)[] = [];
    const loads = new CoverageLoads(1_000, (at) => {
      asked.push(at);
      return new Promise((resolve) => answers.push(() => resolve(coverage({ days: [day(at, 1, 1)] }))));
    });
    const end = loads.watch();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(asked).toEqual([0, 1, 2, 3]);
    answers[1]?.();
    await vi.advanceTimersByTimeAsync(1_000);
    expect([asked, loads.found.value.filter(({ value }) => value !== null).length, loads.found.value[1]?.value?.days]).toEqual([[0, 1, 2, 3, 4], 1, [day(1, 1, 1)]]);
    end();
    for (const answer of answers) answer();
    await vi.advanceTimersByTimeAsync(300_000);
    expect(asked).toHaveLength(5);
  });
  it("draws what arrives together once", async () => {
    vi.useFakeTimers();
    const loads = new CoverageLoads(100, (at) => Promise.resolve(coverage({ days: [day(at, 1, 1)] })));
    let drawn = 0;
    loads.found.subscribe(() => (drawn += 1));
    const end = loads.watch();
    await vi.advanceTimersByTimeAsync(1_000);
    expect([drawn, loads.found.value.every(({ value }) => value !== null)]).toEqual([2, true]); // at first, and with all
    end();
  });
  it("goes on after work that failed", async () => {
    const gate = new Gate(1);
    const failed = gate.pass(() => Promise.reject(new Error("no")));
    const next = gate.pass(() => Promise.resolve(7));
    await expect(failed).rejects.toThrow("no");
    expect(await next).toBe(7);
  });
});
