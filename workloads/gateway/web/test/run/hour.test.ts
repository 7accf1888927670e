// @vitest-environment happy-dom
// The hour in which a run lost: the Replay that plays it, the Deck that shows that, and the address of the form.
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Resource } from "../../src/data/types";
import { given, initialValues } from "../../src/new/fields";
import { FORMS, manifestOf } from "../../src/new/forms";
import {
  freeName, hasBars, hourAddress, hourManifest, hourOfRun, isEmptyHour, NO_BARS, playedAddress, playHour, playingHour, playObstacle, storedMarketOf,
} from "../../src/run/hour";
import { report } from "./made";

const END = Date.UTC(2018, 3, 5, 12);
const replay = (uid: string, source: object) => ({ metadata: { uid }, spec: { source } }) as unknown as Resource;

it("fills the form of a Replay of that hour at 10×", () => {
  const run = report({ exchange: "coinbase", symbols: ["BTC/USD", "ETH/USD"] });
  const hour = hourOfRun(run, run, END, []);
  const query = new URLSearchParams(hourAddress(hour).split("?")[1]);
  const values = { ...initialValues(FORMS.replay), ...given(FORMS.replay, query) };
  expect([query.get("kind"), manifestOf("replay", FORMS.replay, values, [])]).toEqual(["replay", {
    apiVersion: "tapedeck.dev/v1alpha1",
    kind: "Replay",
    metadata: { name: "cross-hour" },
    spec: {
      source: {
        store: {
          exchange: "coinbase", symbols: ["BTC/USD", "ETH/USD"], interval: "1m", from: "2018-04-05T11:00:00Z", to: "2018-04-05T12:00:00Z",
        },
      },
      speed: 10,
      atEnd: "finish",
    },
  }]);
  expect(manifestOf("replay", FORMS.replay, values, [])).toEqual(hourManifest(hour));
});

it.each([
  ["cross", [], "cross-hour"],
  ["cross", ["other", "cross"], "cross-hour"],
  ["cross", ["cross-hour"], "cross-hour-2"],
  ["cross", ["cross-hour", "cross-hour-2"], "cross-hour-3"],
  ["x".repeat(40), [], `${"x".repeat(35)}-hour`],
  ["cross-hour", ["cross-hour"], "cross-hour-2"],
  ["cross-hour-2", ["cross-hour", "cross-hour-2"], "cross-hour-3"],
  ["cross-hour-2", [], "cross-hour"],
  ["cross-hourly", [], "cross-hourly-hour"],
])("of %s beside the Replays %j has the free name %s", (run, names, expected) => {
  const named = (name: string, namespace: string) => ({ metadata: { name, namespace } }) as Resource;
  expect(freeName(run, names.map((name) => named(name, "default")))).toBe(expected);
  expect(freeName(run, names.map((name) => named(name, "team")))).toBe(freeName(run, [])); // the form makes it elsewhere
});

it("takes nothing of an address that a form does not offer", () => {
  expect(given(FORMS.replay, new URLSearchParams("source=elsewhere&interval=7m&speed=10&other=1"))).toEqual({ speed: "10" });
});

it("is of what the store has: of the run's own range, or of its replay's", () => {
  const stored = report({ replay_uid: "" });
  expect(storedMarketOf(stored, [])).toBe(stored);
  const bound = report({ replay_uid: "u1", exchange: "coinbase", symbols: ["BTC/USD"] });
  const known = [replay("u0", {}), replay("u1", { store: { exchange: "kraken", symbols: ["*"] } })];
  expect(storedMarketOf(bound, known)).toEqual({ exchange: "kraken", symbols: ["BTC/USD"] });
  expect(storedMarketOf(bound, [replay("u1", { synthetic: {} })])).toBeNull();
  expect(storedMarketOf(bound, [])).toBeNull();
});

it.each([
  ["", "1m", [], ""], ["u1", "1m", null, ""], ["u1", "1m", [replay("u1", { store: { exchange: "kraken" } })], ""],
  ["", "4h", [], "No hour can be played: a bar has 4h"],
  ["u1", "1m", [replay("u1", { synthetic: {} })], "No hour can be played: its Replay plays bars that the store does not have"],
  ["u1", "1m", [], "No hour can be played: its Replay was deleted"],
])("of the replay %j, with bars of %s, is there unless a reason is said", (replay_uid, interval, known, reason) => {
  expect(playObstacle(report({ replay_uid, interval }), known)).toBe(reason);
});

it.each([["30m", true], ["1h", false], ["4h", false], ["1d", false], ["1M", false]])("of bars of %s there is one: %s", (interval, isThere) => {
  expect(storedMarketOf(report({ interval }), []) !== null).toBe(isThere);
});

describe("an hour that is played at once", () => {
  const hour = hourOfRun(report({ exchange: "coinbase", symbols: ["BTC/USD", "ETH/USD"], run_id: "r1" }), { exchange: "coinbase", symbols: ["BTC/USD", "ETH/USD"] }, END, []);
  let asked: string[] = [];
  const answer = (bars: Record<string, object[]>) => {
    asked = [];
    vi.stubGlobal("fetch", (address: string, init?: RequestInit) => {
      const { pathname, searchParams } = new URL(address, "http://x");
      if (init?.method === "POST") asked.push(`POST ${pathname}`);
      if (pathname === "/api/v1/bars") asked.push([...searchParams.values()].join(" "));
      const body = pathname === "/api/v1/bars" ? { bars: bars[searchParams.get("symbol") ?? ""] ?? [] } : { detail: "not here" };
      return Promise.resolve(new Response(JSON.stringify(body), { status: pathname === "/api/v1/bars" ? 200 : 503 }));
    });
  };
  afterEach(() => vi.unstubAllGlobals());

  it("is shown by the Deck with its Replay, its market, its bars and the run", () => {
    expect(Object.fromEntries(new URLSearchParams(playedAddress(hour, "u9").split("?")[1]))).toEqual({
      replay: "u9", symbol: "replay/u9/coinbase:BTC/USD", interval: "1m", run: "r1",
    });
    expect(playedAddress({ ...hour, run: "" }, "u9")).not.toContain("run=");
  });
  it("has bars where one of its symbols has one", async () => {
    answer({ "coinbase:ETH/USD": [{ ts: 1 }] });
    expect(await hasBars(hour)).toBe(true);
    const range = `1m ${END - 3_600_000} ${END} 1`;
    expect(asked).toEqual([`coinbase:BTC/USD ${range}`, `coinbase:ETH/USD ${range}`]);
    answer({});
    expect([await hasBars(hour), await isEmptyHour(hour)]).toEqual([false, true]);
    vi.stubGlobal("fetch", () => Promise.reject(new Error("down")));
    expect(await isEmptyHour(hour)).toBe(false);
  });
  const existing = (name: string, phase: string, changed = {}, namespace = "default") => {
    const { source } = hourManifest(hour)["spec"] as { source: { store: object } };
    return { metadata: { name, namespace, uid: `of ${name}` }, spec: { source: { store: { ...source.store, ...changed } } }, status: { phase } } as unknown as Resource;
  };
  it("is played by the Replay of it that has not ended", () => {
    const found = (...known: Resource[]) => playingHour({ ...hour, name: "cross-hour-3" }, known)?.metadata.name;
    const ended = existing("cross-hour", "Complete");
    expect(found(ended, existing("cross-hour-2", "Paused"))).toBe("cross-hour-2");
    expect(found(existing("cross-hour", "Running", { from: "2018-04-05T11:00:00.000Z" }))).toBe("cross-hour");
    const others = [
      ended, existing("cross-hour", "Running", { to: "2018-04-05T12:30:00Z" }), existing("cross-hour", "Running", { symbols: ["BTC/USD"] }),
      existing("other-hour", "Running"), existing("cross", "Running"), existing("cross-hour", "Running", {}, "team"),
    ];
    for (const other of others) expect(found(other)).toBeUndefined();
  });
  it("is not made without a bar, and once by two clicks", async () => {
    answer({});
    await expect(playHour(hour)).rejects.toThrow(NO_BARS);
    expect(asked.some((each) => each.startsWith("POST"))).toBe(false);
    answer({ "coinbase:BTC/USD": [{ ts: 1 }] });
    await Promise.all([expect(playHour(hour)).rejects.toThrow("not here"), playHour(hour)]);
    expect(asked.filter((each) => each.startsWith("POST"))).toEqual(["POST /api/v1/namespaces/default/replays"]);
  });
  it("is sought to its start where it plays already", async () => {
    const sent: [string, unknown][] = [];
    vi.stubGlobal("fetch", (address: string, init?: RequestInit) => {
      const { pathname } = new URL(address, "http://x");
      if (init?.method === "POST") sent.push([pathname, JSON.parse(init.body as string)]);
      const bodies: Record<string, object> = { "/api/v1/bars": { bars: [{ ts: 1 }] }, "/api/v1/replays": { replays: [existing("cross-hour", "Paused")] } };
      return Promise.resolve(new Response(JSON.stringify(bodies[pathname] ?? { feeds: [], backtests: [] })));
    });
    await playHour(hour);
    expect(sent).toEqual([["/api/v1/namespaces/default/replays/cross-hour/controls", { seek: END - 3_600_000, paused: false }]]);
    expect(new URLSearchParams(location.search).get("replay")).toBe("of cross-hour");
  });
});
