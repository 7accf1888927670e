// Figures, order and filters of trades, compared with values computed by hand.
import { describe, expect, it } from "vitest";
import { equityColumns, equityText, lastBy } from "../../src/run/curves";
import { dotsOf, summaryOf, thinned } from "../../src/run/excursion_plot";
import { headline } from "../../src/run/headline";
import { COLUMNS, type Order, reasons, tradeTable, withOutcome } from "../../src/run/trade_table";
import { equityFigures, tradeFigures, tradeRows } from "../../src/run/trades";
import { countText } from "../../src/run/trades_panel";
import { equityRow, hold, report, trade } from "./made";

const TRADES = [
  trade({ seq: 0, size: 2, entry_price: 100, pnl_net: 30, entry_ts: 0, exit_ts: 60_000, symbol: "ETH/USD" }), // +15 %
  trade({ seq: 1, size: -1, entry_price: 50, pnl_net: -10, entry_ts: 0, exit_ts: 180_000, side: "short", exit_reason: "stop" }), // -20 %
  trade({ seq: 2, size: 1, entry_price: 200, pnl_net: 20, entry_ts: 0, exit_ts: 360_000 }), // +10 %
  trade({ seq: 3, size: 1, entry_price: 0, pnl_net: -15, entry_ts: 0, exit_ts: 0 }), // of an entry that cost nothing
];
const EXCURSIONS = [{ seq: 1, lowest: 48, highest: 61, adverse_percent: -22, favourable_percent: 4 }];
const ROWS = tradeRows(TRADES, EXCURSIONS);

describe("trades", () => {
  it("have returns of their value at entry, hold times and excursions", () => {
    expect(ROWS.map(({ returnPercent }) => returnPercent)).toEqual([15, -20, 10, null]);
    expect(ROWS.map(({ held }) => held)).toEqual([60_000, 180_000, 360_000, 0]);
    expect(ROWS.map(({ adversePercent }) => adversePercent)).toEqual([null, -22, null, null]);
  });
  it("have figures", () =>
    expect(tradeFigures(ROWS)).toEqual({
      trades: 4, wins: 2, losses: 2, profitFactor: 2, averagePercent: 5 / 3, averageHold: 150_000, medianHold: 120_000,
    }));
  it("without a loss have no profit factor", () => expect(tradeFigures(ROWS.slice(0, 1)).profitFactor).toBeNull());
});

describe("the table of trades", () => {
  const seqs = (order: Order, text = "", rows = ROWS) => tradeTable(rows)(order, text).map(({ seq }) => seq);
  it.each([
    [{ column: "returnPercent", descending: false }, [1, 2, 0, 3]], // what is missing comes last, either way
    [{ column: "returnPercent", descending: true }, [0, 2, 1, 3]],
    [{ column: "held", descending: true }, [2, 1, 0, 3]],
    [{ column: "symbol", descending: false }, [1, 2, 3, 0]],
    [{ column: "seq", descending: true }, [3, 2, 1, 0]],
  ] as [Order, number[]][])("by %j", (order, expected) => expect(seqs(order)).toEqual(expected));
  it("is filtered by symbol, side and reason, in any case of letters", () => {
    const order: Order = { column: "seq", descending: false };
    expect(seqs(order, " eth")).toEqual([0]);
    expect(seqs(order, "SHORT")).toEqual([1]);
    expect(seqs(order, "stop")).toEqual([1]);
    expect(seqs(order, "100")).toEqual([]); // no number is searched
    expect(seqs(order, "", withOutcome(ROWS, "lost"))).toEqual([1, 3]);
    expect(seqs(order, "btc", withOutcome(ROWS, "won"))).toEqual([2]);
  });
  it("can be asked again: the last question alone counts", () => {
    const table = tradeTable(ROWS);
    expect(table({ column: "seq", descending: true }, "short")).toHaveLength(1);
    expect(table({ column: "seq", descending: true }, "")[0]?.seq).toBe(3);
  });
  it("shows prices by the scale of their symbol", () => {
    const texts = Object.fromEntries(COLUMNS.map(({ id, text }) => [id, text({ ...ROWS[0]!, entry_price: 0.00001234, entry_ts: 60_000 }, () => 8, "1m")]));
    expect(texts["entry_price"]).toBe("0.00001234");
    expect(COLUMNS.find(({ id }) => id === "size")?.text({ ...ROWS[0]!, size: 1.28 }, () => 2, "1m")).toBe("1.28");
    const excursions = (adversePercent: number | null, favourablePercent: number | null) =>
      ["adversePercent", "favourablePercent"].map((each) => COLUMNS.find(({ id }) => id === each)?.text({ ...ROWS[0]!, adversePercent, favourablePercent }, () => 2, "1m"));
    expect(excursions(-0.000137, 0.000137)).toEqual(["0.00 %", "+0.00 %"]);
    expect([...excursions(-1.236, 2), ...excursions(null, null)]).toEqual(["-1.24 %", "+2.00 %", "–", "–"]);
    expect([texts["returnPercent"], texts["held"], texts["entry_ts"]]).toEqual(["+15.00 %", "1 min", "1970-01-01 00:00"]);
    expect(ROWS.map(reasons)).toEqual(["", "– → stop", "", ""]);
  });
  it.each([
    [4, 4, 0, "4 trades"], [1, 4, 0, "1 of 4 trades"],
    [4, 4, null, "4 trades, more are not loaded: export the file for all"],
    [2, 4, 12_000, "2 of 4 trades, 12,000 are not loaded: export the file for all"],
  ])("says how many it shows", (shown, all, left, text) => expect(countText(shown, all, left)).toBe(text));
});

describe("excursions", () => {
  it("are of trades that have both figures, against the run and for it", () => {
    expect(dotsOf(ROWS, "adverse")).toEqual([{ seq: 1, moved: 22, returned: -20 }]);
    expect(dotsOf(ROWS, "favourable")).toEqual([{ seq: 1, moved: 4, returned: -20 }]);
  });
  it("are thinned where there are many, but the furthest ones stay, and all count in what is said", () => {
    const many = Array.from({ length: 3_000 }, (_, seq) => ({ seq, moved: 1, returned: seq % 2 === 0 ? 1 : -1 }));
    many[1_001] = { seq: 1_001, moved: 40, returned: -30 };
    many[1_003] = { seq: 1_003, moved: 2, returned: 25 };
    const drawn = thinned(many);
    expect(drawn.map(({ seq }) => seq)).toEqual([...Array.from({ length: 1_500 }, (_, i) => 2 * i), 1_001, 1_003].sort((a, b) => a - b));
    expect(summaryOf(many, drawn.length, 3_010, "adverse")).toBe(
      "3,000 of 3,010 trades, the furthest against the run 40.00 %, of trades that won 2.00 %, 1,502 are drawn",
    );
    expect(summaryOf(many, 3_000, 3_000, "favourable")).toBe(
      "3,000 trades, the furthest for the run 40.00 %, of trades that lost 40.00 %",
    );
    expect(thinned(many.slice(0, 9))).toHaveLength(9);
  });
});

describe("the equity curve", () => {
  const CURVE = [equityRow(0, 1_000, 0), equityRow(60_000, 900, 10), equityRow(120_000, 1_200, 0)];
  it("has buy-and-hold beside it by the last value at each time, and the drawdown below 0", () => {
    const columns = equityColumns(CURVE, hold([[60_000, 50], [90_000, 70]]));
    expect(columns).toEqual({ ts: [0, 60_000, 120_000], value: [1_000, 900, 1_200], hold: [null, 50, 70], drawdown: [0, -10, 0] });
    expect(Object.is(columns.drawdown[0], -0)).toBe(false);
    expect(equityText(columns, (value) => value.toFixed(0))).toBe(
      "Equity from 1000 on 1970-01-01 to 1200 on 1970-01-01, buy and hold 70, deepest drawdown 10 %",
    );
    expect(equityText(equityColumns([], null), String)).toBe("Equity: no points");
  });
  it("has figures", () => {
    const { returnPercent, ...others } = equityFigures(1_000, CURVE);
    expect(returnPercent).toBeCloseTo(20, 12);
    expect(others).toEqual({ points: 3, maxDrawdownPercent: 10 });
    expect(equityFigures(1_000, [])).toEqual({ points: 0, returnPercent: null, maxDrawdownPercent: null });
  });
  it("takes the last of several points of one time", () => expect(lastBy([5, 6], [[5, 1], [5, 2], [7, 3]])).toEqual([2, 2]));
});

describe("the headline", () => {
  it("of a run that goes on has what is known so far", () => {
    const figures = headline(report({ state: "running", metrics: null, cash: 100 }), [equityRow(0, 110, 3)], ROWS);
    expect(figures.map(({ name, text, sample }) => [name, text, sample])).toEqual([
      ["Return", "+10.00 %", "so far"], ["Max drawdown", "3.00 %", "so far"], ["Sharpe", "–", ""],
      ["Win rate", "50.00 %", "4 closed trades"], ["Profit factor", "2.00", "4 closed trades"],
      ["Average trade", "+1.67 %", "4 closed trades"],
    ]);
    expect(figures[2]?.reason).toBe("it is computed when the run has ended, and its replay has reached that");
  });
  it("of a run that failed has what is known, too", () => {
    const figures = headline(report({ state: "failed", metrics: {}, cash: 100 }), [equityRow(0, 110, 3)], []);
    expect([figures[0]?.text, figures[2]?.reason]).toEqual(["+10.00 %", "the run failed before its end"]);
  });
  it("of a run that has ended has its figures, each with its sample", () => {
    const metrics = {
      return_percent: -4.5, buy_and_hold_percent: 3, max_drawdown_percent: 12, max_drawdown_days: 1.5, sharpe: 1.25,
      sharpe_error: 0.4, probabilistic_sharpe: 0.99, daily_returns: 90, trades: 1, wins: 1, losses: 0, profit_factor: null,
      average_trade_percent: 0.5, average_hold_hours: 6,
    };
    const figures = headline(report({ bars: 1_000, metrics, undefined: { profit_factor: "no closed trade has a loss" } }), [], []);
    expect(figures.map(({ text, detail, sample, tone }) => [text, detail, sample, tone])).toEqual([
      ["-4.50 %", "buy and hold +3.00 %", "1,000 bars", "down"],
      ["12.00 %", "lasted 1.5 d", "1,000 bars", "plain"],
      ["1.25 ± 0.40", "above 0 with probability 99.00 %", "90 daily returns", "up"],
      ["100.00 %", "95 %: 20.65 % to 100.00 %", "1 closed trade", "plain"],
      ["–", "", "1 closed trade", "plain"],
      ["+0.50 %", "held 6 h on average", "1 closed trade", "up"],
    ]);
    const few = headline(report({ metrics: { ...metrics, sharpe: null, daily_returns: 3 }, undefined: { sharpe: "got 3 daily returns, expected at least 30" } }), [], [])[2];
    expect([few?.reason, few?.sample]).toEqual(["got 3 daily returns, expected at least 30", ""]);
    expect(figures[4]?.reason).toBe("no closed trade has a loss");
    const drawdowns = [{ percent: 12, amount: 1, peak: 0, trough: 3_600_000, end: null, days: 1.5 }];
    expect(headline(report({ metrics, drawdowns }), [], [])[1]?.detail).toBe("lasted 1.5 d, lowest at 1970-01-01 01:00");
  });
});
