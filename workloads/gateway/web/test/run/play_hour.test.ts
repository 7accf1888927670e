// The hour in which a run lost: the address of a form that then is filled.
import { expect, it } from "vitest";
import type { Resource } from "../../src/data/types";
import { given, initialValues } from "../../src/new/fields";
import { FORMS, manifestOf } from "../../src/new/forms";
import { freeName, hourAddress, storedMarketOf } from "../../src/run/play_hour";
import { report } from "./made";

const END = Date.UTC(2018, 3, 5, 12);
const replay = (uid: string, source: object) => ({ metadata: { uid }, spec: { source } }) as unknown as Resource;

it("fills the form of a Replay of that hour at 10×", () => {
  const run = report({ exchange: "coinbase", symbols: ["BTC/USD", "ETH/USD"] });
  const query = new URLSearchParams(hourAddress(run, run, END, "cross-hour").split("?")[1]);
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

it.each([["30m", true], ["1h", false], ["4h", false], ["1d", false], ["1M", false]])("of bars of %s there is one: %s", (interval, isThere) => {
  expect(storedMarketOf(report({ interval }), []) !== null).toBe(isThere);
});
