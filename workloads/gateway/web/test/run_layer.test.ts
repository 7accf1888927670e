// What is drawn of a run, over a chart that only keeps what it is given: nothing right of the last bar.
import type { IChartApi, ISeriesApi } from "lightweight-charts";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { MINUTE } from "../src/chart/lengths";
import { RunLayer } from "../src/chart/run_layer";
import type { Bar, EquityPoint, Fill } from "../src/data/types";
import type { Colors } from "../src/shell/theme";

const { markers } = vi.hoisted(() => ({ markers: { set: [] as { time: number }[] } }));
vi.mock("lightweight-charts", () => ({
  BaselineSeries: "Baseline",
  CandlestickSeries: "Candlestick",
  createSeriesMarkers: () => ({
    setMarkers: (all: { time: number }[]) => (markers.set = all),
    markers: () => markers.set,
    detach: () => undefined,
  }),
}));

const M = 60_000;
const bar = (n: number): Bar => ({ ts: n * M, open: 1, high: 1, low: 1, close: 1, volume: 1, closed: true });
const bars = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => bar(from + n));
/** A point at the close of a bar. */
const point = (n: number, value = n): EquityPoint => [n, (n + 1) * M, value, 0, null, null, null];
const fill = (seq: number, n: number): Fill => ({ seq, symbol: "BTC/USD", ts: (n + 1) * M, side: "buy", size: 1, price: 1 });

interface Drawn {
  data: Map<number, unknown>;
}
let drawn: Drawn[] = [];

function layer(): RunLayer {
  drawn = [];
  const addSeries = () => {
    const series: Drawn = { data: new Map() };
    drawn.push(series);
    return {
      applyOptions: () => undefined,
      setData: (all: { time: number }[]) => (series.data = new Map(all.map((each) => [each.time, each]))),
      update: (each: { time: number }) => series.data.set(each.time, each),
    };
  };
  const colors = { up: "#00ff00", down: "#ff0000", accent: "#0000ff" } as Colors;
  const chart = { addSeries, removeSeries: () => undefined } as unknown as IChartApi;
  return new RunLayer(chart, {} as ISeriesApi<"Candlestick">, MINUTE, "x:BTC/USD", 1, colors);
}

const times = () => drawn.map(({ data }) => [...data.keys()].map((seconds) => seconds / 60));

beforeEach(() => void (markers.set = []));

describe("the equity of a run", () => {
  it("ends at the last bar, and follows it", () => {
    const of = layer();
    of.apply(bars(0, 3), { kind: "all" }, { from: 0, to: 3 });
    of.show({ cash: 0, exchange: "x", fills: [], equity: [0, 1, 2, 3, 4].map((n) => point(n)) });
    expect(times()).toEqual([[0, 1, 2], [0, 1, 2]]);
    of.apply(bars(0, 5), { kind: "tail", from: 3 }, { from: 0, to: 5 });
    expect(times()).toEqual([[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]);
  });

  it("is taken back with the bars", () => {
    const of = layer();
    of.apply(bars(0, 5), { kind: "all" }, { from: 0, to: 5 });
    of.show({ cash: 0, exchange: "x", fills: [fill(0, 4)], equity: [0, 1, 2, 3, 4].map((n) => point(n)) });
    expect(of.markerTimes).toEqual([4 * M]);
    of.apply(bars(0, 2), { kind: "all" }, { from: 0, to: 2 });
    expect(times()).toEqual([[0, 1], [0, 1]]);
    expect(of.markerTimes).toEqual([]);
  });

  it("and its fills are at the bar before, where a time has none", () => {
    const of = layer();
    const withHole = [...bars(0, 3), ...bars(6, 8)];
    of.apply(withHole, { kind: "all" }, { from: 0, to: 5 });
    const equity = [0, 1, 2, 3, 4, 5, 6, 7, 8].map((n) => point(n, 10 - n));
    of.show({ cash: 0, exchange: "x", fills: [fill(0, 1), fill(1, 4), fill(2, 6), fill(3, 8)], equity });
    expect([times()[0], of.markerTimes]).toEqual([[0, 1, 2, 6, 7], [1 * M, 2 * M, 6 * M]]);
    expect(of.equity.get(2 * M)).toEqual({ low: 5, high: 8, last: 5 });
    of.apply([...withHole, bar(10)], { kind: "tail", from: 5 }, { from: 0, to: 6 });
    expect([times()[0], of.markerTimes]).toEqual([[0, 1, 2, 6, 7], [1 * M, 2 * M, 6 * M, 7 * M]]);
    expect(of.equity.get(7 * M)).toEqual({ low: 2, high: 3, last: 2 });
  });

  it("is that of the bars that the chart draws", () => {
    const of = layer();
    of.apply(bars(0, 9), { kind: "all" }, { from: 2, to: 5 });
    const numbers = [0, 1, 2, 3, 4, 5, 6, 7, 8];
    of.show({ cash: 0, exchange: "x", fills: [fill(0, 1), fill(1, 3), fill(2, 7)], equity: numbers.map((n) => point(n)) });
    expect([times()[0], of.markerTimes]).toEqual([[2, 3, 4], [3 * M]]);
    of.redraw({ from: 6, to: 9 });
    expect([times()[0], of.markerTimes]).toEqual([[6, 7, 8], [7 * M]]);
    of.apply(bars(-3, 9), { kind: "older", count: 3 }, { from: 9, to: 12 });
    expect([times()[0], of.markerTimes]).toEqual([[6, 7, 8], [7 * M]]);
  });

  it("of another run takes its place", () => {
    const of = layer();
    of.apply(bars(0, 3), { kind: "all" }, { from: 0, to: 3 });
    of.show({ cash: 0, exchange: "x", fills: [], equity: [point(0), point(1), point(2)] });
    of.show({ cash: 0, exchange: "x", fills: [], equity: [point(1, 7)] });
    expect(times()).toEqual([[1], [1]]);
    expect([...of.equity]).toEqual([[M, { low: 7, high: 7, last: 7 }]]);
  });

  it("has the range of a bar with several points", () => {
    const of = layer();
    of.apply(bars(0, 2), { kind: "all" }, { from: 0, to: 2 });
    const within = (seq: number, value: number): EquityPoint => [seq, M - seq - 1, value, 0, null, null, null];
    of.show({ cash: 0, exchange: "x", fills: [], equity: [within(0, 5), within(1, 1), within(2, 3)] });
    expect([...of.equity]).toEqual([[0, { low: 1, high: 5, last: 3 }]]);
  });
});

describe("fills", () => {
  it("are at their bars, those of the symbol alone, and none before the first bar", () => {
    const of = layer();
    of.apply(bars(2, 6), { kind: "all" }, { from: 0, to: 4 });
    const fills = [fill(0, 1), fill(1, 3), { ...fill(2, 4), symbol: "ETH/USD" }, fill(3, 5), fill(4, 9)];
    of.show({ cash: 0, exchange: "x", fills, equity: [] });
    expect(of.markerTimes).toEqual([3 * M, 5 * M]);
    of.apply(bars(2, 10), { kind: "tail", from: 6 }, { from: 0, to: 8 });
    expect(of.markerTimes).toEqual([3 * M, 5 * M, 9 * M]);
    of.show({ cash: 0, exchange: "y", fills, equity: [] }); // of a run on another exchange
    expect(of.markerTimes).toEqual([]);
  });
});
