// @vitest-environment happy-dom
// What the Deck shows by default, what its lists say, its keys, and times in zones.
import { describe, expect, it } from "vitest";
import { tickIn, timeIn, zoneName } from "../src/chart/time_zone";
import { combined } from "../src/chart/frame_batch";
import { merged } from "../src/data/run_feed";
import type { PlayedReplay, Resource, Run, SymbolListing } from "../src/data/types";
import { namedSymbols } from "../src/data/resources";
import { defaultReplay, defaultRun, namedReplay, replayOf, shownSymbol, symbolsOf } from "../src/deck/defaults";
import { problemOf, progressOf, unlisted, waitingOf } from "../src/deck/resource_facts";
import { actionOf } from "../src/transport/keys";
import { parseTime } from "../src/written_time";

const played = (name: string, ended = false, uid = name): PlayedReplay => ({
  uid, name, namespace: "default", exchange: "coinbase", symbols: ["BTC/USD", "ETH/USD"], interval: "1m", range_from: 0,
  range_to: 1, position: null, epoch: "0.0", published: 0, ended, transforms: [],
});
const UID = "01234567-89ab-cdef-0123-456789abcdef";

describe("the default replay", () => {
  const [ended, newer, older] = [played("ended", true), played("newer"), played("older")];
  it("is the newest that plays, else the newest", () => {
    expect(defaultReplay([ended, newer, older], null)).toBe(newer);
    expect(defaultReplay([ended], null)).toBe(ended);
    expect(defaultReplay([], null)).toBeNull();
  });
  it("stays after its end until a newer one plays", () => {
    expect(defaultReplay([ended, older], ended)).toBe(ended);
    expect(defaultReplay([newer, ended, older], ended)).toBe(newer);
    expect(defaultReplay([newer, older], older)).toBe(older);
  });
  it("is named by uid, name, or namespace and name", () => {
    for (const wanted of ["older", "default/older"]) expect(namedReplay([newer, older], wanted)).toBe(older);
    expect(namedReplay([played("a", false, UID)], UID)?.name).toBe("a");
    expect(namedReplay([newer], "older")).toBeNull();
  });
});

describe("the shown symbol", () => {
  const stored = [{ ticker: "coinbase:BTC/USD" }, { ticker: "kraken:ETH/USD" }] as SymbolListing[];
  const run = { exchange: "coinbase", symbols: ["ETH/USD"] } as Run;
  it.each([
    [`replay/${UID}/coinbase:BTC/USD`, UID], ["replay/team/tape:BTC/USD", "team/tape"], ["coinbase:BTC/USD", ""], ["BTC/USD", null],
    [null, null],
  ])("%s is of the replay %s", (symbol, replay) => expect(replayOf(symbol, stored)).toBe(replay));
  it("is the wanted one, that of the run, or the first", () => {
    const symbols = symbolsOf(played("tape", false, "u"), []);
    expect(symbols).toEqual(["replay/u/coinbase:BTC/USD", "replay/u/coinbase:ETH/USD"]);
    expect(shownSymbol(symbols, "coinbase:ETH/USD", null)).toBe(symbols[1]);
    expect(shownSymbol(symbols, "replay/default/tape:ETH/USD", null)).toBe(symbols[1]);
    expect(shownSymbol(symbols, null, run)).toBe(symbols[1]);
    expect(shownSymbol(symbols, "none", null)).toBe(symbols[0]);
    expect(shownSymbol([], "none", run)).toBe("");
    expect(shownSymbol(symbolsOf(null, stored), "ETH/USD", null)).toBe("kraken:ETH/USD");
  });
  it("has the newest run of its replay, running ones first", () => {
    const of = (run_id: string, state: string, replay_uid: string) => ({ run_id, state, replay_uid }) as Run;
    const runs = [of("other", "running", "v"), of("done", "complete", "u"), of("open", "running", "u")];
    expect(defaultRun(runs, played("tape", false, "u"))?.run_id).toBe("open");
    expect(defaultRun(runs.slice(0, 2), played("tape", false, "u"))?.run_id).toBe("done");
    expect(defaultRun(runs, null)?.run_id).toBe("other");
  });
});

describe("the lists", () => {
  const resource = (status: object) => ({ kind: "Replay", metadata: { uid: "u" }, status }) as unknown as Resource;
  it.each([["30/120", 0.25], ["5/0", null], ["9/3", 1], ["", null], [undefined, null]])("progress %s is %s", (text, share) =>
    expect(progressOf(text)).toBe(share),
  );
  it("name what is wrong", () => {
    expect(problemOf(resource({ phase: "Failed", message: "no bars" }))).toBe("no bars");
    expect(problemOf(resource({ phase: "Running", message: "all well" }))).toBe("");
    const conditions = [{ type: "Degraded", status: "True", reason: "Late", message: "3 bars are missing" }];
    expect(problemOf(resource({ phase: "Running", conditions }))).toBe("3 bars are missing");
    const failing = [{ type: "Ready", status: "True", reason: "Running" }, { type: "PodsFailing", status: "True", message: "shard 2 fails" }];
    expect(problemOf(resource({ phase: "Running", conditions: failing }))).toBe("shard 2 fails");
    const refused = [{ type: "Applied", status: "False", message: "no permission" }];
    expect(problemOf(resource({ phase: "Running", conditions: refused }))).toBe("no permission");
    expect(problemOf(resource({ phase: "Complete", conditions: refused }))).toBe("");
    const parts = [{ type: "Ready", status: "True", reason: "BackfillFailed" }];
    expect(problemOf(resource({ phase: "Running", message: "the backfill failed", conditions: parts }))).toBe("the backfill failed");
  });
  it("tell a run that starts from one that cannot", () => {
    const pending = (reason: string) => resource({ phase: "Pending", message: "told", conditions: [{ type: "Ready", status: "False", reason }] });
    const both = (reason: string) => [waitingOf(pending(reason)), problemOf(pending(reason))];
    for (const reason of ["Starting", "Filling", "WaitingForFeed", "WaitingForReplay", "WaitingForLeader"]) expect(both(reason)).toEqual(["told", ""]);
    for (const reason of ["Restarting", "Unschedulable", "NotStarting"]) expect(both(reason)).toEqual(["", "told"]);
    expect(waitingOf(resource({ phase: "Running", message: "all well" }))).toBe("");
  });
  it("have replays whose resource was deleted", () =>
    expect(unlisted([played("a", false, "u"), played("b", false, "v")], [resource({})]).map(({ name }) => name)).toEqual(["b"]));
});

describe("a key", () => {
  const on = (element: HTMLElement | Window, key: string, options: KeyboardEventInit = {}) => {
    let action: string | null = "none seen";
    const listen = (event: Event) => (action = actionOf(event as KeyboardEvent));
    window.addEventListener("keydown", listen);
    element.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, ...options }));
    window.removeEventListener("keydown", listen);
    return action;
  };
  const within = (tag: string) => document.body.appendChild(document.createElement(tag));
  it.each([
    [" ", {}, "playOrPause"], ["ArrowLeft", {}, "stepBack"], ["ArrowRight", { shiftKey: true }, "longForward"], ["[", {}, "slower"],
    ["]", { altKey: true }, "faster"], ["L", {}, "loop"], ["g", {}, "jump"], ["/", { shiftKey: true }, "search"],
    ["?", { shiftKey: true }, "help"], ["z", { ctrlKey: true }, "undo"], ["l", { ctrlKey: true }, null], ["x", {}, null],
    ["ArrowLeft", { altKey: true }, null], // the browser's way back
  ])("%s with %o is %s", (key, options, action) => expect(on(document.body, key, options)).toBe(action));
  it("in a field is text, and Space on a button presses that", () => {
    for (const tag of ["input", "select", "textarea"]) expect(on(within(tag), "l")).toBeNull();
    expect(on(within("button"), " ")).toBeNull();
    expect(on(within("button"), "l")).toBe("loop");
  });
});

describe("times in a zone", () => {
  const ts = Date.parse("2018-07-01T04:00:00Z");
  it.each([["UTC", "2018-07-01 04:00"], ["America/New_York", "2018-07-01 00:00"], ["Asia/Kolkata", "2018-07-01 09:30"]])(
    "in %s", (zone, text) => expect(timeIn(ts, zone)).toBe(text),
  );
  it("of an exchange without a zone are UTC", () => {
    expect(zoneName("exchange", "nowhere")).toBe("UTC");
    expect(zoneName("exchange", "America/New_York")).toBe("America/New_York");
  });
  it.each([
    ["2018-07-01T04:05:06Z", "04:05:06"], ["2018-07-01T04:05:00Z", "04:05"], ["2018-07-02T00:00:00Z", "07-02"],
    ["2018-07-01T00:00:00Z", "2018-07"], ["2018-01-01T00:00:00Z", "2018"],
  ])("%s is marked as %s", (time, text) => expect(tickIn(Date.parse(time), "UTC")).toBe(text));
  it.each([
    ["2018-04-04", "2018-04-04T00:00:00Z"], [" 2018-04-04 12:30 ", "2018-04-04T12:30:00Z"], ["2018-04-04T12:30:15", "2018-04-04T12:30:15Z"],
    ["2018-04-04T12:30:00Z", "2018-04-04T12:30:00Z"], ["2018-04-04 12:30 UTC", "2018-04-04T12:30:00Z"],
  ])("%j is written for %s", (text, time) => expect(parseTime(text)).toBe(Date.parse(time)));
  it.each(["", "yesterday", "2018-13-01", "2018-04-04 25:00"])("%j is no time", (text) => expect(parseTime(text)).toBeNull());
});

it("joins changes of one frame", () => {
  const [none, all] = [{ kind: "none" }, { kind: "all" }] as const;
  const tail = (from: number) => ({ kind: "tail", from }) as const;
  expect(combined(tail(5), tail(3))).toEqual(tail(3));
  expect([combined(none, tail(2)), combined(tail(2), none)]).toEqual([tail(2), tail(2)]);
  expect([combined(all, tail(2)), combined(tail(2), all)]).toEqual([all, all]);
  const older = (count: number) => ({ kind: "older", count }) as const;
  expect([combined(older(2), older(3)), combined(none, older(2)), combined(older(2), none)]).toEqual([older(5), older(2), older(2)]);
  expect([combined(older(2), tail(3)), combined(tail(3), older(2)), combined(all, older(2))]).toEqual([all, all, all]);
});

it("keeps results of a run in order, each once", () => {
  const order = (each: number) => each;
  expect(merged([1, 2], [3, 4], order)).toEqual([1, 2, 3, 4]);
  expect(merged([3, 4], [1, 2, 3], order)).toEqual([1, 2, 3, 4]);
  expect(merged([1], [], order)).toEqual([1]);
});

describe("a market that the list of very many symbols lacks", () => {
  const known = [{ symbol: "A/USD", ticker: "x:A/USD", description: "", exchange: "x", type: "" }];
  it("is that which the address names", () => {
    const named = namedSymbols("/?symbol=x:Z/USD&symbol2=x:A/USD&symbol3=replay/u/x:B&run=y:C&symbol4=short", known);
    expect(named.map(({ ticker, exchange, symbol }) => [ticker, exchange, symbol])).toEqual([["x:Z/USD", "x", "Z/USD"]]);
  });
});
