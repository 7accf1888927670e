// Opens of bars, compared with values written by hand.
import { describe, expect, it } from "vitest";
import { closeOf, intervalMs, MINUTE, openOf } from "../src/chart/lengths";
import { barOf } from "../src/run/bar_times";
import EVENTS from "./bars_of_events.json";

const WEEK = { resolution: "1W", interval: "1w", width_ms: 604_800_000, origin_ms: 345_600_000 };
const MONTH = { resolution: "1M", interval: "1M", width_ms: 2_678_400_000, origin_ms: 0 };

describe("a bar", () => {
  it.each([
    ["1s", 1_000], ["1m", 60_000], ["15m", 900_000], ["4h", 14_400_000], ["1w", 604_800_000], ["1M", 31 * 86_400_000], ["x", 0], ["", 0],
  ])("of %s is %d ms long at most", (name, ms) => expect(intervalMs(name)).toBe(ms));
});

describe("the bar that a fill belongs to, as the gateway has it", () => {
  it.each(EVENTS)("$interval at $event opens at $open", ({ event, open, ...length }) =>
    expect(openOf(Date.parse(event), { ...length, resolution: "" })).toBe(Date.parse(open)));
});

describe("the bar of a trade in a table, by the name of its length alone", () => {
  it.each(EVENTS)("$interval at $event is that on which the chart draws it", ({ event, open, interval }) =>
    expect(barOf(Date.parse(event), interval)).toBe(Date.parse(open)));
});

describe("a bar closes", () => {
  it.each([
    [MINUTE, "2018-04-04T00:00:00Z", "2018-04-04T00:01:00Z"],
    [WEEK, "2018-04-02T00:00:00Z", "2018-04-09T00:00:00Z"],
    [MONTH, "2018-02-01T00:00:00Z", "2018-03-01T00:00:00Z"],
    [MONTH, "2018-12-01T00:00:00Z", "2019-01-01T00:00:00Z"],
    [{ interval: "3M", width_ms: 1 }, "2018-11-01T00:00:00Z", "2019-02-01T00:00:00Z"],
  ])("%o that opens at %s at %s", (length, opens, closes) => expect(closeOf(Date.parse(opens), length)).toBe(Date.parse(closes)));
});
