// Differences between runs, compared with ones found by hand.
import { describe, expect, it } from "vitest";
import { commonDecimals, differences, differs, normalised, runLabels, toggled, tradeDifferences } from "../../src/run/compare";
import { differenceText, tradeText } from "../../src/run/compare_panels";
import { equityRow, report, trade } from "./made";

describe("curves on one scale", () => {
  it("begin at 100 and end where their run ends", () => {
    const found = normalised([
      { cash: 1_000, curve: [equityRow(0, 1_000, 0), equityRow(20, 1_100, 0)] },
      { cash: 50, curve: [equityRow(10, 50, 0), equityRow(30, 25, 50)] },
      { cash: 10, curve: [] },
    ]);
    expect(found.ts).toEqual([0, 10, 20, 30]);
    expect(found.values[0]?.map((value) => value && Math.round(value))).toEqual([100, 100, 110, null]);
    expect(found.values.slice(1)).toEqual([[null, 100, 100, 50], [null, null, null, null]]);
  });
});

describe("curves of times that are apart", () => {
  const run = (...points: [ts: number, value: number][]) => ({ cash: 100, curve: points.map(([ts, value]) => equityRow(ts, value, 0)) });
  it("begin at one place, by the time since their start", () => {
    const found = normalised([run([1_000, 100], [1_010, 90], [1_030, 80]), run([5_000, 100], [5_020, 120]), run()]);
    expect(found).toEqual({
      isAligned: true, ts: [0, 10, 20, 30], values: [[100, 90, 90, 80], [100, 100, 120, null], [null, null, null, null]],
    });
  });
  it("are apart where none has points between them", () => {
    const isAligned = (...runs: ReturnType<typeof run>[]) => normalised(runs).isAligned;
    expect(isAligned(run([0, 1], [10, 1]), run([5, 1], [20, 1]))).toBe(false);
    expect(isAligned(run([0, 1], [10, 1]), run([10, 1], [20, 1]))).toBe(true); // one follows the other
    expect(isAligned(run([30, 1], [40, 1]), run([0, 1], [50, 1]), run([45, 1], [46, 1]))).toBe(false); // one is around both
    expect([isAligned(), isAligned(run()), isAligned(run([0, 1]))]).toEqual([false, false, false]);
  });
});

describe("trades that differ", () => {
  const same = trade({ entry_ts: 1, exit_ts: 2, seq: 7 });
  it("are missing in a run, or have other prices or sizes", () => {
    const runs = [
      [same, trade({ entry_ts: 5, exit_ts: 6, size: 1 }), trade({ entry_ts: 3, exit_ts: 4 })],
      [{ ...same, seq: 0 }, trade({ entry_ts: 5, exit_ts: 6, size: 2 })],
    ];
    const found = tradeDifferences(runs);
    expect(found.map(({ entry_ts, is, trades }) => [entry_ts, is, trades.map((each) => each?.size ?? null)])).toEqual([
      [3, "missing", [1, null]], [5, "changed", [1, 2]],
    ]);
  });
  it("of one kind are compared in their order: one run made it twice", () => {
    const found = tradeDifferences([[same, same], [same]]);
    expect(found.map(({ trades }) => trades)).toEqual([[same, null]]);
  });
  it("are others by symbol and side", () =>
    expect(tradeDifferences([[same], [{ ...same, symbol: "ETH/USD" }], [{ ...same, side: "short" }]])).toHaveLength(3));
  it("are none where all are the same", () => expect(tradeDifferences([[same], [same], [same]])).toEqual([]));
});

describe("figures", () => {
  it("differ from the first run", () => {
    expect(differences([1, 3, null, 0.5])).toEqual([0, 2, null, -0.5]);
    expect(differences([null, 3])).toEqual([null, null]);
    expect([differs([1, 1, 1]), differs([1, null]), differs([{ a: 1 }, { a: 1 }])]).toEqual([false, true, false]);
    expect([null, 0, 2, -0.001].map((each) => differenceText(each))).toEqual(["", "=", "+2.00", "-0.001"]);
    expect([null, 0, 88, -3].map((each) => differenceText(each, true))).toEqual(["", "=", "+88", "-3"]);
  });
  it("of trades have prices by the scale of the symbol, and sizes with their digits", () => {
    const decimals = commonDecimals([{ decimals: { "EUR/USD": 4 } }, { decimals: { "EUR/USD": 5, "BTC/USD": 1 } }]);
    expect(["EUR/USD", "BTC/USD", "ETH/USD"].map(decimals)).toEqual([5, 1, 2]);
    const made = trade({ symbol: "EUR/USD", pnl_net: 3, size: 1.28, entry_price: 1.08345 });
    expect([tradeText(null, decimals), tradeText(made, decimals)]).toEqual(["not made", "3.00 (1.28 at 1.08345)"]);
  });
});

describe("the choice of runs", () => {
  it("has six at most, each once", () => {
    expect(toggled(["a", "b"], "a")).toEqual(["b"]);
    expect(toggled(["a"], "b")).toEqual(["a", "b"]);
    expect(toggled([..."abcdef"], "g")).toEqual([..."abcdef"]);
  });
  it("has names that can be told apart", () =>
    expect(runLabels([report({ run_id: "12345678-9" }), report({ run_id: "abcdefgh-9" }), report({ name: "other" })])).toEqual([
      "cross (12345678)", "cross (abcdefgh)", "other",
    ]));
});
