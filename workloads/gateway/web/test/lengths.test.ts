// Opens of bars, compared with values written by hand.
import { describe, expect, it } from "vitest";
import { loadedOpenOf, MINUTE, openOf } from "../src/lengths";

const WEEK = { resolution: "1W", interval: "1w", width_ms: 604_800_000, origin_ms: 345_600_000 };
const DAY = { resolution: "1D", interval: "1d", width_ms: 86_400_000, origin_ms: 0 };
const MONTH = { resolution: "1M", interval: "1M", width_ms: 2_678_400_000, origin_ms: 0 };

describe("the bar that a fill belongs to", () => {
  it.each([
    [MINUTE, "2018-04-04T00:01:00Z", "2018-04-04T00:00:00Z"],
    [WEEK, "2018-04-04T00:01:00Z", "2018-04-02T00:00:00Z"], // a Monday
    [WEEK, "2018-04-09T00:00:00Z", "2018-04-02T00:00:00Z"], // its close
    [MONTH, "2018-03-01T00:00:00Z", "2018-02-01T00:00:00Z"],
    [MONTH, "2018-03-31T12:00:00Z", "2018-03-01T00:00:00Z"],
  ])("%o at %s opens at %s", (length, ts, open) => expect(openOf(Date.parse(ts), length)).toBe(Date.parse(open)));
});

describe("a fill on a daily bar of a market in New York", () => {
  const opens = ["2024-01-04T14:30:00Z", "2024-01-05T14:30:00Z", "2024-01-08T14:30:00Z"].map(Date.parse);
  it.each([
    ["2024-01-05T14:30:00Z", "2024-01-04T14:30:00Z"],
    ["2024-01-06T14:30:00Z", "2024-01-05T14:30:00Z"],
    ["2024-01-09T14:30:00Z", "2024-01-08T14:30:00Z"],
    ["2024-01-04T14:30:00Z", "2024-01-04T00:00:00Z"], // before the loaded bars
    ["2024-01-10T14:30:00Z", "2024-01-10T00:00:00Z"], // after them
  ])("at %s belongs to the bar of %s", (ts, open) =>
    expect(loadedOpenOf(Date.parse(ts), opens, DAY)).toBe(Date.parse(open)),
  );
});
