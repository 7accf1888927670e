// @vitest-environment happy-dom
// Drawings that are kept, that several charts and tabs change, and where they are drawn: nothing right of the last bar.
import { signal } from "@preact/signals";
import { beforeEach, describe, expect, it } from "vitest";
import type { ChartModel } from "../src/chart/chart_model";
import type { Bar } from "../src/data/types";
import { DrawingLayer } from "../src/drawings/drawing_layer";
import { type Drawing, DrawingBook, drawingBook, durationText, measureText } from "../src/drawings/drawings";

const M = 60_000;
const KEY = "tapedeck.drawings";
const LINE: Drawing = { kind: "line", points: [{ ts: 1, price: 2 }, { ts: 3, price: 4 }] };
const LEVEL: Drawing = { kind: "level", points: [{ ts: 1, price: 9 }] };

describe("drawings", () => {
  const kept = new Map<string, string>();
  const store = { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => void kept.set(key, value) };
  beforeEach(() => kept.clear());

  it("are kept for each market", () => {
    const book = new DrawingBook(() => store);
    book.change("a", () => [LINE]);
    book.change("b", () => [LEVEL]);
    expect(new DrawingBook(() => store).of("a")).toEqual([LINE]);
    book.change("a", () => []);
    expect([book.of("a"), book.of("b")]).toEqual([[], [LEVEL]]);
  });
  it("of two tabs are both kept", () => {
    const [one, other] = [new DrawingBook(() => store), new DrawingBook(() => store)];
    one.change("a", (drawings) => [...drawings, LINE]);
    other.change("a", (drawings) => [...drawings, LEVEL]);
    one.change("b", (drawings) => [...drawings, LEVEL]);
    expect([one.of("a"), one.of("b")]).toEqual([[LINE, LEVEL], [LEVEL]]);
  });
  it("of another tab are shown when it has changed them", () => {
    const book = new DrawingBook(() => store);
    const end = book.follow();
    const changes = () => book.changes.value;
    window.dispatchEvent(new StorageEvent("storage", { key: KEY }));
    window.dispatchEvent(new StorageEvent("storage", { key: "another" }));
    expect(changes()).toBe(1);
    end();
    window.dispatchEvent(new StorageEvent("storage", { key: KEY }));
    expect(changes()).toBe(1);
  });
  it("stay with the page where the browser has no room for them", () => {
    const full = { getItem: () => null, setItem: () => { throw new Error("full"); } };
    for (const refused of [() => full, () => { throw new Error("no store"); }]) {
      const book = new DrawingBook(refused);
      book.change("a", () => [LINE]);
      book.change("a", (drawings) => [...drawings, LEVEL]);
      expect(book.of("a")).toEqual([LINE, LEVEL]);
    }
  });
  it.each(["no JSON", "[]", '{"a":5}', '{"a":[{"kind":"circle","points":[]},{"kind":"line","points":[{"ts":1,"price":2}]}]}'])(
    "of %s are none", (text) => {
      kept.set(KEY, text);
      expect(new DrawingBook(() => store).of("a")).toEqual([]);
    },
  );
  it("measure a change and its time", () => {
    const measure = [{ ts: 0, price: 200 }, { ts: 93_600_000, price: 150.5 }];
    expect(measureText(measure, 1)).toBe("-49.5 (-24.75 %), 1 d 2 h");
    expect([0, 60_000, 3_660_000, 90_061_000].map(durationText)).toEqual(["0 min", "1 min", "1 h 1 min", "1 d 1 h"]);
  });
});

describe("a chart", () => {
  /** A chart of ten pixels a bar, whose first bar is at 0, and a price of which is as high as it is. */
  const chart = (symbol: string, opens: number[]) => {
    const bars = opens.map((n): Bar => ({ ts: n * M, open: 1, high: 1, low: 1, close: 1, volume: 1, closed: true }));
    type Listener = (of: object) => void;
    let draw: Listener = () => undefined;
    let click: Listener = () => undefined;
    const shown = signal({ symbol, length: { width_ms: M }, decimals: 0 });
    const timeScale = {
      options: () => ({ barSpacing: 10 }),
    };
    const candles = {
      attachPrimitive: (primitive: { paneViews: () => { renderer: () => { draw: Listener } }[] }) => {
        draw = (target) => primitive.paneViews()[0]?.renderer().draw(target);
      },
      priceToCoordinate: (price: number) => price,
      coordinateToPrice: (y: number) => y,
      detachPrimitive: () => undefined,
    };
    const api = { timeScale: () => timeScale, subscribeClick: (handler: Listener) => (click = handler), subscribeCrosshairMove: () => undefined };
    const coordinateOf = (ts: number) => 10 * bars.findIndex((bar) => bar.ts === ts);
    const barAt = (ts: number) => bars.findLast((bar) => bar.ts <= ts) ?? bars[0];
    const layer = new DrawingLayer({ bars, barAt, shown, chart: { api, candles, coordinateOf } } as unknown as ChartModel);
    const drawn = () => {
      const said: unknown[][] = [];
      const says = (name: string) => (...values: unknown[]) => void said.push([name, ...values]);
      const context = Object.fromEntries(["moveTo", "lineTo", "rect", "clip", "fillRect", "fillText"].map((name) => [name, says(name)]));
      const nothing = Object.fromEntries(["beginPath", "stroke", "save", "restore"].map((name) => [name, () => undefined]));
      const canvas = { height: 500 };
      draw({ useMediaCoordinateSpace: (use: (scope: object) => void) => use({ context: { ...context, ...nothing, canvas }, mediaSize: { width: 900 } }) });
      return said;
    };
    const at = (n: number, y: number) => click({ time: n * 60, point: { x: 0, y }, paneIndex: 0 });
    return { layer, drawn, at };
  };
  const keep = (...drawings: Drawing[]) => drawingBook.change("x:A", () => drawings);
  const line = (from: number, to: number): Drawing => ({ kind: "line", points: [{ ts: from * M, price: 100 }, { ts: to * M, price: 200 }] });

  beforeEach(() => keep());

  it("has what is drawn on another chart of its market, and removes it", () => {
    const [one, other, third] = [chart("x:A", [0, 1, 2]), chart("replay/u/x:A", [0, 1, 2]), chart("y:A", [0, 1, 2])];
    one.layer.choose("level");
    one.at(1, 50);
    other.layer.choose("level");
    other.at(2, 60);
    const prices = ({ layer }: typeof one) => layer.drawings.value.map(({ points }) => points[0]?.price);
    expect([prices(one), prices(other), prices(third)]).toEqual([[50, 60], [50, 60], []]);
    one.layer.removeLast();
    expect([prices(one), prices(other)]).toEqual([[50], [50]]);
  });

  it("draws a line up to its last bar, with the slope that it has", () => {
    keep(line(1, 9));
    expect(chart("x:A", [0, 1, 2, 3]).drawn()).toEqual([
      ["rect", 0, 0, 30, 500], ["clip"], ["moveTo", 10, 100], ["lineTo", 90, 200],
    ]);
  });

  it("draws a line from before its first bar", () => {
    keep(line(1, 6));
    expect(chart("x:A", [4, 5, 6, 7]).drawn().slice(2)).toEqual([["moveTo", -30, 100], ["lineTo", 20, 200]]);
  });

  it("places a time within a bar, and one in a hole, at the bar before it", () => {
    keep(line(1.5, 3.9));
    expect(chart("x:A", [0, 1, 5]).drawn().slice(2)).toEqual([["moveTo", 10, 100], ["lineTo", 10, 200]]);
    keep(line(1, 3.9));
    expect(chart("x:A", [0, 1, 2, 3]).drawn().slice(2)).toEqual([["moveTo", 10, 100], ["lineTo", 30, 200]]); // within the last bar
  });

  it("shows no price of a time after its last bar", () => {
    const [before, after] = [{ ts: M, price: 5 }, { ts: 7 * M, price: 6 }];
    keep({ kind: "level", points: [after] }, { kind: "measure", points: [before, after] }, { kind: "level", points: [before] });
    expect(chart("x:A", [0, 1, 2, 3]).drawn()).toEqual([["moveTo", 0, 5], ["lineTo", 900, 5]]);
    expect(chart("x:A", [0, 1, 2, 3, 4, 5, 6, 7]).drawn().filter(([name]) => name === "fillText" || name === "moveTo")).toHaveLength(3);
  });
});
