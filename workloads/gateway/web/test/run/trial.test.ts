// A trial of a sweep that is opened: which one a cell or a line stands for, its place, its tests, and the form that runs it.
import { describe, expect, it } from "vitest";
import type { Resource } from "../../src/data/types";
import { given, givenRest, initialValues, putRest } from "../../src/new/fields";
import { FORMS, manifestOf, restFor } from "../../src/new/forms";
import { type KnownStrategy, withStrategies } from "../../src/new/strategy_fields";
import { cellName, nearestLine, rankOf, testsOf, trialsOfCells } from "../../src/run/chosen_trial";
import { coordinates } from "../../src/run/sweep";
import { trialAddress } from "../../src/run/trial_form";
import type { Trial, WalkForwardWindow } from "../../src/run/types";
import { report } from "./made";

const trial = (number: number, params: Record<string, unknown>, objective: number | null, more: Partial<Trial> = {}): Trial => ({
  window: 0, trial: number, params, start: 0, end: 1, metrics: {}, objective, feasible: objective !== null, message: "", ...more,
});

describe("a cell of the heat map", () => {
  const trials = [
    trial(0, { a: 1, b: 2, c: 1 }, 5), trial(1, { a: 1, b: 2, c: 2 }, 9), trial(2, { a: 1, b: 3, c: 1 }, null, { message: "bust" }), trial(3, { a: 1 }, 99),
  ];
  it("opens the best of its trials, and where none is feasible the first", () => {
    const opens = (direction: "maximize" | "minimize") => {
      const found = trialsOfCells(trials, "a", "b", direction);
      return [found.get(cellName(1, 2))?.trial, found.get(cellName(1, 3))?.trial, found.get(cellName(2, 2))?.trial];
    };
    expect([opens("maximize"), opens("minimize")]).toEqual([[1, 2, undefined], [0, 2, undefined]]);
  });
});

describe("a click on the parallel coordinates", () => {
  const lines = coordinates([trial(0, { a: 1, b: 1 }, 1), trial(1, { a: 2, b: 3 }, 2), trial(2, { a: 3, b: 1 }, 3)], ["a", "b"]);
  it.each([
    [0, 0.5, 1], [0.5, 0.75, 1], [0.5, 0.02, 0], [1.5, 0.5, 2], [2, 0.49, 1], [0.5, 0.3, null],
  ])("at axis %d and place %d opens the trial %j", (axis, place, expected) =>
    expect(nearestLine(lines, axis, place, 0.05)?.trial ?? null).toBe(expected));
});

describe("an opened trial", () => {
  it("says where it stands among those that are ranked", () => {
    const trials = [trial(0, { a: 1 }, 5), trial(1, { a: 2 }, 9), trial(2, { a: 3 }, null), trial(0, { a: 1 }, 99, { window: 1 })];
    expect(rankOf(trials, trials[0] as Trial, "maximize")).toEqual({ place: 2, of: 2 });
    expect(rankOf(trials, trials[0] as Trial, "minimize")).toEqual({ place: 1, of: 2 });
    expect(rankOf(trials, trials[2] as Trial, "maximize")).toBeNull();
  });
  it("has the test windows that traded its params, and that after its own window", () => {
    const window = (number: number, best: number, params: object): WalkForwardWindow => ({
      window: number, params: { ...params }, in_sample: trial(best, { ...params }, 1, { window: number }),
      out_of_sample: trial(-1, { ...params }, 2, { window: number }),
    });
    const windows = [window(0, 4, { a: 1, b: 2 }), window(1, 7, { b: 3, a: 1 }), window(2, 4, { b: 2, a: 1 })];
    const tests = (of: Trial) => {
      const { traded, of: all, windows: shown } = testsOf(windows, of);
      return [traded, all, shown.map(({ window: number }) => number)];
    };
    expect(tests(trial(4, { a: 1, b: 2 }, 1, { window: 1 }))).toEqual([2, 3, [0, 1, 2]]);
    expect(tests(trial(9, { a: 9, b: 9 }, 1, { window: 1 }))).toEqual([0, 3, [1]]);
  });
});

const STORE = { exchange: "coinbase", symbols: ["BTC/USD", "ETH/USD"], interval: "5m", from: "2018-04-04T00:00:00Z" };
const SPEC = {
  strategy: { builtin: "rsi", params: { period: 14, lower: 30 } },
  data: { store: STORE, intervals: [], warmupBars: 50 },
  broker: { cash: 5_000, commissionPercent: 0.2, shorts: false, slippagePercent: 0 },
  sweep: { params: [{ name: "period", values: [7, 14] }] },
  suspend: false, ttlSecondsAfterFinished: 60, observers: [], limits: { barSeconds: 300 },
};
const RSI = { strategy: "rsi", about: "Buys low.", given_in: {} };
const STRATEGIES: KnownStrategy[] = [{ ...RSI, params: { period: 14, lower: 30.0, upper: 70.0 } }];

/** What New makes of the address of a trial. */
function made(spec: Record<string, unknown>, of: Trial, known: Resource[] = [], strategies = STRATEGIES, changes: Record<string, string> = {}) {
  const address = trialAddress(report({ run_id: "u-1", name: "grid", namespace: "default" }), spec, of, known);
  const query = new URLSearchParams(address?.split("?")[1]);
  const first = { ...initialValues(FORMS.backtest), ...given(FORMS.backtest, query) };
  const values = { ...first, ...changes };
  const rest = restFor(givenRest(query), first, values);
  return manifestOf("backtest", withStrategies(FORMS.backtest, strategies, values, first, rest), values, [], rest);
}

describe("running a trial", () => {
  const one = trial(3, { period: 7 }, 1);
  it("makes a Backtest of the sweep's strategy, data and costs, with the trial's params and a name of its own", () => {
    expect(made(SPEC, one)).toEqual({
      apiVersion: "tapedeck.dev/v1alpha1", kind: "Backtest", metadata: { name: "grid-t3" },
      spec: {
        strategy: { builtin: "rsi", params: { period: 7, lower: 30 } },
        data: { store: STORE, warmupBars: 50 },
        broker: { cash: 5_000, commissionPercent: 0.2, shorts: false, slippagePercent: 0 },
        limits: { barSeconds: 300 },
      },
    });
    expect(SPEC.strategy.params.period).toBe(14); // the sweep's own spec stays
  });
  it("has its params also before it is known which ones the strategy has", () => expect(made(SPEC, one, [], [])).toEqual(made(SPEC, one)));
  it("has all its params where the strategy is of an earlier version that had fewer, unless another one is chosen", () => {
    const fewer: KnownStrategy[] = [{ ...RSI, params: { period: 14 } }, { ...RSI, strategy: "macd", params: { fast: 3 } }];
    expect(made(SPEC, one, [], fewer)).toEqual(made(SPEC, one));
    expect(made(SPEC, one, [], fewer, { builtin: "macd" })["spec"]).toMatchObject({ strategy: { builtin: "macd" } });
    expect((made(SPEC, one, [], fewer, { builtin: "macd" })["spec"] as { strategy: object }).strategy).toEqual({ builtin: "macd" });
  });
  it("keeps the size of orders, in percent or otherwise", () => {
    expect(made({ ...SPEC, sizer: { percent: 50, whole: true } }, one)["spec"]).toMatchObject({ sizer: { percent: 50, whole: true } });
    expect(made({ ...SPEC, sizer: { fixed: 2 } }, one)["spec"]).toMatchObject({ sizer: { fixed: 2 } });
  });
  it("of a walk-forward has the bars of its window", () => {
    const spec = { ...SPEC, sweep: { walkForward: { trainDays: 1, testDays: 1 } } };
    const found = made(spec, trial(3, { period: 7 }, 1, { window: 2, start: Date.UTC(2018, 3, 5), end: Date.UTC(2018, 3, 6) }));
    expect(found).toMatchObject({
      metadata: { name: "grid-w2-t3" },
      spec: { data: { store: { ...STORE, from: "2018-04-05T00:00:00Z", to: "2018-04-06T00:00:00Z" } } },
    });
  });
  it("of a strategy of its own has its params, its ConfigMap and the folder of its modules, unless another one is chosen", () => {
    const spec = { ...SPEC, strategy: { module: "mine:Mine", configMap: "code", params: { fast: true, mode: "x" } } };
    const known = [{ metadata: { uid: "u-1", name: "grid", namespace: "default", annotations: { "tapedeck.dev/folder": "/f", "other/a": "b" } } }];
    const of = trial(0, { mode: "y" }, 1);
    const found = made(spec, of, known as unknown as Resource[]);
    expect(found).toMatchObject({
      metadata: { name: "grid-t0", annotations: { "tapedeck.dev/folder": "/f" } },
      spec: { strategy: { module: "mine:Mine", configMap: "code", params: { fast: true, mode: "y" } } },
    });
    expect((found["metadata"] as { annotations: object }).annotations).not.toHaveProperty("other/a");
    const changed = made(spec, of, [], STRATEGIES, { strategy: "built-in", builtin: "rsi" });
    expect(changed["spec"]).toMatchObject({ strategy: { builtin: "rsi" }, data: { warmupBars: 50 } });
    expect((changed["spec"] as { strategy: object }).strategy).toEqual({ builtin: "rsi" });
  });
  it("has a name that is free where the sweep is", () => {
    const backtest = (name: string, namespace: string) => ({ metadata: { uid: name, name, namespace } }) as Resource;
    const name = (...known: Resource[]) => (made(SPEC, one, known)["metadata"] as { name: string }).name;
    expect([name(backtest("grid-t3", "default")), name(backtest("grid-t3", "team"))]).toEqual(["grid-t3-2", "grid-t3"]);
    const far = trialAddress(report({ name: "grid", namespace: "team" }), SPEC, one, [backtest("grid-t3", "team")]);
    const query = new URLSearchParams(far?.split("?")[1]);
    expect([query.get("name"), givenRest(query)["metadata"]]).toEqual(["grid-t3-2", { namespace: "team" }]);
  });
  it("is not offered where the spec is not known", () => expect(trialAddress(report(), {}, one, [])).toBeNull());
});

describe("the rest of a resource", () => {
  it("is put where the form has written nothing", () => {
    const tree = { a: { b: 1 }, c: "x" };
    putRest(tree, { a: { b: 2, d: [3] }, c: { e: 4 }, f: 5 });
    expect(tree).toEqual({ a: { b: 1, d: [3] }, c: "x", f: 5 });
  });
  it("of an address that has none, or nonsense, is nothing", () =>
    expect(["", "rest=", "rest=%7B", "rest=[1]", "rest=3"].map((text) => givenRest(new URLSearchParams(text)))).toEqual([{}, {}, {}, {}, {}]));
});
