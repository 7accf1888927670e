// @vitest-environment happy-dom
// The report as it is drawn, on the page and in its file; and when its parts are loaded again.
import { act } from "preact/test-utils";
import { render } from "preact";
import { afterEach, describe, expect, it, vi } from "vitest";
import { LOADING, loaded, Polled } from "../../src/data/loadable";
import { fileName } from "../../src/run/files";
import { dataParts } from "../../src/run/inputs_panel";
import { amountTexts, tickTexts } from "../../src/run/plot";
import { strength, yearRows } from "../../src/run/periods";
import { figureName, figureText, Report, type RunParts } from "../../src/run/report";
import { allSettledAs, combined, partOf, partsOfDocument, partsUntil, settledAs } from "../../src/run/run_parts";
import type { Period, RunDocument, RunReport } from "../../src/run/types";
import { equityRow, hold, report, trade } from "./made";

vi.mock("uplot", () => ({ default: class { destroy() {} setSize() {} setData() {} } })); // happy-dom has no canvas
vi.stubGlobal("ResizeObserver", class { observe() {} unobserve() {} disconnect() {} });

const period = (name: string, percent: number | null): Period => ({
  period: name, start_value: 1, end_value: 1, return_percent: percent, max_drawdown_percent: 0, trades: 0, wins: 0, profit: 0,
});
const PARTS_DOCUMENT: RunDocument = {
  made_at: 0,
  report: report({
    name: "april", message: "1 open position", periods: [period("2018-04", 5), period("2018", 5)],
    positions: [{ symbol: "BTC/USD", size: -1.28, price: 7_000.5, close: 6_900, unrealised: 201 }],
    orders: [{ symbol: "BTC/USD", ts: 0, side: "buy", kind: "Limit", size: 0.75, price: 0.1234, reason: "dip" }],
    metrics: { max_drawdown_percent: 1.5, trades: 2 },
  }),
  inputs: {
    run_id: "u-1", spec: {}, yaml: "kind: Backtest\n", data: "BTC/USD=3:0a", images: {}, version: "0.1", path: "engine", seed: null, obstacle: "",
    decimals: { "BTC/USD": 4 }, defaults: { slow: 30 },
  },
  equity: [equityRow(0, 1_000, 0), equityRow(60_000, 1_100, 0)],
  hold: hold([[0, 1_000]]),
  trades: [trade({ seq: 0, pnl_net: 1 }), trade({ seq: 1, pnl_net: -1, entry_price: 7.25 })],
  excursions: [{ seq: 0, lowest: 1, highest: 2, adverse_percent: -1, favourable_percent: 2 }],
  excursions_missing: "",
  trades_left_out: 7,
};
const PARTS = partsOfDocument(PARTS_DOCUMENT);

function drawn(parts: RunParts, choose = vi.fn()): HTMLElement {
  const place = document.createElement("div");
  document.body.replaceChildren(place);
  void act(() => render(<Report parts={parts} chosen={null} choose={choose} />, place));
  return place;
}

const panel = (place: HTMLElement, title: string) => place.querySelector(`[aria-label="${title}"]`) as HTMLElement;

describe("the parts of a run whose replay has gone back", () => {
  const parts = partsOfDocument({
    ...PARTS_DOCUMENT,
    equity: [equityRow(0, 1_000, 0), equityRow(60_000, 1_100, 0)],
    hold: hold([[0, 1_000], [60_000, 1_200]]),
    trades: [trade({ seq: 0, exit_ts: 30_000 }), trade({ seq: 1, exit_ts: 60_000 })],
  });
  it("end at its position", () => {
    const { equity, hold: held, trades, report: whole } = partsUntil(parts, 30_000);
    expect(equity.value?.map(({ ts }) => ts)).toEqual([0]);
    expect(held.value?.points).toEqual([[0, 1_000]]);
    expect(trades.value?.trades.map(({ seq }) => seq)).toEqual([0]);
    expect(whole).toBe(parts.report);
  });
  it("are the same where all of it is shown", () => {
    expect(partsUntil(parts, null)).toBe(parts);
    const seen = partsUntil(parts, 60_000);
    expect([seen.equity.value, seen.hold.value, seen.trades.value]).toEqual([parts.equity.value, parts.hold.value, parts.trades.value]);
    expect(seen.trades.value).toBe(parts.trades.value);
  });
  it("are left out while they are not loaded", () =>
    expect(partsUntil({ equity: LOADING, points: LOADING, hold: LOADING, trades: LOADING }, 1).trades).toEqual(LOADING));
});

describe("a report", () => {
  it("shows all of a run", () => {
    const text = drawn(PARTS).textContent ?? "";
    for (const shown of [
      "april", "1 open position", "7,000.5000", "-1.28", "0.75", "(MAE): 1 of 2 trades", "(MFE): 1 of 2 trades", "0.1234", "dip", "Max drawdown", "3:0a", "kind: Backtest", "2018",
      "2 trades, 7 are not loaded",
    ])
      expect(text).toContain(shown);
  });
  it("says which params were defaults, and where that is not known", () => {
    const params = (place: HTMLElement) => [...panel(place, "Params").querySelectorAll("div")].map(({ textContent }) => textContent);
    expect(params(drawn(PARTS))).toEqual(["fast5", "slow30 (default)"]);
    const foreign = drawn({ ...PARTS, inputs: loaded({ ...PARTS_DOCUMENT.inputs, defaults: null }) });
    expect(params(foreign)).toEqual(["fast5"]);
    expect(panel(foreign, "Inputs").textContent).toContain("had the strategy's own defaults, which the run does not tell");
  });
  it("leads from each drawdown to the time of its trough", () => {
    const drawdowns = [{ percent: 12, amount: 1, peak: 0, trough: 3_600_000, end: null, days: 1.5 }];
    const of = { ...PARTS, report: loaded(report({ drawdowns })) };
    const actions = { play: (end: number, what: string) => <a href={`/at/${end}`}>{what}</a> };
    const place = document.createElement("div");
    render(<Report parts={of} actions={actions} chosen={null} choose={() => undefined} />, place);
    const link = panel(place, "Deepest drawdowns").querySelector("a");
    expect([link?.getAttribute("href"), link?.textContent]).toEqual(["/at/3600000", "Hour before the trough"]);
  });
  it("leads from the worst hour and the worst trade to the chart, and plays the hour", () => {
    const equity = loaded([equityRow(0, 1_000, 0), equityRow(3_600_000, 1_010, 0), equityRow(7_200_000, 846.8, 0)].map((row, seq) => ({ ...row, seq })));
    const trades = loaded({
      trades: [
        trade({ seq: 39, pnl_net: -92.5, entry_ts: 0, exit_ts: 3_600_000 }), // before that hour
        trade({ seq: 40, pnl_net: -80, entry_ts: 3_600_000, exit_ts: 9_000_000 }),
      ],
      leftOut: 0,
    });
    const actions = {
      play: (end: number, what: string) => <a href={`/at/${end}`}>{what}</a>,
      trade: ({ seq }: { seq: number }, text: string) => <a href={`/trade/${seq}`}>{text}</a>,
    };
    const place = document.createElement("div");
    render(<Report parts={{ ...PARTS, equity, trades }} actions={actions} chosen={null} choose={() => undefined} />, place);
    const lines = [...panel(place, "Where it lost most").querySelectorAll("li")];
    expect(lines.map((line) => line.querySelector("span")?.textContent)).toEqual([
      "Worst hour: -163.20, 1970-01-01 01:00–02:00", "Worst trade: #39, -92.50, exit bar 1970-01-01 00:59",
    ]);
    expect(lines.map((line) => [...line.querySelectorAll("a")].map((link) => [link.getAttribute("href"), link.textContent]))).toEqual([
      [["/trade/40", "Show its worst trade on the chart"], ["/at/7200000", "Play"]], [["/trade/39", "Show on the chart"]],
    ]);
  });
  it("tells a time without data, and plays nothing of it", () => {
    const points = [[0, 100], [1, 95], [2, 97], [434, 20]].map(([minute = 0, value = 0], seq) => ({ ...equityRow(60_000 * minute, value, 0), seq }));
    const place = document.createElement("div");
    const actions = { play: (end: number, what: string) => <a href={`/at/${end}`}>{what}</a> };
    render(<Report parts={{ ...PARTS, points: loaded(points) }} actions={actions} chosen={null} choose={() => undefined} />, place);
    const lines = [...panel(place, "Where it lost most").querySelectorAll("li")];
    expect(lines.slice(0, 2).map(({ textContent }) => textContent)).toEqual([
      "Worst hour: -5.00, 1970-01-01 00:00–00:01Play", "7.2 h without data, 1970-01-01 00:02–07:14: equity fell by 77.00 across it",
    ]);
    expect(lines[0]?.querySelector("a")?.getAttribute("href")).toBe("/at/60000");
  });
  it("of drawn points alone says about", () => {
    const place = drawn({ ...PARTS, equity: loaded([equityRow(0, 2, 0), equityRow(60_000, 1, 0)]) });
    expect(panel(place, "Where it lost most").textContent).toContain("Worst hour: about -1.00, 1970-01-01 00:00–00:01");
  });
  it("of a run that never lost names no worst hour", () => {
    const place = drawn({ ...PARTS, trades: loaded({ trades: [trade({ pnl_net: 1 })], leftOut: 0 }) });
    expect(panel(place, "Where it lost most")).toBeNull();
  });
  it("shows trades once it knows the length of the bars that they are of", () => {
    const waiting = panel(drawn({ ...PARTS, report: LOADING }), "Trades");
    expect([waiting.querySelector(".loading") === null, waiting.querySelector("table")]).toEqual([false, null]);
    expect(panel(drawn(PARTS), "Trades").querySelector("table")).not.toBeNull();
  });
  it("has states of their own for its parts: what is known is in sight", () => {
    const place = drawn({ ...PARTS, trades: { value: null, error: "no database" }, inputs: LOADING });
    const states = ["Equity", "Trades", "Hold times", "Inputs"].map((title) => panel(place, title).dataset["state"]);
    expect(states).toEqual(["ready", "unreachable", "unreachable", "loading"]);
    expect(panel(place, "Trades").textContent).toContain("no database");
  });
  it("of a run that goes on says what is shown later", () => {
    const run = report({ state: "running", metrics: null, periods: null, positions: null, orders: null, drawdowns: null });
    const place = drawn({ ...PARTS, report: loaded(run) });
    for (const title of ["Months and years", "Open at the end", "Deepest drawdowns", "All figures"])
      expect(panel(place, title).textContent).toContain("Shown when the run has ended");
  });
  it("of a run that failed says that nothing follows", () => {
    const place = drawn({ ...PARTS, report: loaded(report({ state: "failed", metrics: null, periods: null })) });
    expect(panel(place, "Months and years").textContent).toContain("The run failed before its end");
  });
  it("of a run that failed at its start has what is known alone", () => {
    const failed = report({ state: "failed", symbols: [], exchange: "", interval: "", metrics: null, params: { fast: "abc" } });
    const place = drawn({ ...PARTS, report: loaded(failed), equity: loaded([]), trades: loaded({ trades: [], leftOut: 0 }) });
    expect(place.querySelector(".head-of-run")?.textContent).toBe("crosssma-cross · failed");
    expect([panel(place, "Headline figures"), panel(place, "All figures"), panel(place, "Equity")]).toEqual([null, null, null]);
    expect(panel(place, "Run").textContent).not.toContain("market");
  });
  it("up to a position says so", () => {
    const place = drawn({ ...PARTS, report: loaded(report({ shown_until: 1_522_800_000_000 })) });
    expect(place.textContent).toContain("complete, shown up to 2018-04-04 00:00 UTC, where its replay is");
  });
  it("says why there is no buy-and-hold and are no excursions", () => {
    const missing = "the store has no bars";
    const place = drawn({ ...PARTS, hold: loaded(hold([], missing)), excursions: loaded({ excursions: [], missing }) });
    expect(panel(place, "Equity").textContent).toContain("Buy and hold is not drawn: the store has no bars.");
    expect(panel(place, "Excursions").textContent).toContain("No excursions: the store has no bars.");
  });
});

describe("a part of a run", () => {
  afterEach(() => void vi.useRealTimers());

  it("is loaded until the run has ended and is shown whole, then once more", async () => {
    let state: RunReport = report({ state: "running", ended_at: null });
    const whole = new Polled(() => Promise.resolve(state), 1_000);
    const load = vi.fn(() => Promise.resolve(load.mock.calls.length));
    const part = partOf(() => settledAs(whole.value), load);
    const loads = async () => {
      await whole.refresh();
      await part.refresh();
      return load.mock.calls.length;
    };
    expect([await loads(), await loads()]).toEqual([1, 2]);
    state = report({ shown_until: 5 });
    expect(await loads()).toBe(3);
    state = report();
    expect([await loads(), await loads(), await loads()]).toEqual([4, 4, 4]);
    expect(part.value).toBe(4);
  });
  it("of several runs is settled when all are", () => {
    expect(allSettledAs([report(), report({ state: "running" })])).toBe("");
    expect(allSettledAs([report(), report({ ended_at: 5 })])).toBe("complete 1, complete 5");
    expect(allSettledAs(null)).toBe("");
  });
  it.each([
    [null, ""], [report({ state: "running" }), ""], [report({ shown_until: 3 }), ""], [report({ state: "failed", ended_at: 9 }), "failed 9"],
  ])("of a run is settled as", (run, settled) => expect(settledAs(run)).toBe(settled));
  it("is missing where one of two is", () => {
    expect(combined(loaded(1), LOADING)).toEqual(LOADING);
    expect(combined({ value: 1, error: "a" }, loaded(2))).toEqual({ value: [1, 2], error: "a" });
  });
});

describe("months and years", () => {
  it("are a row for each year", () => {
    const rows = yearRows([period("2017-12", -10), period("2018-02", 5), period("2017", -10), period("2018", 5)]);
    expect(rows.map(({ year, months, total }) => [year, months.map((each) => each?.return_percent ?? null), total?.return_percent])).toEqual([
      ["2017", [null, null, null, null, null, null, null, null, null, null, null, -10], -10],
      ["2018", [null, 5, null, null, null, null, null, null, null, null, null, null], 5],
    ]);
    expect(strength(period("2018-02", 5), rows)).toBe(0.5);
    expect(strength(period("2018-02", 0), yearRows([period("2018-02", 0)]))).toBe(0);
  });
});

it.each([
  [[1_522_800_000_000, 1_522_886_400_000], 86_400_000, ["2018-04-04", "2018-04-05"]],
  [[1_522_800_000_000, 1_522_843_200_000], 43_200_000, ["2018-04-04", "12:00"]],
  [[1_522_800_030_000], 30_000, ["00:00:30"]],
])("ticks at %j, %d ms apart, have times of 24 hours", (ticks, step, texts) => expect(tickTexts(ticks, step)).toEqual(texts));

it.each([
  [[9_999.5, 10_000], 0.5, ["9,999.5", "10,000.0"]],
  [[0, 5_000], 5_000, ["0", "5,000"]],
  [[0.0002, 0.0004], 0.0002, ["0.0002", "0.0004"]],
])("ticks at %j, %d apart, can be told apart", (ticks, step, texts) => expect(amountTexts(ticks, step)).toEqual(texts));

describe("names", () => {
  it.each([
    ["max_drawdown_percent", 1.5, "Max drawdown", "1.50 %"], ["trades", 1_200, "Trades", "1,200"], ["sqn", 1.234, "SQN", "1.23"],
    ["cagr_percent", 1, "CAGR", "1.00 %"], ["probabilistic_sharpe", 0.5, "Probabilistic Sharpe", "0.50"],
    ["average_trade", -3.99, "Average trade (money)", "-3.99"], ["average_trade_percent", 1, "Average trade (%)", "1.00 %"],
  ])("%s", (name, value, shown, text) => expect([figureName(name), figureText(name, value)]).toEqual([shown, text]));
  it("of files are those of the gateway, without folders", () => {
    expect(fileName('attachment; filename="trades.csv"')).toBe("trades.csv");
    expect([fileName(null), fileName('attachment; filename="../x"')]).toEqual([null, null]);
  });
  it("of data are the parts of a fingerprint", () =>
    expect(dataParts("BTC/USD=3:0a;A=B=1:ff;x")).toEqual([["BTC/USD", "3:0a"], ["A=B", "1:ff"], ["bars", "x"]]));
});
