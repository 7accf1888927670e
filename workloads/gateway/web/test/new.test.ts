// The forms of new resources: YAML compared with texts written by hand, and what the gateway says of it.
import { afterEach, describe, expect, it, vi } from "vitest";
import { apply, problemsAt, problemsOf } from "../src/new/apply";
import { type Field, initialValues, put, putValues, shownFields, valueOf, type Values } from "../src/new/fields";
import { refusals, storeWarnings } from "../src/new/form_checks";
import { FORMS, KINDS, manifestOf } from "../src/new/forms";
import { CHANGE_KINDS, changeFields, newChange } from "../src/new/scenario";
import { withStrategies } from "../src/new/strategy_fields";
import { identityOf, type Json, toYaml } from "../src/new/yaml";
import { RequestError } from "../src/data/request";

describe("YAML", () => {
  it("is written as people write it", () => {
    const value = {
      kind: "Replay", metadata: { name: "a" },
      spec: { symbols: ["BTC/USD", "*/EUR"], from: "2018-04-04T00:00:00Z", count: 1.5, on: true, empty: {}, none: [], sets: [{ path: "x y", symbol: "no" }, 3], deep: [{ a: { b: 1 } }] },
    };
    expect(toYaml(value)).toBe(`kind: Replay
metadata:
  name: a
spec:
  symbols: [BTC/USD, "*/EUR"]
  from: "2018-04-04T00:00:00Z"
  count: 1.5
  "on": true
  empty: {}
  none: []
  sets:
    - path: "x y"
      symbol: "no"
    - 3
  deep:
    - a:
        b: 1
`);
  });

  it.each([
    ["1m", "1m"], ["BTC/USD", "BTC/USD"], ["1e3", '"1e3"'], ["yes", '"yes"'], ["Null", '"Null"'], ["a: b", '"a: b"'], ["", '""'],
    ["a#b", '"a#b"'], ["line\nbreak", '"line\\nbreak"'], ["2018-04-04", '"2018-04-04"'], ["0x1", '"0x1"'], ["-", '"-"'], ["a\u2028b", '"a\u2028b"'],
  ])("keeps the text %j", (text, written) => expect(toYaml({ a: text })).toBe(`a: ${written}\n`));

  it("says which resource it is of", () => {
    const of = (kind: string, namespace: string, name: string) => ({ kind, namespace, name });
    expect(identityOf("kind: Feed\nmetadata:\n  namespace: team\n  name: 'a'\nspec:\n  name: b\n")).toEqual(of("Feed", "team", "a"));
    expect(identityOf("metadata: {name: a, namespace: b}\nkind: \"Replay\"\n")).toEqual(of("Replay", "b", "a"));
    expect(identityOf("spec: {}\n")).toEqual(of("", "", ""));
  });
});

describe("a field", () => {
  it("becomes a value of its type", () => {
    expect([valueOf("number", " 1.5 "), valueOf("number", "x"), valueOf("text", ""), valueOf("flag", "true"), valueOf("flag", "")]).toEqual([
      1.5, "x", undefined, true, undefined,
    ]);
    const times = ["2018-04-05 17:24", "2018-04-05", "2018-04-05T17:24:30Z", "2018-04-05T17:24:00+02:00", "noon"].map((text) => valueOf("time", text));
    expect(times).toEqual(["2018-04-05T17:24:00Z", "2018-04-05", "2018-04-05T17:24:30Z", "2018-04-05T17:24:00+02:00", "noon"]);
    expect(valueOf("list", "BTC/USD, ETH/USD  LTC/USD,")).toEqual(["BTC/USD", "ETH/USD", "LTC/USD"]);
  });

  it("is put at its path, lists by places", () => {
    const tree: Record<string, Json> = {};
    put(tree, "spec.sets.0.path", "x");
    put(tree, "spec.sets.0.symbol", "y");
    put(tree, "spec.speed", 2);
    expect(tree).toEqual({ spec: { sets: [{ path: "x", symbol: "y" }], speed: 2 } });
  });

  it("that belongs to another choice is not written", () => {
    const fields: Field[] = [
      { id: "a", label: "", type: "text", path: "a", shown: ({ b }) => b === "1" }, { id: "b", label: "", type: "text", path: "" },
    ];
    const tree: Record<string, Json> = {};
    putValues(tree, fields, { a: "x", b: "2" });
    expect([tree, shownFields(fields, { b: "1" }).length]).toEqual([{}, 2]);
  });
});

const written = (kind: (typeof KINDS)[number], values: Values = {}) =>
  toYaml(manifestOf(kind, FORMS[kind], { ...initialValues(FORMS[kind]), ...values }, []));

describe("a form", () => {
  it("writes a Replay of the store, with its scenario", () => {
    const shock = newChange("shock");
    const entries = [{ ...shock, values: { ...shock.values, from: "2018-04-05T12:00:00Z" } }, newChange("outage")];
    const values = { ...initialValues(FORMS.replay), symbols: "BTC/USD ETH/USD", unpaced: "true" };
    expect(toYaml(manifestOf("replay", FORMS.replay, values, entries))).toBe(`apiVersion: tapedeck.dev/v1alpha1
kind: Replay
metadata:
  name: my-replay
spec:
  source:
    store:
      exchange: coinbase
      symbols: [BTC/USD, ETH/USD]
      interval: 1m
  speed: 3600
  unpaced: true
  atEnd: finish
  scenario:
    - shock:
        percent: -20
        duration: 600
      from: "2018-04-05T12:00:00Z"
    - outage:
        percent: 100
`);
  });

  it("writes what was chosen alone", () => {
    expect(written("replay", { source: "synthetic" })).toContain("source:\n    synthetic:\n      symbols:\n        - symbol: BTC/USD\n          price: 60000\n");
    expect(written("feed", { source: "files" })).toBe(`apiVersion: tapedeck.dev/v1alpha1
kind: Feed
metadata:
  name: my-feed
spec:
  source:
    files:
      exchange: my-exchange
      sets:
        - path: "data/*.csv"
      interval: 1m
`);
    expect(written("backtest", { data: "replay", builtin: "rsi" })).toContain("strategy:\n    builtin: rsi\n  data:\n    replay:\n      name: my-replay\n");
  });

  const RSI = { strategy: "rsi", params: { period: 14, mode: "fast" }, about: "Buys low.", given_in: {} };
  const MINE = { strategy: "my:Mine", params: { fast: 20, slow: "x" }, about: null, given_in: { fast: "sma-slower", slow: "a" } };

  it("has the params of the chosen strategy, whose defaults are left out", () => {
    const values = { ...initialValues(FORMS.backtest), builtin: "rsi" };
    const fields = withStrategies(FORMS.backtest, [RSI, MINE], values);
    const [builtin, period, mode] = fields.filter(({ path }) => path.startsWith("spec.strategy"));
    expect([builtin?.options, builtin?.hint, period?.type, period?.hint, mode?.type]).toEqual([["rsi"], "Buys low.", "number", "14 if empty", "text"]);
    const manifest = manifestOf("backtest", fields, { ...values, "param period": "7" }, []);
    expect(manifest["spec"]).toMatchObject({ strategy: { builtin: "rsi", params: { period: 7 } } });
  });

  it("has the params that runs gave a strategy of one's own, and says of which run each is", () => {
    const values = { ...initialValues(FORMS.backtest), strategy: "module", module: "my:Mine", "param fast": "5" };
    const paramsOf = (rest = {}) => withStrategies(FORMS.backtest, [RSI, MINE], values, {}, rest).filter(({ id }) => id.startsWith("param "));
    expect(shownFields(paramsOf(), values).map(({ label, type, hint }) => [label, type, hint])).toEqual([
      ["fast", "number", "20 in run sma-slower"], ["slow", "text", "x in run a"],
    ]);
    expect(paramsOf({ spec: { strategy: { params: { fast: 7 } } } }).map(({ label }) => label)).toEqual(["slow"]);
    expect(manifestOf("backtest", [...FORMS.backtest, ...paramsOf()], values, [])["spec"]).toMatchObject({ strategy: { module: "my:Mine", params: { fast: 5 } } });
  });

  it.each([["abc", "got abc, expected a number, such as its default 14"], ["7", ""], [" ", ""]])("refuses of a param of a number the text %j: %j", (text, message) => {
    const values = { ...initialValues(FORMS.backtest), builtin: "rsi", "param period": text, "param mode": "slow" };
    const fields = withStrategies(FORMS.backtest, [RSI], values);
    expect(refusals(fields, values)).toEqual(message === "" ? [] : [{ field: "spec.strategy.params.period", message }]);
    expect(refusals(fields, { ...values, strategy: "module" })).toEqual([]);
  });

  it.each([
    ["DOGE/USD, BTC/USD ADA/USD", "coinbase", "coinbase has no bars of DOGE/USD, ADA/USD in the store"], ["BTC/USD", "coinbase", ""],
    ["BTC/USD", "kraken", "kraken has no bars of BTC/USD in the store"], ["*/EUR", "coinbase", ""], ["", "coinbase", ""],
  ])("warns of the symbols %j of %s: %j", (symbols, exchange, message) => {
    const stored = [{ symbol: "BTC/USD", ticker: "coinbase:BTC/USD", description: "", exchange: "coinbase", type: "crypto" }];
    const values = { ...initialValues(FORMS.backtest), symbols, exchange };
    expect(storeWarnings(FORMS.backtest, values, stored)).toEqual(message === "" ? [] : [{ field: "spec.data.store.symbols", message }]);
    expect(storeWarnings(FORMS.backtest, values, null)).toEqual([]);
    expect(storeWarnings(FORMS.backtest, { ...values, data: "replay" }, stored)).toEqual([]);
  });

  it.each(CHANGE_KINDS)("has fields of a change of kind %s, each below its place", (kind) => {
    const fields = changeFields(kind, 3);
    expect(fields.every(({ path }) => path.startsWith("spec.scenario.3."))).toBe(true);
    expect(fields.some(({ path }) => path.startsWith(`spec.scenario.3.${kind}.`))).toBe(true);
    expect(new Set(fields.map(({ id }) => id)).size).toBe(fields.length);
  });
});

describe("applying", () => {
  afterEach(() => vi.unstubAllGlobals());
  const answer = (status: number, body: object) => {
    const asked = vi.fn(() => Promise.resolve(new Response(JSON.stringify(body), { status })));
    vi.stubGlobal("fetch", asked);
    vi.stubGlobal("sessionStorage", { getItem: () => "t" });
    return asked;
  };
  const text = "kind: Feed\nmetadata:\n  name: a\n";

  it("posts the text as it is, and only asks in a dry run", async () => {
    const asked = answer(200, { kind: "Feed", metadata: { name: "a", namespace: "default" } });
    expect(await apply(text, true)).toEqual({ is: "fits" });
    expect(asked).toHaveBeenCalledWith("/api/v1/namespaces/default/feeds?dryRun=1", expect.objectContaining({ method: "POST", body: text }));
    answer(201, { kind: "Feed", metadata: { name: "a", namespace: "default", uid: "u" } });
    expect(await apply(text, false)).toEqual({ is: "made", made: { kind: "Feed", namespace: "default", name: "a", uid: "u", spec: {} } });
  });

  it("says which fields are wrong", async () => {
    answer(400, { detail: "spec.sets[0].path: expected a text\nspec.speed: got 0, expected more" });
    const outcome = await apply(text, true);
    const problems = [{ field: "spec.sets.0.path", message: "expected a text" }, { field: "spec.speed", message: "got 0, expected more" }];
    expect(outcome).toEqual({ is: "refused", problems });
    expect([problemsAt(problems, "spec.sets").length, problemsAt(problems, "spec.speed").length, problemsAt(problems, "").length]).toEqual([1, 1, 0]);
    expect(problemsOf(new Error("nothing answers"))).toEqual([{ field: "", message: "nothing answers" }]);
    expect(problemsOf(new RequestError("Feed a exists already", 409))).toEqual([
      { field: "metadata.name", message: "Feed a exists already: choose another name" },
    ]);
  });

  it("needs a kind that the page knows", async () => {
    expect(await apply("kind: Pod\n", true)).toEqual({
      is: "refused", problems: [{ field: "kind", message: "got Pod, expected Feed, Replay or Backtest" }],
    });
  });
});
