// What differs between the inputs of runs, by specs that are written out.
import { describe, expect, it } from "vitest";
import { inputDifferences, lineText } from "../../src/run/compare_inputs";
import { tradeCountText } from "../../src/run/compare_panels";

const spec = (given: Record<string, unknown>) => ({
  data: { store: { exchange: "coinbase", symbols: ["BTC/USD"] }, intervals: [] }, sizer: { percent: 95 },
  broker: { commissionPercent: 0.1, fill: "nextOpen" }, limits: { barSeconds: 300 }, strategy: { builtin: "sma-cross", params: { fast: 5 } }, ...given,
});

describe("inputs that differ", () => {
  it("are the params, then each field of the specs, then the bars that were read", () => {
    const found = inputDifferences(
      [{ name: "fast", values: [5, 10] }],
      [
        { spec: spec({}), data: "BTC/USD=3:aa" },
        {
          spec: spec({
            data: { replay: { name: "tape", symbols: ["BTC/USD", "ETH/USD"] } }, sizer: { units: 1 }, limits: { barSeconds: 60 },
            broker: { commissionPercent: 0, fill: "nextOpen" }, strategy: { builtin: "sma-cross", params: { fast: 10 } },
          }),
          data: "BTC/USD=4:bb",
        },
      ],
    );
    expect(found).toEqual([
      { name: "fast", values: [5, 10] },
      { name: "broker.commissionPercent", values: [0.1, 0] },
      { name: "data.replay.name", values: [null, "tape"] },
      { name: "data.replay.symbols", values: [null, ["BTC/USD", "ETH/USD"]] },
      { name: "data.store.exchange", values: ["coinbase", null] },
      { name: "data.store.symbols", values: [["BTC/USD"], null] },
      { name: "limits.barSeconds", values: [300, 60] },
      { name: "sizer.percent", values: [95, null] },
      { name: "sizer.units", values: [null, 1] },
      { name: "bars read", values: ["BTC/USD=3:aa", "BTC/USD=4:bb"] },
    ]);
  });
  it("are none of equal specs, whatever is empty or about the resource alone", () =>
    expect(inputDifferences([], [
      { spec: spec({ suspend: true, checks: [] }), data: "" }, { spec: spec({ ttlSecondsAfterFinished: 60, analyzers: [] }), data: "" },
    ])).toEqual([]));
});

describe("runs without a line", () => {
  it("say why", () => {
    expect(lineText([{ label: "cross", trials: 0, points: 5 }])).toBe("");
    expect(lineText([{ label: "cross", trials: 0, points: 0 }, { label: "grid", trials: 24, points: 0 }, { label: "walk", trials: 24, points: 9 }])).toBe(
      "grid: a sweep has no line, as each of its trials has an account of its own; cross: no equity yet",
    );
  });
});

describe("the number of trades that differ", () => {
  it("has no part of nothing", () =>
    expect([tradeCountText(0, 84), tradeCountText(1, 0), tradeCountText(2, 1)]).toEqual([
      "84 trades have other prices or sizes", "1 trade was not made by all runs",
      "2 trades were not made by all runs; 1 trade has other prices or sizes",
    ]));
});
