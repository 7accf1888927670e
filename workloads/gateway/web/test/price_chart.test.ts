// @vitest-environment happy-dom
// Which bars a chart gives the library, and that what is in sight stays there.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { BarChange } from "../src/chart/bar_series";
import { isOutgrown, SIDE_BARS, windowAround } from "../src/chart/bar_window";
import { MINUTE } from "../src/chart/lengths";
import type { PriceChart as Chart } from "../src/chart/price_chart";
import type { Bar, EquityPoint } from "../src/data/types";
import type { DrawnTrade } from "../src/run/open_trade";
import type { Colors } from "../src/shell/theme";
import { cancelFrame, frame, library, requestFrame, SCREEN } from "./frame_library";

vi.setConfig({ testTimeout: 60_000 }); // for a busy machine
const M = 60_000;
const bars = (from: number, to: number): Bar[] =>
  Array.from({ length: to - from }, (_, n) => ({ ts: (from + n) * M, open: n, high: n, low: n, close: n, volume: 1, closed: true }));

vi.mock("lightweight-charts", async () => (await import("./frame_library")).frameLibrary);

let chart: Chart;
let place: HTMLElement;
let asked = 0;

beforeEach(async () => {
  library.reset();
  vi.stubGlobal("requestAnimationFrame", requestFrame);
  vi.stubGlobal("cancelAnimationFrame", cancelFrame);
  const { PriceChart } = await import("../src/chart/price_chart");
  place = document.createElement("div");
  const colors = { up: "#00ff00", down: "#ff0000", accent: "#0000ff", muted: "#888888" } as Colors;
  asked = 0;
  chart = new PriceChart(place, colors, "UTC", {
    onNeedOlder: () => (asked += 1),
    onCrosshair: () => undefined,
    onShiftClick: () => undefined,
  });
});
afterEach(() => {
  chart.dispose();
  vi.unstubAllGlobals();
});

/** Pan by so many bars, no more than a screen at once. */
function pan(count: number) {
  for (let left = Math.abs(count); left > 0; left -= SCREEN) {
    library.pan(Math.sign(count) * Math.min(left, SCREEN));
    frame();
    frame();
  }
}

function apply(all: Bar[], change: BarChange = { kind: "all" }) {
  chart.apply(all, change);
  frame();
  frame();
}
const ends = (numbers: number[]) => [numbers[0], numbers.at(-1)];

describe("a chart of very many bars", () => {
  it("gives the library those around what is in sight, and all of them can be panned to", () => {
    const all = bars(0, 100_000);
    apply(all);
    library.pan(-library.position);
    expect(ends(library.inSight())).toEqual([99_900, 99_999]);
    const seen = new Set(library.inSight());
    for (let end = 99_999 - 90; end >= 99; end -= 90) {
      pan(-90);
      expect(ends(library.inSight())).toEqual([end - 99, end]); // it has not jumped
      for (const each of library.inSight()) seen.add(each);
      expect(library.series.every((data) => data.length <= 2 * SIDE_BARS + 2 * SCREEN)).toBe(true);
    }
    pan(-(library.inSight()[0] ?? 0));
    for (const each of library.inSight()) seen.add(each);
    expect(seen.size).toBe(100_000);
    expect(place.dataset["sightFirst"]).toBe("0");
    pan(99_900);
    expect(library.inSight().at(-1)).toBe(99_999);
  });

  it("does not draw older ones that are far from what is in sight, but those that are near", () => {
    apply(bars(50_000, 60_000));
    const { given } = library;
    const before = library.inSight();
    apply(bars(45_000, 60_000), { kind: "older", count: 5_000 });
    expect([library.given, library.inSight()]).toEqual([given, before]);
    pan(-14_000);
    const [first] = library.inSight() as [number];
    expect(first).toBeLessThan(46_000);
    apply(bars(40_000, 60_000), { kind: "older", count: 5_000 });
    expect(library.inSight()[0]).toBe(first);
    expect((library.series[0]?.[0]?.time ?? 0) / 60).toBeLessThan(first - SIDE_BARS / 2);
  });

  it("stays where it is while others are pushed, and follows them at the end", () => {
    const all = bars(0, 20_000);
    apply(all);
    pan(-12_000);
    const before = library.inSight();
    apply(bars(0, 20_050), { kind: "tail", from: 20_000 });
    expect(library.inSight()).toEqual(before);
    expect(library.series[0]?.some(({ time }) => time >= 20_000 * 60)).toBe(false);
    expect([library.options["lastValueVisible"], library.lines.map(({ price }) => price)]).toEqual([false, [20_049]]);
    apply(bars(0, 20_100)); // a revision
    expect(library.inSight()).toEqual(before);
    pan(12_100);
    expect([library.options["lastValueVisible"], library.lines]).toEqual([true, []]);
    expect(library.inSight().at(-1)).toBe(20_099);
    library.pan(-library.position);
    const more = bars(0, 40_000);
    for (let end = 20_200; end <= 40_000; end += 100) apply(more.slice(0, end), { kind: "tail", from: end - 100 });
    expect(ends(library.inSight())).toEqual([39_900, 39_999]);
    expect(library.series[0]?.length).toBeLessThan(5 * SIDE_BARS);
  });

  it("goes to the newest bar from far away and from near it, and follows those that come", () => {
    apply(bars(0, 20_000));
    for (const back of [12_000, 300]) {
      pan(-back);
      expect(chart.isFollowing).toBe(false);
      chart.showNewest();
      frame();
      frame();
      expect([library.inSight().at(-1), chart.isFollowing]).toEqual([19_999, true]);
    }
    apply(bars(0, 20_001), { kind: "tail", from: 20_000 });
    expect(library.inSight().at(-1)).toBe(20_000);
  });

  it("draws nothing later than a replay's position after it has gone back", () => {
    apply(bars(0, 30_000));
    const room = library.position;
    apply(bars(0, 29_000)); // a step back
    expect([library.inSight().at(-1), library.position]).toEqual([28_999, room]);
    pan(-5_000);
    apply(bars(0, 10_000));
    expect(library.series.map((data) => (data.at(-1)?.time ?? 0) / 60)).toEqual([9_999, 9_999]);
    apply([]);
    expect(library.series).toEqual([[], []]);
    expect([place.dataset["sightFirst"], place.dataset["sightLast"]]).toEqual(["", ""]);
    apply(bars(0, 10));
    expect(library.series[0]).toHaveLength(10);
  });

  it("that is held grows towards older bars, and keeps its last bar until it is let go", async () => {
    apply(bars(0, 40_000));
    place.dispatchEvent(new MouseEvent("mousedown", { button: 0 }));
    pan(-15_000);
    expect(library.series[0]?.at(-1)?.time).toBe(39_999 * 60);
    const held = library.inSight();
    window.dispatchEvent(new MouseEvent("mouseup", { button: 0 }));
    await new Promise((resolve) => setTimeout(resolve, 5));
    frame();
    frame();
    expect(library.inSight()).toEqual(held);
    expect(library.series[0]?.at(-1)?.time).toBeLessThan(39_999 * 60);
  });

  it("asks for older ones at the first bar alone", () => {
    apply(bars(0, 20_000));
    expect(asked).toBe(0);
    pan(-19_700);
    expect(asked).toBe(0);
    pan(-200);
    expect(asked).toBeGreaterThan(0);
  });

  it("brings a time into sight that is far from what it draws, and tells where each bar is", () => {
    apply(bars(0, 50_000));
    chart.showRange(1_000 * M, 1_100 * M, 10 * M);
    expect(chart.sight?.to).toBe(1_110 * M);
    frame();
    expect(ends(library.inSight())).toEqual([990, 1_110]);
    expect(chart.sight).toEqual({ from: 990 * M, to: 1_110 * M });
    const times = library.series[0]?.map(({ time }) => time / 60) ?? [];
    expect(times).toContain(990);
    expect(chart.coordinateOf(2_000 * M)).toBe(6 * times.indexOf(2_000));
    expect(chart.coordinateOf(40_000 * M)).toBe(6 * (40_000 - (times[0] ?? 0)));
  });
});

describe("a range that is brought into sight", () => {
  const orders = <T>(of: readonly T[]): T[][] =>
    of.length === 0 ? [[]] : of.flatMap((each) => orders(of.filter((other) => other !== each)).map((rest) => [each, ...rest]));

  it("stays there with bars at the end, older ones and all of them again, in every order and before its frame and after", () => {
    for (const order of orders(["range", "tail", "older", "all", "frame"] as const)) {
      let [from, to] = [100, 300];
      library.reset();
      chart.begin(MINUTE, 2);
      apply(bars(from, to));
      const more = (before: number, after: number) => bars((from -= before), (to += after));
      for (const step of order) {
        if (step === "range") chart.showRange(150 * M, 250 * M, 0);
        else if (step === "tail") chart.apply(more(0, 1), { kind: "tail", from: to - from - 1 });
        else if (step === "older") chart.apply(more(20, 0), { kind: "older", count: 20 });
        else if (step === "all") chart.apply(more(20, 1), { kind: "all" });
        else frame();
      }
      for (let n = 0; n < 3; n += 1) frame();
      const shown = chart.sight;
      const seen = [...ends(library.inSight()), (shown?.from ?? 0) / M, (shown?.to ?? 0) / M];
      expect([...order, ...seen]).toEqual([...order, 150, 250, 150, 250]);
    }
  });
});

describe("a chart of bars with holes", () => {
  const isBar = (minute: number) => minute % 10 < 7;
  const all = bars(0, 20_000).filter((_, minute) => isBar(minute));
  const colors = { up: "#00ff00", down: "#ff0000", accent: "#0000ff" } as Colors;
  const closeOf = (minute: number) => (minute + 1) * M;

  it("counts by bars, also with the equity of a run that went on meanwhile", async () => {
    const { RunLayer } = await import("../src/chart/run_layer");
    apply(all.slice(0, -7));
    const run = new RunLayer(chart.api, chart.candles, MINUTE, "x:A", 1, colors);
    chart.add(run);
    const equity = bars(0, 20_000).map(({ ts }, seq): EquityPoint => [seq, ts + M, seq, 0, null, null, null]);
    run.show({ cash: 0, exchange: "x", fills: [], equity });
    apply(all, { kind: "tail", from: all.length - 7 });
    const drawn = all.slice(-(library.series[0]?.length ?? 0));
    expect(library.minutes).toEqual(drawn.map(({ ts }) => ts / M));
    expect(chart.coordinateOf(19_000 * M)).toBe(6 * library.minutes.indexOf(19_000));
    expect(run.equity.get(19_986 * M)).toEqual({ low: 19_986, high: 19_989, last: 19_989 });
    expect(run.equity.get(19_996 * M)).toEqual({ low: 19_996, high: 19_996, last: 19_996 }); // later ones wait for their bars
    pan(-5_000);
    expect(library.minutes.every(isBar)).toBe(true);
    const [first, last] = ends(library.inSight());
    expect(chart.sight).toEqual({ from: (first ?? 0) * M, to: (last ?? 0) * M });
  });

  it("has a trade at the bars before its ends, and one end of a trade within one bar", async () => {
    const { TradeLayer } = await import("../src/chart/trade_layer");
    apply(all);
    const drawn = (entry: number, exit: number) => {
      const times = { entry_ts: closeOf(entry), exit_ts: closeOf(exit) };
      const layer = new TradeLayer(chart.api, { ...times, entry_price: 1, exit_price: 2 } as DrawnTrade, MINUTE, colors);
      chart.add(layer);
      return layer.drawnTimes.map((ts) => ts / M);
    };
    expect([drawn(19_008, 19_049), drawn(19_008, 19_009), drawn(19_007, 19_010)]).toEqual([[19_006, 19_046], [19_006], [19_006, 19_010]]);
    expect(library.minutes.every(isBar)).toBe(true);
  });
});

describe("the window", () => {
  it("has room on both sides of what is in sight, within the bars", () => {
    expect(windowAround({ from: 50_000, to: 50_100 }, 100_000)).toEqual({ from: 46_000, to: 54_100 });
    expect(windowAround({ from: -60, to: 40 }, 100_000)).toEqual({ from: 0, to: 4_040 });
    expect(windowAround({ from: 99_000, to: 102_000 }, 100_000)).toEqual({ from: 93_000, to: 100_000 });
    expect(windowAround({ from: 5_000, to: 5_100 }, 10)).toEqual({ from: 0, to: 10 });
    expect(windowAround({ from: -5_000, to: -4_900 }, 10_000).to).toBeGreaterThan(1);
  });
  it("is outgrown near an end that is none of the bars, and where it has become far too large", () => {
    const sight = { from: 50_000, to: 50_100 };
    expect(isOutgrown({ from: 46_000, to: 54_100 }, sight, 100_000)).toBe(false);
    expect(isOutgrown({ from: 48_500, to: 54_100 }, sight, 100_000)).toBe(true);
    expect(isOutgrown({ from: 46_000, to: 51_000 }, sight, 100_000)).toBe(true);
    expect(isOutgrown({ from: 46_000, to: 51_000 }, sight, 51_000)).toBe(false);
    expect(isOutgrown({ from: 0, to: 60_000 }, sight, 60_000)).toBe(true);
  });
});
