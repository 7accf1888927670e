// The bars of a series, compared with lists written by hand.
import { describe, expect, it } from "vitest";
import { BarSeries } from "../src/chart/bar_series";
import type { Bar } from "../src/data/types";

const bar = (ts: number, close = ts, closed = true): Bar => ({ ts, open: 1, high: 2, low: 0, close, volume: 1, closed });
const bars = (...times: number[]): Bar[] => times.map((ts) => bar(ts));

function series(...times: number[]): BarSeries {
  const made = new BarSeries();
  made.snapshot(bars(...times));
  return made;
}

const times = (of: BarSeries) => of.bars.map(({ ts }) => ts);
const closes = (of: BarSeries) => of.bars.map(({ close }) => close);

describe("bars that are pushed", () => {
  it("are added, or are the new state of the last one", () => {
    const of = series(10, 20);
    expect(of.push([bar(30, 1, false)])).toEqual({ kind: "tail", from: 2 });
    expect(of.push([bar(30, 2), bar(40, 3, false)])).toEqual({ kind: "tail", from: 2 });
    expect(closes(of)).toEqual([10, 20, 2, 3]);
  });
  it("are left out before what is loaded, and between without a revision", () => {
    const of = series(10, 20);
    expect(of.push(bars(5, 15))).toEqual({ kind: "none" });
    expect(times(of)).toEqual([10, 20]);
  });
  it("are revised, and put in their place", () => {
    const of = series(10, 20, 40);
    expect(of.revise([bar(20, 7), bar(30, 8), bar(5, 9)])).toEqual({ kind: "all" });
    expect(closes(of)).toEqual([10, 7, 8, 40]);
  });
});

describe("a snapshot", () => {
  it("replaces all that there is, and history that was asked for", () => {
    const of = series(20, 30, 40);
    of.addOlder(bars(10), of.generation);
    of.addOlder([], of.generation);
    const { generation } = of;
    expect(of.snapshot([bar(30, 1), bar(35, 2)])).toEqual({ kind: "all" });
    expect(of.addOlder(bars(10, 20), generation)).toEqual({ kind: "none" });
    expect(closes(of)).toEqual([1, 2]);
    expect(of.isComplete).toBe(false);
  });
  it("without bars leaves none", () => {
    const of = series(10);
    expect(of.snapshot([])).toEqual({ kind: "all" });
    expect(times(of)).toEqual([]);
  });
});

describe("a reset", () => {
  it("takes all bars back, and history that was asked for before it", () => {
    const of = series(10, 20, 30);
    const { generation } = of;
    expect(of.reset()).toEqual({ kind: "all" });
    expect(of.addOlder(bars(10, 20, 30), generation)).toEqual({ kind: "none" });
    of.snapshot(bars(10));
    expect(times(of)).toEqual([10]);
  });
});

describe("older bars", () => {
  it("come before what there is, each once", () => {
    const of = series(30, 40);
    expect(of.addOlder(bars(10, 20, 30), of.generation)).toEqual({ kind: "older", count: 2 });
    expect(times(of)).toEqual([10, 20, 30, 40]);
    expect(of.isComplete).toBe(false);
  });
  it("are complete where the history has none", () => {
    const of = series(30);
    of.addOlder([], of.generation);
    expect(of.isComplete).toBe(true);
  });
});

it("finds bars by their time", () => {
  const of = series(10, 20, 30);
  expect([5, 10, 11, 30, 31].map((ts) => of.indexAt(ts))).toEqual([0, 0, 1, 2, 3]);
});
