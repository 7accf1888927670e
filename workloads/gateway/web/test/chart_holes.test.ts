// Holes between the bars of a chart: counted by the market's session, and marked only between bars that there are.
import type { ISeriesApi } from "lightweight-charts";
import { describe, expect, it } from "vitest";
import { HoleLayer, longest, MARKED_MAX } from "../src/chart/hole_layer";
import { holesBetween, missingText } from "../src/chart/holes";
import { MINUTE } from "../src/chart/lengths";
import { expectedBars, hasKnownHours, parseSession } from "../src/chart/session";
import type { Bar, Resolution } from "../src/data/types";
import type { Colors } from "../src/shell/theme";

const [M, H, D] = [60_000, 3_600_000, 86_400_000];
const bar = (ts: number): Bar => ({ ts, open: 1, high: 1, low: 1, close: 1, volume: 1, closed: true });
const at = (text: string) => Date.parse(`${text}Z`);
const HOUR: Resolution = { resolution: "60", interval: "1h", width_ms: H, origin_ms: 0 };
const DAY: Resolution = { resolution: "1D", interval: "1d", width_ms: D, origin_ms: 0 };
const MONTH: Resolution = { resolution: "1M", interval: "1M", width_ms: 31 * D, origin_ms: 0 };
const NEW_YORK = parseSession("0930-1600:23456", "America/New_York");

describe("the hours of a market", () => {
  it.each([
    ["crypto", "24x7", true], ["stock", "24x7", false], ["stock", "0930-1600:23456", true], ["forex", "24x7", false], ["transform", "24x7", false],
  ])("of a %s with %s are known: %s", (type, session, isKnown) =>
    expect(hasKnownHours({ type, session, timezone: "America/New_York" })).toBe(isKnown));
});

describe("a hole between two bars", () => {
  it("has as many bars as are missing", () => {
    const bars = ["2018-04-04T16:46", "2018-04-04T16:47", "2018-04-05T00:00", "2018-04-05T00:01"].map((text) => bar(at(text)));
    const found = holesBetween(bars, MINUTE, null);
    expect(found).toEqual([{ before: at("2018-04-05T00:00"), missing: 432 }]);
    expect([432, 1, 12_345].map(missingText)).toEqual(["432 bars missing", "1 bar missing", "12,345 bars missing"]);
  });
  it("of months is counted by the calendar", () => {
    const bars = ["2023-01-01", "2023-02-01", "2023-03-01", "2023-06-01"].map((day) => bar(at(`${day}T00:00`)));
    expect(holesBetween(bars, MONTH, null)).toEqual([{ before: at("2023-06-01T00:00"), missing: 2 }]);
  });
  it("is none where the market was closed: a night, a weekend, a change of the clock", () => {
    // Friday in winter time, Monday in summer time: New York opens at 14:30 UTC, then at 13:30.
    const bars = ["2024-03-08T20:59", "2024-03-11T13:30", "2024-03-11T19:59", "2024-03-12T13:30"].map((text) => bar(at(text)));
    expect(holesBetween([bars[0], bars[1]] as Bar[], MINUTE, NEW_YORK)).toEqual([]);
    expect(holesBetween([bars[2], bars[3]] as Bar[], MINUTE, NEW_YORK)).toEqual([]);
    expect(holesBetween([bars[1], bars[2]] as Bar[], MINUTE, NEW_YORK)).toEqual([{ before: at("2024-03-11T19:59"), missing: 388 }]);
  });
  it("over a night has the bars of the session alone", () => {
    const bars = ["2024-03-11T19:49", "2024-03-12T13:40"].map((text) => bar(at(text)));
    expect(holesBetween(bars, MINUTE, NEW_YORK)).toEqual([{ before: at("2024-03-12T13:40"), missing: 20 }]);
  });
  it("of days is one of the market's days", () => {
    const bars = ["2024-03-08", "2024-03-11", "2024-03-14"].map((day) => bar(at(`${day}T00:00`)));
    expect(holesBetween(bars, DAY, NEW_YORK)).toEqual([{ before: at("2024-03-14T00:00"), missing: 2 }]);
  });
});

describe("a session", () => {
  it("of a future opens on the evening before", () => {
    const session = parseSession("1700-1600:23456", "America/Chicago");
    expect(session).toEqual({ opens: -420, closes: 960, days: "23456", zone: "America/Chicago" });
    // From Friday's close to Sunday evening there is none; Sunday 17:00 in Chicago is 22:00 UTC in summer.
    expect(expectedBars(at("2024-06-07T21:00"), at("2024-06-09T22:00"), HOUR, session)).toBe(0);
    expect(expectedBars(at("2024-06-07T21:00"), at("2024-06-10T01:00"), HOUR, session)).toBe(3);
  });
  it("that never ends has all bars", () => {
    expect([parseSession("24x7", "Etc/UTC"), parseSession("", "UTC")]).toEqual([null, null]);
    expect(expectedBars(0, 90 * M, MINUTE, null)).toBe(90);
    expect(parseSession("0000-0000:23456", "UTC")).toEqual({ opens: 0, closes: 1_440, days: "23456", zone: "UTC" });
  });
});

describe("the marks of a chart", () => {
  const series = { attachPrimitive: () => undefined, detachPrimitive: () => undefined } as unknown as ISeriesApi<"Candlestick">;
  const layer = () => new HoleLayer(series, MINUTE, null, () => 0, {} as Colors);
  const minutes = (...of: number[]) => of.map((n) => bar(n * M));
  const marked = (of: HoleLayer) => of.drawn.map(({ before, missing }) => [before / M, missing]);

  it("are of the bars that it draws, and follow them", () => {
    const of = layer();
    of.apply(minutes(1, 2, 5, 6, 9), { kind: "all" }, { from: 0, to: 4 });
    expect(marked(of)).toEqual([[5, 2]]);
    of.redraw({ from: 0, to: 5 });
    expect(marked(of)).toEqual([[5, 2], [9, 2]]);
    expect([of.missingBefore(9 * M), of.missingBefore(6 * M)]).toEqual([2, 0]);
  });
  it("are none after the last bar, and come with the bar after the hole", () => {
    const of = layer();
    of.apply(minutes(1, 2), { kind: "all" }, { from: 0, to: 2 });
    expect(marked(of)).toEqual([]);
    of.apply(minutes(1, 2, 7), { kind: "tail", from: 2 }, { from: 0, to: 3 });
    expect(marked(of)).toEqual([[7, 4]]);
    of.apply(minutes(1, 2, 7), { kind: "tail", from: 2 }, { from: 0, to: 3 }); // the same bar has a new state
    expect(marked(of)).toEqual([[7, 4]]);
    of.apply(minutes(1, 2), { kind: "all" }, { from: 0, to: 2 }); // sought back
    expect(marked(of)).toEqual([]);
  });
  it("are the longest where there are very many", () => {
    const many = Array.from({ length: 100 }, (_, n) => ({ x: n, hole: { before: n, missing: n } }));
    expect(longest(many).map(({ hole }) => hole.missing)).toEqual(Array.from({ length: MARKED_MAX }, (_, n) => 99 - n));
  });
});
