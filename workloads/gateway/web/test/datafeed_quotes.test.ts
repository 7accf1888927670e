// The datafeed's quotes: those of a day from /quotes, and their last price by tickers.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Datafeed } from "../../../../client/js/src/datafeed";
import type { Quote, QuoteValues } from "../../../../client/js/src/library";
import { FAST_MS, ROUNDS } from "../../../../client/js/src/quotes";
import { FakeGateway, welcome } from "./fake_gateway";
import { FakeWebSocket } from "./fake_socket";

const DAY = { lp: 110, ch: 10, chp: 10, open_price: 101, high_price: 120, low_price: 90, prev_close_price: 100, volume: 7 };
const WATCHED = Array.from({ length: 40 }, (_, n) => `coinbase:C${n}/USD`);

let gateway: FakeGateway;
let told: string[];
beforeEach(() => {
  vi.useFakeTimers();
  told = [];
  gateway = new FakeGateway((_, query) => ({ s: "ok", d: namesOf(query).map((n) => ({ s: "ok", n, v: { ...DAY } })) }));
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const namesOf = (query: URLSearchParams) => (query.get("symbols") ?? "").split(",").map((name) => name.replaceAll("%2C", ","));
const datafeed = () => new Datafeed({ url: "http://deck", onError: (reason) => told.push(reason) });
const askedFor = () => gateway.of("/quotes").map(namesOf);

function watch(feed: Datafeed, symbols: string[], fast: string[] = []) {
  const latest = new Map<string, QuoteValues>();
  feed.subscribeQuotes(symbols, fast, (quotes) => quotes.forEach(({ n, v }) => latest.set(n, v)), "list");
  return latest;
}

describe("quotes that are asked for", () => {
  const ask = (symbols: string[]) =>
    new Promise<Quote[]>((resolve, reject) => datafeed().getQuotes(symbols, resolve, reject));

  it("come in as many requests as the gateway needs", async () => {
    const symbols = Array.from({ length: 120 }, (_, n) => `kraken:S${n}`);
    expect((await ask(symbols)).map(({ n }) => n)).toEqual(symbols);
    expect(askedFor().map((names) => names.length)).toEqual([50, 50, 20]);
  });

  it("come in more requests where their names are long", async () => {
    const symbols = Array.from({ length: 30 }, (_, n) => `kraken:${"L".repeat(190)}${String(n).padStart(2, "0")}`);
    expect(await ask(symbols)).toHaveLength(30);
    expect(gateway.of("/quotes").every((query) => (query.get("symbols") ?? "").length <= 4_000)).toBe(true);
    expect(askedFor().flat()).toEqual(symbols);
  });

  it("may be of symbols with a comma", async () => {
    expect((await ask(["desk:GOLD, SPOT", "desk:OIL"])).map(({ n }) => n)).toEqual(["desk:GOLD, SPOT", "desk:OIL"]);
  });

  it("of no symbols need no request", async () => {
    expect(await ask([])).toEqual([]);
    expect(gateway.asked).toEqual([]);
  });
});

describe("a list of 40 symbols", () => {
  it("updates all of them, and leaves the chart its bars", async () => {
    const feed = datafeed();
    const latest = watch(feed, WATCHED.slice(0, 35), WATCHED.slice(35));
    const tickers = welcome();
    feed.subscribeBars({ name: "C0/USD", ticker: "coinbase:C0/USD" }, "1", () => undefined, "list", () => undefined);
    const bars = welcome();
    expect(bars).not.toBe(tickers);
    expect(bars.sent.map((each) => each["channel"])).toEqual(["bars"]);
    expect(tickers.sent.map((each) => each["channel"])).toEqual(Array(32).fill("tickers"));
    expect(tickers.sent.slice(0, 5).map((each) => each["symbol"])).toEqual(WATCHED.slice(35)); // the fast ones first
    await vi.advanceTimersByTimeAsync(0);
    expect([...latest.keys()].sort()).toEqual([...WATCHED].sort());
    gateway.answering = (_, query) => ({ s: "ok", d: namesOf(query).map((n) => ({ s: "ok", n, v: { ...DAY, lp: 111 } })) });
    await vi.advanceTimersByTimeAsync(FAST_MS);
    expect(latest.get("coinbase:C36/USD")?.lp).toBe(111);
    expect(latest.get("coinbase:C34/USD")?.lp).toBe(110); // no ticker, and not fast
    await vi.advanceTimersByTimeAsync(FAST_MS * (ROUNDS - 1));
    expect(latest.get("coinbase:C34/USD")?.lp).toBe(111);
    expect(askedFor().map((names) => names.length)).toEqual([40, 5, 5, 5, 5, 5, 40]);
    feed.unsubscribeQuotes("list");
    expect(tickers.closed).toBe(1000);
    expect(bars.closed).toBeUndefined();
    await vi.advanceTimersByTimeAsync(FAST_MS * ROUNDS);
    expect(askedFor()).toHaveLength(7);
  });

  it("leaves tickers that the gateway refuses, silently", async () => {
    const latest = watch(datafeed(), WATCHED.slice(0, 2));
    const socket = welcome();
    socket.receive({ type: "error", seq: 2, id: "s1", reason: "InvalidInput", detail: "at most 1" });
    await vi.advanceTimersByTimeAsync(0);
    expect(latest.size).toBe(2);
    expect(told).toEqual([]);
  });
});

describe("a ticker", () => {
  const SYMBOL = "coinbase:BTC/USD";
  const ticker = (price: number, more = {}) => ({ ts: 1, price, bid: null, ask: null, volume24h: 999, high24h: 999, low24h: 1, ...more });
  async function watching() {
    const latest = watch(datafeed(), [], [SYMBOL]);
    const socket = welcome();
    await vi.advanceTimersByTimeAsync(0);
    const send = (seq: number, price: number, more = {}) =>
      socket.receive({ type: "tickers", seq, id: "s1", snapshot: false, tickers: [ticker(price, more)] });
    return { quote: () => latest.get(SYMBOL), send, socket };
  }

  it("changes the price, the change since the day before, and the day's high and low alone", async () => {
    const { quote, send } = await watching();
    send(2, 125, { bid: 124, ask: 126 });
    expect(quote()).toEqual({ ...DAY, lp: 125, ch: 25, chp: 25, high_price: 125, bid: 124, ask: 126 });
    send(3, 80);
    expect(quote()).toEqual({ ...DAY, lp: 80, ch: -20, chp: (80 / 100 - 1) * 100, high_price: 125, low_price: 80, bid: 124, ask: 126 });
  });

  it("counts until the answer after the next one: an answer may be of an earlier moment", async () => {
    const { quote, send } = await watching();
    send(2, 130);
    await vi.advanceTimersByTimeAsync(FAST_MS);
    expect(quote()?.lp).toBe(130);
    await vi.advanceTimersByTimeAsync(FAST_MS);
    expect(quote()).toEqual(DAY);
  });

  it("of a snapshot may be an old one", async () => {
    const { quote, socket } = await watching();
    expect(socket.sent).toEqual([{ type: "subscribe", id: "s1", channel: "tickers", symbol: SYMBOL, snapshot: 0 }]);
    socket.receive({ type: "tickers", seq: 2, id: "s1", snapshot: true, tickers: [ticker(5)] });
    expect(quote()).toEqual(DAY);
  });

  it("shows its price where the day is not known yet", () => {
    gateway.answering = () => new TypeError("refused");
    const latest = watch(datafeed(), [SYMBOL]);
    welcome().receive({ type: "tickers", seq: 2, id: "s1", snapshot: false, tickers: [ticker(5)] });
    expect(latest.get(SYMBOL)).toEqual({ lp: 5 });
  });
});

describe("replays and results of transforms", () => {
  const SYMBOLS = ["replay/default/march:BTC/USD", "coinbase:BTC/USD@sma5"];

  it("have no tickers, and update all the same", async () => {
    const latest = watch(datafeed(), [], SYMBOLS);
    expect(FakeWebSocket.opened).toEqual([]);
    await vi.advanceTimersByTimeAsync(0);
    gateway.answering = (_, query) => ({ s: "ok", d: namesOf(query).map((n) => ({ s: "ok", n, v: { lp: 3 } })) });
    await vi.advanceTimersByTimeAsync(FAST_MS);
    expect(SYMBOLS.map((symbol) => latest.get(symbol)?.lp)).toEqual([3, 3]);
  });

  it("go on after answers that are missing, which is told once", async () => {
    gateway.answering = () => new TypeError("refused");
    const latest = watch(datafeed(), SYMBOLS);
    await vi.advanceTimersByTimeAsync(FAST_MS * ROUNDS * 2);
    expect(told).toEqual(["/quotes: the gateway does not answer (TypeError: refused)"]);
    gateway.answering = (_, query) => ({ s: "ok", d: namesOf(query).map((n) => ({ s: "ok", n, v: { lp: 3 } })) });
    await vi.advanceTimersByTimeAsync(FAST_MS * ROUNDS);
    expect(latest.size).toBe(2);
  });
});
