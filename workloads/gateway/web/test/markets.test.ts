// @vitest-environment happy-dom
// What the view of markets computes: rows and their order, ranges of analytics, and what is pushed.
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { Request } from "../../../../client/js/src/socket";
import { heatOf, lastPeriods, mergedPairs, periodReports, startOf, statisticsReport } from "../src/markets/analytics";
import { finestInterval, hasBarsOf, lastClose } from "../src/markets/intervals";
import { FOLLOWED_MAX, LivePrices, priceOf, requestOf } from "../src/markets/live_prices";
import { exchangesOf, movesBySymbol } from "../src/markets/market_lists";
import {
  alsoText, barsText, changeText, lastText, marketRows, marketTable, ofExchange, priceDecimals, spanOf,
} from "../src/markets/market_rows";
import { chosenOf, CHOSEN_MAX, toggleSymbol } from "../src/markets/selection";
import { groupsByEnd } from "../src/markets/time_groups";
import { pairsText, shortNames } from "../src/markets/statistics_panels";
import type { Mover, MoverReport, StoredSymbol } from "../src/markets/types";
import { address, startRouter } from "../src/shell/router";

const subscriptions = vi.hoisted(() => [] as { request: Request; handler: (message: object) => void; ended: boolean }[]);
vi.mock("../src/data/gateway_socket", () => ({
  subscribe: (request: Request, handler: (message: object) => void) => {
    const made = { request, handler, ended: false };
    subscriptions.push(made);
    return () => (made.ended = true);
  },
}));

const [M, H, D] = [60_000, 3_600_000, 86_400_000];

function market(symbol: string, given: Partial<StoredSymbol> = {}): StoredSymbol {
  const [exchange = "", name = ""] = symbol.split(":");
  return { symbol, exchange, name, price_step: null, series: [], trades: null, tickers: null, ...given };
}
const withBars = (symbol: string, interval: string, first: number, last: number) =>
  market(symbol, { series: [{ interval, first, last }] });
const mover = (symbol: string, close: number, change: number): Mover => ({ symbol, ts: 9 * D, close, change });
const report = (period: MoverReport["period"], up: Mover[], down: Mover[] = [], flat: Mover[] = []): MoverReport => ({
  exchange: "x", period, at: 9 * D, up, down, flat,
});

beforeEach(() => {
  subscriptions.length = 0;
  history.replaceState(null, "", "/markets");
  startRouter();
});

describe("rows", () => {
  const symbols = [withBars("x:A/USD", "1m", 0, 9 * M), withBars("y:B/USD", "1d", D, 5 * D), market("x:C/USD", { tickers: { first: 5, last: 7 } })];
  const moves = movesBySymbol([
    report("day", [mover("x:A/USD", 5, 0.5)], [mover("y:B/USD", 2, -0.25)]),
    report("week", [], [], [mover("y:B/USD", 2, 0)]),
  ]);
  const rows = marketRows(symbols, moves, symbols.slice(0, 1));
  const names = (order: Parameters<ReturnType<typeof marketTable>>[0], text = "") => marketTable(rows)(order, text).map((row) => row.symbol.symbol);

  it("have what each report says of a symbol", () => {
    expect(rows.map((row) => [row.moves?.close, row.moves?.day, row.moves?.week, row.moves?.month])).toEqual([
      [5, 0.5, null, null], [2, -0.25, 0, null], [undefined, undefined, undefined, undefined],
    ]);
    expect(rows.map(({ isChosen }) => isChosen)).toEqual([true, false, false]);
  });

  it("are sorted by a change, with those that have none last in both directions", () => {
    expect(names({ column: "day", descending: true })).toEqual(["x:A/USD", "y:B/USD", "x:C/USD"]);
    expect(names({ column: "day", descending: false })).toEqual(["y:B/USD", "x:A/USD", "x:C/USD"]);
    expect(names({ column: "week", descending: true })).toEqual(["y:B/USD", "x:A/USD", "x:C/USD"]);
  });

  it("are found by symbol, by bars and by what else is stored", () => {
    const order = { column: "symbol", descending: false } as const;
    expect(names(order, "b/us")).toEqual(["y:B/USD"]);
    expect(names(order, "1d")).toEqual(["y:B/USD"]);
    expect(names(order, "tickers")).toEqual(["x:C/USD"]);
    expect(ofExchange(rows, "x").map((row) => row.symbol.name)).toEqual(["A/USD", "C/USD"]);
    expect(exchangesOf(symbols)).toEqual(["x", "y"]);
  });

  it("hold three thousand symbols", () => {
    const many = Array.from({ length: 3_000 }, (_, n) => market(`x:S${String(n).padStart(4, "0")}/USD`));
    const shown = marketTable(marketRows(many, new Map(), []))({ column: "symbol", descending: true }, "s29");
    expect([shown.length, shown[0]?.symbol.name]).toEqual([100, "S2999/USD"]);
  });

  it("say the span of bars, trades and tickers together, and prices by the symbol's step", () => {
    const all = { ...withBars("x:A", "1h", 2 * H, 5 * H), trades: { first: H, last: 3 * H }, tickers: { first: 4 * H, last: 9 * H } };
    expect(spanOf(all)).toEqual({ first: H, last: 9 * H });
    expect(spanOf(withBars("x:A", "1h", 2 * H, 5 * H))).toEqual({ first: 2 * H, last: 6 * H });
    expect(spanOf(market("x:A"))).toBeNull();
    expect([barsText(all), alsoText(all)]).toEqual(["1h", "trades, tickers"]);
    const steps = [0.5, 0.25, 0.01, 0.00000001, 5].map((price_step) => priceDecimals(market("x:A", { price_step }), [1.2345]));
    expect(steps).toEqual([1, 2, 2, 8, 0]);
    expect([priceDecimals(market("x:A"), [1.1, undefined]), priceDecimals(undefined, [1.08345])]).toEqual([2, 5]);
    const unlisted = { symbol: market("x:A"), moves: { day: 0, week: 0, month: 0, ts: 0, close: 1.0834 }, isChosen: false };
    expect(lastText(unlisted, { price: 1.08, ts: 1 })).toBe("1.0800");
    const ofMonths = withBars("x:A", "1M", Date.UTC(2018, 0), Date.UTC(2018, 1));
    expect([spanOf(ofMonths)?.last, lastClose(ofMonths)]).toEqual([Date.UTC(2018, 2), Date.UTC(2018, 2)]);
    const row = { symbol: market("x:A", { price_step: 0.001 }), moves: rows[0]?.moves ?? null, isChosen: false };
    expect([lastText(row, undefined), lastText(row, { price: 6.5, ts: 1 })]).toEqual(["5.000", "6.500"]);
    expect([changeText(0.0123), changeText(-0.5), changeText(null)]).toEqual(["+1.23 %", "-50.00 %", "–"]);
  });
});

describe("the choice", () => {
  const all = Array.from({ length: 20 }, (_, n) => withBars(`x:S${n}`, "1m", 0, M));

  it("is of symbols with bars at first, then of the named ones that there are", () => {
    expect(chosenOf([market("x:T"), ...all], []).map(({ name }) => name)).toEqual(["S0", "S1", "S2", "S3", "S4", "S5"]);
    expect(chosenOf(all, ["x:S7", "x:gone", "x:S2", "x:S7"]).map(({ name }) => name)).toEqual(["S7", "S2"]);
    expect(chosenOf(all, all.map(({ symbol }) => symbol))).toHaveLength(CHOSEN_MAX);
  });

  it("is kept in the address, where a symbol too many replaces the first", () => {
    toggleSymbol(all.slice(0, 2), all[1] as StoredSymbol);
    expect(address.value.query.getAll("symbol")).toEqual(["x:S0"]);
    toggleSymbol(all.slice(0, CHOSEN_MAX), all[15] as StoredSymbol);
    expect(address.value.query.getAll("symbol")).toEqual([...all.slice(1, CHOSEN_MAX), all[15]].map((each) => each?.symbol));
  });
});

describe("analytics", () => {
  it("are of ranges that end with the newest bar", () => {
    const symbols = [withBars("x:A", "1h", 0, 99 * H), withBars("x:B", "1m", 0, 50 * H), market("x:C")];
    expect(startOf(symbols, H, 10)).toBe(90 * H);
    expect(startOf(symbols, H, 1_000)).toBe(0);
    const both = market("x:A", { series: [{ interval: "1d", first: 0, last: 0 }, { interval: "1m", first: 0, last: 2 * D }] });
    expect([finestInterval(both), lastClose(both), hasBarsOf(both, "1h")]).toEqual(["1m", 2 * D + M, true]);
    expect([hasBarsOf(withBars("x:A", "1d", 0, 0), "1h"), finestInterval(market("x:A"))]).toEqual([false, null]);
  });

  it("show the last twelve periods of each symbol", () => {
    const returns = (from: number) => Array.from({ length: 14 }, (_, n) => ({ ts: (from + n) * D, return: n }));
    const found = { returns: [{ symbol: "x:A", returns: returns(0) }, { symbol: "x:B", returns: returns(5) }], volumes: [] };
    expect(lastPeriods(found)).toEqual(Array.from({ length: 17 }, (_, n) => (n + 2) * D));
    expect([heatOf(-2, [1, -4]), heatOf(0, [0])]).toEqual([0.5, 0]);
    expect(shortNames(["x:A", "y:A", "x:B"])).toEqual(["x:A", "y:A", "B"]);
  });
});

describe("symbols of different times", () => {
  const [T2018, T2024] = [Date.UTC(2018, 3, 4), Date.UTC(2024, 2, 1)];
  const old = ["x:A", "x:B"].map((name) => withBars(name, "1m", T2018, T2018 + 3 * D - M));
  const young = withBars("y:C", "1m", T2024, T2024 + 3 * D - M);
  const asked: URL[] = [];
  const answered = async <T>(polled: { signal: { value: { value: T | null } }; watch: () => () => void }): Promise<T> => {
    const end = polled.watch();
    await vi.waitFor(() => expect(polled.signal.value.value).not.toBeNull());
    end();
    return polled.signal.value.value as T;
  };

  beforeEach(() => {
    asked.length = 0;
    vi.stubGlobal("fetch", (address: string) => {
      const url = new URL(address, "http://deck");
      asked.push(url);
      const symbols = url.searchParams.getAll("symbol");
      const values = symbols.map(() => symbols.map(() => 0.5));
      const body = url.pathname.endsWith("/correlation")
        ? { symbols, matrix: values, counts: values.map((row) => row.map(() => 71)) }
        : { symbols: symbols.map((symbol) => ({ symbol, returns: url.pathname.endsWith("/returns") ? [] : 71, volatility: 0.01, annualised: 1, total: 0, periods: [] })) };
      return Promise.resolve(new Response(JSON.stringify(body), { headers: { "content-type": "application/json" } }));
    });
  });

  it("are in groups by their ends, the newest first, and in their order within one", () => {
    const names = (tolerance: number) => groupsByEnd([...old, young, market("x:T"), withBars("x:D", "1m", T2018, T2018 + D)], tolerance)
      .map((group) => group.map(({ name }) => name));
    expect(names(3 * D)).toEqual([["C"], ["A", "B", "D"]]);
    expect(names(D)).toEqual([["C"], ["A", "B"], ["D"]]);
  });

  it("have returns and volumes of their own last periods", async () => {
    const found = await answered(periodReports([...old, young], "day"));
    expect(found.map(({ returns }) => returns.map(({ symbol }) => symbol))).toEqual([["y:C"], ["x:A", "x:B"]]);
    const froms = asked.filter(({ pathname }) => pathname.endsWith("/returns")).map(({ searchParams }) => Number(searchParams.get("from")));
    expect(froms).toEqual([T2024 + 3 * D - 14 * D, T2018 + 3 * D - 14 * D]);
  });

  it("have a volatility each, and a correlation where they have common times", async () => {
    const found = await answered(statisticsReport([...old, young], "1h"));
    expect(found.volatility.map(({ symbol }) => symbol)).toEqual(["x:A", "x:B", "y:C"]);
    expect(found.correlation?.matrix).toEqual([[0.5, 0.5, null], [0.5, 0.5, null], [null, null, 0.5]]);
    expect(found.areApart).toBe(true);
    const pairs = asked.filter(({ pathname }) => pathname.endsWith("/correlation"));
    expect(pairs.map(({ searchParams }) => [searchParams.getAll("symbol"), Number(searchParams.get("to"))])).toEqual([
      [["y:C"], 0], [["x:A", "x:B"], T2018 + 3 * D],
    ]);
  });

  it("are compared with one that goes on up to the end of the older", async () => {
    await answered(statisticsReport([...old, withBars("x:E", "1m", T2018, T2024)], "1h"));
    const [, pairs] = asked.filter(({ pathname }) => pathname.endsWith("/correlation"));
    expect([pairs?.searchParams.getAll("symbol"), pairs?.searchParams.get("from")]).toEqual([["x:A", "x:B", "x:E"], String(T2018 + 3 * D - 500 * H)]);
  });

  it("say what a dash means where a pair has none in common", () => {
    const one = (value: number | null) => mergedPairs(["a", "b"], [{ symbols: ["b", "a"], matrix: [[1, value], [value, 1]], counts: [[9, 9], [9, 9]] }]);
    expect(one(0.25)).toEqual({ symbols: ["a", "b"], matrix: [[1, 0.25], [0.25, 1]], counts: [[9, 9], [9, 9]] });
    expect(pairsText(one(0.25), false)).toBe("Of each pair the returns that both have, of the last 500 bars");
    expect(pairsText(one(null), true)).toBe("Of each pair the returns that both have, of the last 500 bars up to the end of the older; –: too few in common");
  });
});

describe("live prices", () => {
  it("come from bars, unless trades or tickers are ahead of them", () => {
    const bars = withBars("x:A", "1m", 0, 10 * M);
    expect(requestOf({ ...bars, trades: { first: 0, last: 12 * M } })).toMatchObject({ channel: "bars", interval: "1m", symbol: "x:A" });
    expect(requestOf({ ...bars, trades: { first: 0, last: 30 * M } })?.channel).toBe("trades");
    expect(requestOf(market("x:A", { tickers: { first: 0, last: 1 } }))?.channel).toBe("tickers");
    expect(requestOf(market("x:A"))).toBeNull();
  });

  it("are the last of a message, at the close of a bar, and never of the time to come", () => {
    const message = (type: string, items: object[]) => ({ type, seq: 1, [type]: items });
    expect(priceOf(message("bars", [{ ts: 0, close: 1 }, { ts: M, close: 2 }]), "1m")).toEqual({ price: 2, ts: 2 * M });
    expect(priceOf(message("bars", [{ ts: Date.UTC(2018, 1), close: 2 }]), "1M")?.ts).toBe(Date.UTC(2018, 2));
    expect(priceOf(message("tickers", [{ ts: 7, price: 3 }]), "")).toEqual({ price: 3, ts: 7 });
    expect(priceOf(message("bars", [{ ts: Date.now(), close: 2 }]), "1m")?.ts).toBeLessThanOrEqual(Date.now());
    expect(priceOf({ type: "reset", seq: 1 }, "")).toBeNull();
    expect(priceOf(message("trades", []), "")).toBeNull();
  });

  it("are followed for the rows in sight alone, and kept", () => {
    vi.useFakeTimers();
    const live = new LivePrices();
    const all = Array.from({ length: 40 }, (_, n) => withBars(`x:S${n}`, "1m", 0, M));
    live.follow(all);
    live.follow(all.slice(1));
    expect(subscriptions).toHaveLength(0); // scrolled past
    vi.runAllTimers();
    expect(subscriptions.map(({ request }) => request.symbol)).toEqual(all.slice(1, 1 + FOLLOWED_MAX).map(({ symbol }) => symbol));
    subscriptions[0]?.handler({ type: "bars", bars: [{ ts: 0, close: 5 }] });
    vi.runAllTimers();
    expect(live.prices.value.get("x:S1")).toEqual({ price: 5, ts: M });
    live.follow(all.slice(2, 4));
    vi.runAllTimers();
    expect(subscriptions.map(({ ended }) => ended)).toEqual([true, false, false, ...Array<boolean>(FOLLOWED_MAX - 3).fill(true)]);
    expect(live.prices.value.get("x:S1")?.price).toBe(5);
    live.close();
    expect(subscriptions.every(({ ended }) => ended)).toBe(true);
    vi.useRealTimers();
  });
});
