// What the datafeed does where the gateway refuses, cannot answer, or does not answer.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Datafeed } from "../../../../client/js/src/datafeed";
import { POLL_MS } from "../../../../client/js/src/history";
import type { Bar, Configuration, SymbolInfo } from "../../../../client/js/src/library";
import { READ_AGAIN_MS } from "../../../../client/js/src/series";
import { BACKOFF_MS, RETRY_MS } from "../../../../client/js/src/socket";
import { FakeGateway, welcome } from "./fake_gateway";
import { FakeWebSocket } from "./fake_socket";

const BTC: SymbolInfo = { name: "BTC/USD", ticker: "coinbase:BTC/USD" };
const ETH: SymbolInfo = { name: "ETH/USD", ticker: "coinbase:ETH/USD" };
const AWAY = new TypeError("refused");
const wire = (ts: number) => ({ ts, open: 1, high: 2, low: 0.5, close: 1, volume: 3, closed: false });
const history = (...seconds: number[]) => {
  const ones = seconds.map(() => 1);
  return { s: "ok", t: seconds, o: ones, h: ones, l: ones, c: ones, v: ones };
};

let gateway: FakeGateway;
let told: string[];
beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(1); // the longest delay
  told = [];
  gateway = new FakeGateway(() => AWAY);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

const datafeed = () => new Datafeed({ url: "http://deck", onError: (reason) => told.push(reason) });

function follow(feed: Datafeed, symbol: SymbolInfo, listener: string, onReset: () => void = () => undefined): number[] {
  const times: number[] = [];
  feed.subscribeBars(symbol, "1", (bar) => times.push(bar.time), listener, onReset);
  return times;
}

describe("a refused subscription", () => {
  it("is tried again where the client had too many requests", () => {
    follow(datafeed(), BTC, "chart");
    const socket = welcome();
    socket.receive({ type: "error", seq: 2, id: "s1", reason: "TooManyRequests", detail: "8 at a time" });
    vi.advanceTimersByTime(RETRY_MS - 1);
    expect(socket.sent).toHaveLength(1);
    vi.advanceTimersByTime(1);
    expect(socket.sent[1]).toEqual(socket.sent[0]);
    expect(told).toEqual([]);
  });

  it("is replaced by history that is asked for, and other series go on", async () => {
    const feed = datafeed();
    const [refused, other] = [follow(feed, BTC, "one"), follow(feed, ETH, "two")];
    const socket = welcome();
    socket.receive({ type: "error", seq: 2, id: "s1", reason: "InvalidInput", detail: "at most 1 subscription" });
    expect(told).toEqual(["coinbase:BTC/USD: at most 1 subscription; its bars are asked for instead"]);
    gateway.answering = () => history(1, 2);
    await vi.advanceTimersByTimeAsync(POLL_MS);
    expect(refused).toEqual([1_000, 2_000]);
    expect(Object.fromEntries(gateway.of("/history")[0] ?? [])).toEqual({
      symbol: "coinbase:BTC/USD",
      resolution: "1",
      to: "253402300799",
      countback: "100",
    });
    socket.receive({ type: "bars", seq: 3, id: "s2", snapshot: true, bars: [wire(7)] });
    expect(other).toEqual([7]);
    gateway.answering = () => history(1, 2, 3);
    await vi.advanceTimersByTimeAsync(POLL_MS);
    expect(refused).toEqual([1_000, 2_000, 3_000]);
    feed.unsubscribeBars("one");
    await vi.advanceTimersByTimeAsync(POLL_MS * 20);
    expect(gateway.of("/history")).toHaveLength(2);
  });

  it("is asked for less often while the gateway does not answer, and no more once it is accepted", async () => {
    const times = follow(datafeed(), BTC, "chart");
    const socket = welcome();
    socket.receive({ type: "error", seq: 2, id: "s1", reason: "NotFound", detail: "no such symbol" });
    await vi.advanceTimersByTimeAsync(POLL_MS * (1 + 2 + 4));
    expect(gateway.of("/history")).toHaveLength(3);
    socket.drop();
    vi.advanceTimersByTime(BACKOFF_MS[0]);
    welcome(FakeWebSocket.newest(), "second").receive({ type: "resumed", seq: 3, session: "second", subscriptions: [] });
    expect(FakeWebSocket.newest().sent.at(-1)).toMatchObject({ type: "subscribe", id: "s1" });
    FakeWebSocket.newest().receive({ type: "bars", seq: 4, id: "s1", snapshot: true, bars: [wire(5)] });
    await vi.advanceTimersByTimeAsync(POLL_MS * 12);
    expect(gateway.of("/history")).toHaveLength(3);
    expect(times).toEqual([5]);
  });
});

describe("a session that is resumed", () => {
  it("is asked once for what waits for its time, and for what was subscribed to meanwhile", () => {
    const feed = datafeed();
    follow(feed, BTC, "one");
    welcome().receive({ type: "error", seq: 2, id: "s1", reason: "Unavailable", detail: "the database" });
    FakeWebSocket.newest().drop();
    vi.advanceTimersByTime(BACKOFF_MS[0]);
    const socket = welcome(FakeWebSocket.newest(), "second");
    follow(feed, ETH, "two");
    expect(socket.sent.map((each) => each["type"])).toEqual(["resume"]);
    socket.receive({ type: "resumed", seq: 3, session: "second", complete: false, missed: 0, subscriptions: [] });
    vi.advanceTimersByTime(RETRY_MS);
    expect(socket.sent.slice(1).map((each) => each["id"])).toEqual(["s1", "s2"]);
  });
});

describe("history after a reset", () => {
  it("is asked for again until it has been read, with longer delays", async () => {
    const feed = datafeed();
    const period = { from: 0, to: 99, firstDataRequest: true };
    const read = (onBars: (bars: Bar[]) => void = () => undefined) => feed.getBars(BTC, "1", period, onBars, () => undefined);
    gateway.answering = () => history(1, 2);
    read();
    await vi.advanceTimersByTimeAsync(0);
    const onReset = vi.fn(read);
    const times = follow(feed, BTC, "chart", () => onReset());
    const socket = welcome();
    gateway.answering = () => ({ s: "error", errmsg: "the database does not answer; try again" });
    socket.receive({ type: "reset", seq: 2, id: "s1", reason: "seek" });
    socket.receive({ type: "bars", seq: 3, id: "s1", snapshot: true, bars: [wire(1_000), wire(3_000)] });
    for (const [n, delay] of [...READ_AGAIN_MS, READ_AGAIN_MS.at(-1) ?? 0].entries()) {
      await vi.advanceTimersByTimeAsync(delay - 1);
      expect(onReset).toHaveBeenCalledTimes(n + 1);
      await vi.advanceTimersByTimeAsync(1);
      expect(onReset).toHaveBeenCalledTimes(n + 2);
    }
    expect(times).toEqual([]);
    gateway.answering = () => history(1);
    await vi.advanceTimersByTimeAsync((READ_AGAIN_MS.at(-1) ?? 0) + 1);
    expect(times).toEqual([1_000, 3_000]);
    const calls = onReset.mock.calls.length;
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(onReset).toHaveBeenCalledTimes(calls);
  });

  it("is asked for no more where nobody listens", async () => {
    const feed = datafeed();
    const onReset = vi.fn(() => feed.getBars(BTC, "1", { from: 0, to: 99, firstDataRequest: true }, () => undefined, () => undefined));
    follow(feed, BTC, "chart", onReset);
    welcome().receive({ type: "reset", seq: 2, id: "s1", reason: "seek" });
    await vi.advanceTimersByTimeAsync(0);
    feed.unsubscribeBars("chart");
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(onReset).toHaveBeenCalledOnce();
  });

  it("is told to the page, too, after the library", () => {
    const order: string[] = [];
    const feed = new Datafeed({ url: "http://deck", onReset: () => order.push("page") });
    follow(feed, BTC, "chart", () => order.push("library"));
    welcome().receive({ type: "reset", seq: 2, id: "s1", reason: "seek" });
    expect(order).toEqual(["library", "page"]);
  });
});

describe("a gateway that is down", () => {
  it("is asked until it answers whether the datafeed is ready", async () => {
    const ready: Configuration[] = [];
    datafeed().onReady((found) => ready.push(found));
    await vi.advanceTimersByTimeAsync(BACKOFF_MS[0] + BACKOFF_MS[1]);
    expect(gateway.of("/config")).toHaveLength(3);
    expect(told).toEqual(["/config: the gateway does not answer (TypeError: refused)"]); // once
    gateway.answering = () => ({ supported_resolutions: ["1"] });
    await vi.advanceTimersByTimeAsync(BACKOFF_MS[2]);
    expect(ready).toEqual([{ supported_resolutions: ["1"] }]);
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(gateway.of("/config")).toHaveLength(4);
  });

  it("is not asked any more after close", async () => {
    const feed = datafeed();
    feed.onReady(() => undefined);
    feed.getServerTime(() => undefined);
    await vi.advanceTimersByTimeAsync(0);
    feed.close();
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(gateway.asked).toHaveLength(2);
  });
});
