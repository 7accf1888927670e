// Indicators and trades on a chart that draws a part of its bars: values are those of all bars, and what is drawn ends with them.
import type { IChartApi } from "lightweight-charts";
import { describe, expect, it } from "vitest";
import { MINUTE } from "../src/chart/lengths";
import { TradeLayer } from "../src/chart/trade_layer";
import type { Bar } from "../src/data/types";
import { sma } from "../src/indicators/averages";
import { IndicatorLayer } from "../src/indicators/indicator_layer";
import type { DrawnTrade } from "../src/run/open_trade";
import type { Colors } from "../src/shell/theme";

const M = 60_000;
const bars = (from: number, to: number): Bar[] =>
  Array.from({ length: to - from }, (_, n) => {
    const close = from + n;
    return { ts: close * M, open: close, high: close, low: close, close, volume: 1, closed: true };
  });

interface Point {
  time: number;
  value?: number;
}

/** A chart of one series, and what that has: minutes and values. */
function chart() {
  let data = new Map<number, number | undefined>();
  const late: boolean[] = [];
  const series = {
    applyOptions: () => undefined,
    setData: (all: Point[]) => (data = new Map(all.map(({ time, value }) => [time / 60, value]))),
    update: ({ time, value }: Point, isLate: boolean) => {
      data.set(time / 60, value);
      late.push(isLate);
    },
  };
  return { api: { addSeries: () => series } as unknown as IChartApi, drawn: () => [...data], late };
}

describe("an indicator", () => {
  it("is computed of all bars, and drawn where the chart has bars", () => {
    const { api, drawn, late } = chart();
    const layer = new IndicatorLayer(api, sma(3), 0, 0, 2);
    layer.apply(bars(100, 110), { kind: "all" }, { from: 4, to: 7 });
    expect(drawn()).toEqual([[104, 103], [105, 104], [106, 105]]);
    layer.apply(bars(100, 112), { kind: "tail", from: 9 }, { from: 4, to: 7 }); // out of sight
    expect(drawn().at(-1)).toEqual([106, 105]);
    layer.redraw({ from: 9, to: 12 });
    expect(drawn()).toEqual([[109, 108], [110, 109], [111, 110]]);
    layer.apply(bars(100, 113), { kind: "tail", from: 11 }, { from: 9, to: 13 });
    expect([drawn().at(-1), late]).toEqual([[112, 111], [false, false]]);
    expect(layer.valuesAt(2)).toEqual([["SMA 3", 101]]);
  });

  it("has values of what was its first bar when older ones are there", () => {
    const { api, drawn } = chart();
    const layer = new IndicatorLayer(api, sma(3), 0, 0, 2);
    layer.apply(bars(100, 104), { kind: "all" }, { from: 0, to: 4 });
    expect(drawn()).toEqual([[100, undefined], [101, undefined], [102, 101], [103, 102]]);
    layer.apply(bars(98, 104), { kind: "older", count: 2 }, { from: 2, to: 6 });
    expect(drawn()).toEqual([[100, 99], [101, 100], [102, 101], [103, 102]]);
  });
});

describe("a trade", () => {
  const trade = (entry: number, exit: number | null) =>
    ({ entry_ts: (entry + 1) * M, entry_price: 10, exit_ts: exit === null ? null : (exit + 1) * M, exit_price: exit === null ? null : 30 }) as DrawnTrade;
  const layer = (of: DrawnTrade) => {
    const { api, drawn } = chart();
    return { layer: new TradeLayer(api, of, MINUTE, { accent: "#0000ff" } as Colors), drawn };
  };

  it("is a line that ends with what the chart draws", () => {
    const { layer: of, drawn } = layer(trade(110, 130));
    of.apply(bars(100, 200), { kind: "all" }, { from: 0, to: 100 });
    expect(drawn()).toEqual([[110, 10], [130, 30]]);
    of.redraw({ from: 15, to: 21 });
    expect([drawn(), of.drawnTimes]).toEqual([[[115, 15], [120, 20]], []]);
    of.redraw({ from: 15, to: 60 });
    expect([drawn(), of.drawnTimes]).toEqual([[[115, 15], [130, 30]], [130 * M]]);
    of.redraw({ from: 40, to: 60 });
    expect(drawn()).toEqual([]);
  });

  it("has no line towards an exit that is not yet known", () => {
    const { layer: of, drawn } = layer(trade(110, 130));
    of.apply(bars(100, 120), { kind: "all" }, { from: 0, to: 20 });
    expect(drawn()).toEqual([[110, 10]]);
    of.redraw({ from: 15, to: 20 });
    expect(drawn()).toEqual([]);
  });
});
