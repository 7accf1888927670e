// @vitest-environment happy-dom
// Which bars a chart gives the library, and that what is in sight stays there. The library here keeps what it is given, has one
// place for each time of any series, and counts its position from the last one as the real one does: it takes a position with its
// next frame.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { BarChange } from "../src/chart/bar_series";
import { isOutgrown, SIDE_BARS, windowAround } from "../src/chart/bar_window";
import { MINUTE } from "../src/chart/lengths";
import type { PriceChart as Chart } from "../src/chart/price_chart";
import type { Bar, EquityPoint } from "../src/data/types";
import type { DrawnTrade } from "../src/run/open_trade";
import type { Colors } from "../src/shell/theme";

vi.setConfig({ testTimeout: 60_000 }); // for a busy machine
const M = 60_000;
const SCREEN = 100; // bars
const bars = (from: number, to: number): Bar[] =>
  Array.from({ length: to - from }, (_, n) => ({ ts: (from + n) * M, open: n, high: n, low: n, close: n, volume: 1, closed: true }));

interface Point {
  time: number;
}

let frames: (() => void)[] = [];
const frame = () => frames.splice(0).forEach((run) => run());

const library = {
  position: 0,
  series: [] as Point[][],
  places: new Map<number, number>(), // the times of all series, and how many of them have each
  sorted: null as number[] | null, // the same times in their order, until there are others
  given: 0, // points by setData
  options: {} as Record<string, unknown>, // of the candles
  lines: [] as { price: number }[],
  moved: () => undefined as void,
  reset() {
    [this.position, this.series, this.given, this.lines] = [0, [], 0, []];
    this.places.clear();
    this.sorted = null;
  },
  count(time: number, more: 1 | -1) {
    const count = (this.places.get(time) ?? 0) + more;
    if (count === 0) this.places.delete(time);
    else this.places.set(time, count);
    if (count === 0 || count === more) this.sorted = null;
  },
  /** The times that have a place, in minutes. */
  get minutes(): number[] {
    return (this.sorted ??= [...this.places.keys()].sort((one, other) => one - other).map((time) => time / 60));
  },
  /** The times in sight, in minutes. */
  inSight(): number[] {
    const end = this.places.size + Math.floor(this.position);
    return this.minutes.slice(Math.max(0, end - SCREEN), Math.max(0, end));
  },
  /** Two bars stay in sight, as with the real one. */
  pan(count: number) {
    this.position = Math.min(SCREEN - 2, Math.max(2 - this.places.size, this.position + count));
    this.moved();
  },
};

function addSeries() {
  const number = library.series.push([]) - 1;
  /** Times that come at the right of what is in sight do not move it. */
  const grow = (count: number) => {
    if (count > 0 && library.position <= -1) library.position -= count;
    library.moved();
  };
  return {
    applyOptions: (options: object) => number === 0 && Object.assign(library.options, options),
    createPriceLine: (options: { price: number }) => {
      const line = { ...options, applyOptions: (changed: object) => Object.assign(line, changed) };
      library.lines.push(line);
      return line;
    },
    removePriceLine: () => (library.lines = []),
    priceScale: () => ({ applyOptions: () => undefined }),
    setData: (data: Point[]) => {
      const [before, [first]] = [library.places.size, library.minutes];
      for (const { time } of library.series[number] ?? []) library.count(time, -1);
      for (const { time } of data) library.count(time, 1);
      library.given += data.length;
      library.series[number] = [...data];
      grow(first !== undefined && (library.minutes[0] ?? 0) >= first ? library.places.size - before : 0);
    },
    update: (point: Point) => {
      const data = library.series[number] ?? [];
      const isNew = data.at(-1)?.time !== point.time;
      const before = library.places.size;
      data[isNew ? data.length : data.length - 1] = point;
      if (isNew) library.count(point.time, 1);
      library.series[number] = data;
      grow(library.places.size - before);
    },
  };
}

const timeScale = {
  subscribeVisibleLogicalRangeChange: (handler: (range: object) => void) => (library.moved = () => handler({})),
  scrollPosition: () => library.position,
  scrollToPosition: (position: number) =>
    frames.push(() => {
      library.position = position;
      library.moved();
    }),
  setVisibleRange: vi.fn(),
  logicalToCoordinate: (logical: number) => logical * 6,
  width: () => SCREEN * 6,
  options: () => ({ barSpacing: 6 }),
};

vi.mock("lightweight-charts", () => ({
  BaselineSeries: "Baseline",
  CandlestickSeries: "Candlestick",
  HistogramSeries: "Histogram",
  LineSeries: "Line",
  createSeriesMarkers: () => ({ setMarkers: () => undefined, markers: () => [], detach: () => undefined }),
  ColorType: {},
  CrosshairMode: {},
  LineStyle: {},
  PriceScaleMode: {},
  createChart: () => ({
    applyOptions: () => undefined,
    addSeries,
    removeSeries: () => undefined,
    timeScale: () => timeScale,
    subscribeCrosshairMove: () => undefined,
    subscribeClick: () => undefined,
    remove: () => undefined,
  }),
}));

let chart: Chart;
let place: HTMLElement;
let asked = 0;

beforeEach(async () => {
  frames = [];
  library.reset();
  vi.stubGlobal("requestAnimationFrame", (run: () => void) => frames.push(run));
  vi.stubGlobal("cancelAnimationFrame", (number: number) => (frames[number - 1] = () => undefined));
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
    expect(timeScale.setVisibleRange).toHaveBeenLastCalledWith({ from: 990 * 60, to: 1_110 * 60 });
    expect(chart.sight?.to).toBe(1_110 * M);
    const times = library.series[0]?.map(({ time }) => time / 60) ?? [];
    expect(times).toContain(990);
    expect(chart.coordinateOf(2_000 * M)).toBe(6 * times.indexOf(2_000));
    expect(chart.coordinateOf(40_000 * M)).toBe(6 * (40_000 - (times[0] ?? 0)));
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
