// Speeds, steps, the state of the deck, and the strip's geometry, compared with values written by hand.
import { describe, expect, it } from "vitest";
import { MINUTE } from "../src/chart/lengths";
import type { ReplaySpec, ReplayState, Resource } from "../src/data/types";
import { deckState, type Known } from "../src/deck/deck_state";
import { recentStates, speedBetween } from "../src/deck/measured_speed";
import { nextName } from "../src/names";
import { attachedRuns } from "../src/transport/attached_runs";
import { timeIn } from "../src/chart/time_zone";
import { holeAt, holeText } from "../src/transport/hole_text";
import { choices, measuredLabel, nextSpeed, speedLabel } from "../src/transport/speeds";
import { intervalsAhead, movedBy, nextClose, timeBack } from "../src/transport/steps";
import { boxesOf, pathOf, shareOf, ticksOf, timeAt } from "../src/transport/strip_geometry";
import { joined, stripLength } from "../src/transport/strip_data";

const HOUR = { resolution: "60", interval: "1h", width_ms: 3_600_000, origin_ms: 0 };
const MONTH = { resolution: "1M", interval: "1M", width_ms: 2_678_400_000, origin_ms: 0 };
const at = (text: string) => Date.parse(text);

describe("the ladder of speeds", () => {
  it.each([
    [60, 1, 120], [60, -1, 30], [45, 1, 60], [45, -1, 30], [1, -1, 1], [0.5, -1, 0.5], [86_400, 1, "unpaced"],
    ["unpaced", -1, 86_400], ["unpaced", 1, "unpaced"], [1_000_000, -1, 86_400], [1_000_000, 1, "unpaced"],
  ] as const)("from %s in direction %s is %s", (from, direction, next) => expect(nextSpeed(from, direction)).toBe(next));
  it.each([
    [1, "1×"], [0.5, "0.5×"], [45, "45×"], [60, "60× (1 min/s)"], [600, "600× (10 min/s)"], [3_600, "3,600× (1 h/s)"],
    [86_400, "86,400× (1 d/s)"], ["unpaced", "unpaced"],
  ] as const)("%s is shown as %s", (speed, text) => expect(speedLabel(speed)).toBe(text));
  it("offers the present speed, too", () => {
    expect(choices(7).slice(0, 5)).toEqual([1, 2, 5, 7, 10]);
    expect(choices(null).at(-1)).toBe("unpaced");
  });
  it.each([[59.8123, "59.8×"], [123_456.7, "123,457×"], [0, "0×"]])("measured %s is %s", (speed, text) =>
    expect(measuredLabel(speed)).toBe(text),
  );
});

describe("a step", () => {
  it("ends the bar that has begun", () => {
    expect(nextClose(at("2018-04-04T10:20:00Z"), HOUR)).toBe(at("2018-04-04T11:00:00Z"));
    expect(nextClose(at("2018-04-04T11:00:00Z"), HOUR)).toBe(at("2018-04-04T12:00:00Z"));
    expect(nextClose(at("2018-02-10T00:00:00Z"), MONTH)).toBe(at("2018-03-01T00:00:00Z"));
  });
  it("is of the intervals of the replay", () => {
    expect(intervalsAhead(at("2018-04-04T10:20:00Z"), HOUR, 60_000, 1)).toBe(40);
    expect(intervalsAhead(at("2018-04-04T11:00:00Z"), HOUR, 300_000, 10)).toBe(120);
    expect(intervalsAhead(at("2018-04-04T10:20:00Z"), MINUTE, 300_000, 1)).toBe(1);
  });
  it("back takes a begun bar back first, and stays within the range", () => {
    const from = at("2018-04-04T00:00:00Z");
    expect(timeBack(at("2018-04-04T10:20:00Z"), HOUR, 1, from)).toBe(at("2018-04-04T10:00:00Z"));
    expect(timeBack(at("2018-04-04T10:00:00Z"), HOUR, 2, from)).toBe(at("2018-04-04T08:00:00Z"));
    expect(timeBack(at("2018-04-04T02:00:00Z"), HOUR, 10, from)).toBe(from);
  });
});

describe("a time that is moved by bars", () => {
  const range = { from: at("2018-04-04T08:30:00Z"), to: at("2018-04-04T12:30:00Z") };
  it.each([
    ["10:20", 1, "11:00"], ["10:20", 2, "12:00"], ["10:20", 9, "12:30"], ["10:20", -1, "10:00"], ["10:00", -1, "09:00"],
    ["10:00", -9, "08:30"], ["10:00", Infinity, "12:30"], ["10:00", -Infinity, "08:30"],
  ])("from %s by %d is %s", (from, bars, to) =>
    expect(movedBy(at(`2018-04-04T${from}:00Z`), bars, HOUR, range)).toBe(at(`2018-04-04T${to}:00Z`)),
  );
});

const STATE: ReplayState = {
  replay: "u", namespace: "default", name: "tape", position: 500, range_from: 0, range_to: 1_000, epoch: "0.0", round: 0,
  speed: 60, unpaced: false, measured_speed: 60, paused: false, ended: false, lateness_ms: 0, published: 5, at: 0,
};
const resource = (spec: ReplaySpec, status = {}): Resource<ReplaySpec> => ({
  apiVersion: "tapedeck.dev/v1alpha1", kind: "Replay", metadata: { name: "tape", namespace: "default", uid: "u" }, spec, status,
});
const UP = { broker: true, database: true };

describe("the state of the deck", () => {
  const known = (changes: Partial<Known>): Known => ({
    socket: "live", services: UP, state: STATE, resource: resource({}), ...changes,
  });
  const until = new Date(500).toISOString();
  it.each<[string, Partial<Known>, string]>([
    ["plays", {}, "PLAYING"],
    ["plays without a resource", { resource: null }, "PLAYING"],
    ["is paused", { state: { ...STATE, paused: true }, resource: resource({ paused: true }) }, "PAUSED"],
    ["is paused after a seek", { state: { ...STATE, speed: null }, resource: resource({ paused: true }) }, "PAUSED"],
    ["is paused without a resource", { state: { ...STATE, paused: true }, resource: null }, "PAUSED"],
    ["is held at the time to stop", { state: { ...STATE, paused: true }, resource: resource({ until }) }, "HELD"],
    ["is paused at the time to stop", { state: { ...STATE, paused: true }, resource: resource({ until, paused: true }) }, "PAUSED"],
    ["is held at the end", { state: { ...STATE, position: 1_000 }, resource: resource({ atEnd: "hold" }) }, "HELD"],
    ["is held after its last bar", { resource: resource({ atEnd: "hold" }, { progress: "30/30" }) }, "HELD"],
    ["is held at the end of its topic", { state: { ...STATE, ended: true }, resource: resource({ atEnd: "hold" }) }, "HELD"],
    ["has ended where it is complete", { state: { ...STATE, ended: true }, resource: resource({ atEnd: "hold" }, { phase: "Complete" }) }, "ENDED"],
    ["plays another round", { state: { ...STATE, position: 1_000 }, resource: resource({ atEnd: "hold", loop: 2 }) }, "PLAYING"],
    ["is held after the last round", { state: { ...STATE, position: 1_000, round: 1 }, resource: resource({ atEnd: "hold", loop: 2 }) }, "HELD"],
    ["is held after a stall", { state: { ...STATE, paused: true }, resource: resource({}, { stalled: true }) }, "HELD"],
    ["has ended", { state: { ...STATE, ended: true, paused: true } }, "ENDED"],
    ["has failed", { resource: resource({}, { phase: "Failed", message: "no bars" }) }, "FAILED"],
    ["starts", { state: null }, "STARTING"],
    ["has no broker", { services: { broker: false, database: true } }, "BROKER UNREACHABLE"],
    ["has no gateway", { socket: "lost" }, "GATEWAY UNREACHABLE"],
  ])("%s", (_, changes, word) => expect(deckState(known(changes)).word).toBe(word));
});

describe("the measured speed", () => {
  const after = (...told: Partial<ReplayState>[]) =>
    speedBetween(told.reduce<ReplayState[]>((recent, each) => recentStates(recent, { ...STATE, ...each }), []));
  it.each<[string, Partial<ReplayState>[], number | null]>([
    ["is not known at first", [{ at: 0, position: 0 }, { at: 1_999, position: 120_000 }], null],
    ["is known after two seconds", [{ at: 0, position: 0 }, { at: 1_000, position: 55_000 }, { at: 2_000, position: 120_000 }], 60],
    ["is that of five seconds", [{ at: 0, position: 0 }, { at: 1_000, position: 900_000 }, { at: 6_000, position: 1_000_000 }], 20],
    ["is 0 where nothing moves", [{ at: 0, position: 500 }, { at: 2_000, position: 500 }], 0],
    ["begins again after a seek", [{ at: 0, position: 0 }, { at: 2_000, position: 900_000, epoch: "1.0" }], null],
    ["begins again at another speed", [{ at: 0, position: 0 }, { at: 2_000, position: 120_000, speed: 120 }], null],
    ["begins with the first record", [{ at: 0, position: null }, { at: 2_000, position: 500 }, { at: 3_000, position: 60_500 }], null],
    ["is none while it is paused", [{ at: 0, paused: true }, { at: 3_000, paused: true }], null],
    ["is none after the end", [{ at: 0, ended: true }, { at: 3_000, ended: true }], null],
  ])("%s", (_, told, speed) => expect(after(...told)).toBe(speed));
});

describe("runs that a seek ends", () => {
  const backtest = (name: string, replay: string, phase?: string, onSeek?: "restart") => ({
    apiVersion: "v", kind: "Backtest" as const, metadata: { name, namespace: "default", uid: name },
    spec: { data: { replay: { name: replay, ...(onSeek === undefined ? {} : { onSeek }) } } },
    status: phase === undefined ? {} : { phase: phase as "Running" },
  });
  const TAPE = { namespace: "default", name: "tape" };
  it("are those of the replay that have not ended", () => {
    const all = [
      backtest("a", "tape", "Running"), backtest("b", "tape", "Failed"), backtest("c", "other", "Running"),
      backtest("d", "tape"), backtest("e", "tape", "Running", "restart"),
    ];
    const found = attachedRuns(all, TAPE).map(({ backtest: each, restartsItself }) => [each.metadata.name, restartsItself]);
    expect(found).toEqual([["a", false], ["d", false], ["e", true]]);
    expect(attachedRuns(all, { namespace: "team", name: "tape" })).toEqual([]);
  });
  it.each([
    ["sma", [], "sma-2"], ["sma-2", ["sma", "sma-2"], "sma-3"], ["x".repeat(40), [], `${"x".repeat(38)}-2`],
  ])("%s is restarted beside %j as %s", (name, taken, next) => expect(nextName(name, new Set(taken))).toBe(next));
});

describe("the seek strip", () => {
  const RANGE = { from: 1_000, to: 2_000 };
  it("places times, and finds them again", () => {
    expect([0, 1_000, 1_250, 9_000].map((ts) => shareOf(ts, RANGE))).toEqual([0, 0, 0.25, 1]);
    expect([-1, 0, 0.25, 2].map((share) => timeAt(share, RANGE))).toEqual([1_000, 1_000, 1_250, 2_000]);
    expect(shareOf(5, { from: 7, to: 7 })).toBe(0);
  });
  it("draws prices up to a time, and none after it", () => {
    const prices = new Map([[1_500, 20], [1_000, 10], [1_900, 40], [500, 99]]);
    expect(pathOf(prices, RANGE, 1_501, 100, 28)).toBe("M0.0 24.0L50.0 4.0");
    expect(pathOf(prices, RANGE, 1_500, 100, 28)).toBe("");
  });
  it("draws holes that can be seen, and a tick for each fill", () => {
    expect(boxesOf([{ from: 1_100, to: 1_200 }, { from: 1_500, to: 1_501 }], RANGE, 100, 28)).toBe(
      "M10.0 0h10.0v28H10.0zM50.0 0h1.0v28H50.0z",
    );
    expect(ticksOf([{ ts: 1_250 }, { ts: 1_500 }], RANGE, 100, 20)).toBe("M25.0 20h1.5v8h-1.5zM50.0 20h1.5v8h-1.5z");
  });
  it("says of a hole from when to when it is", () => {
    const hole = { from: at("2018-04-04T16:48:00Z"), to: at("2018-04-05T00:00:00Z") };
    expect(holeText(hole, (ts) => timeIn(ts, "UTC"))).toBe("No bars 2018-04-04 16:48–2018-04-05 00:00 (7.2 h)");
    expect(holeText(hole, (ts) => timeIn(ts, "Asia/Kolkata"))).toBe("No bars 2018-04-04 22:18–2018-04-05 05:30 (7.2 h)");
    expect([hole.from - 6, hole.from - 5, hole.to + 5, hole.to + 6].map((ts) => holeAt([hole], ts, 5))).toEqual([
      undefined, hole, hole, undefined,
    ]);
  });
  it("has few enough parts", () => {
    const known = [MINUTE, HOUR, MONTH];
    expect(stripLength(800 * 60_000, known)).toBe(MINUTE);
    expect(stripLength(801 * 60_000, known)).toBe(HOUR);
    expect(stripLength(1e15, known)).toBe(MONTH);
  });
  it("shows holes that it can't tell apart as one", () =>
    expect(joined([{ from: 0, to: 10 }, { from: 12, to: 20 }, { from: 90, to: 95 }], 5)).toEqual([
      { from: 0, to: 20 }, { from: 90, to: 95 },
    ]));
});
