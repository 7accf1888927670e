// The datafeed for charting libraries, over a fake WebSocket, fake answers and fake timers.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Datafeed, rowsOf } from "../../../../client/js/src/datafeed";
import type { Bar, HistoryMetadata, SymbolInfo } from "../../../../client/js/src/library";
import { intervalOf } from "../../../../client/js/src/resolutions";
import { Series } from "../../../../client/js/src/series";
import { BACKOFF_MS, RETRY_MS } from "../../../../client/js/src/socket";
import { FakeWebSocket } from "./fake_socket";

const SYMBOL: SymbolInfo = { name: "BTC/USD", ticker: "coinbase:BTC/USD" };
const wire = (ts: number, close = 1) => ({ ts, open: 1, high: 2, low: 0.5, close, volume: 3, closed: false });

const newest = (): FakeWebSocket => FakeWebSocket.newest();

function open(session = "first"): void {
  newest().open();
  newest().receive({ type: "welcome", seq: 1, session, limits: { ping_seconds: 15 } });
}

beforeEach(() => {
  FakeWebSocket.opened = [];
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeWebSocket);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("updates", () => {
  function listening() {
    const feed = new Datafeed({ url: "https://deck.example/", token: "a-token-of-the-gateway" });
    const ticks: Bar[] = [];
    const onReset = vi.fn();
    feed.subscribeBars(SYMBOL, "60", (bar) => ticks.push(bar), "chart", onReset);
    return { feed, ticks, onReset, times: () => ticks.map((bar) => bar.time) };
  }

  it("asks for the series with the token, and passes new and changed bars on once", () => {
    const { times, ticks } = listening();
    const socket = newest();
    expect(socket.url).toBe("wss://deck.example/api/v1/ws");
    expect(socket.protocols).toEqual(["tapedeck.v1", "bearer.a-token-of-the-gateway"]);
    open();
    expect(socket.sent).toEqual([
      { type: "subscribe", id: "s1", channel: "bars", symbol: "coinbase:BTC/USD", interval: "1h", snapshot: 500 },
    ]);
    socket.receive({ type: "bars", seq: 2, id: "s1", snapshot: true, bars: [wire(100), wire(200)] });
    for (const bar of [wire(200), wire(200, 1.5), wire(300), wire(100, 9)]) {
      socket.receive({ type: "bars", seq: 3, id: "s1", snapshot: false, bars: [bar] });
    }
    expect(times()).toEqual([100, 200, 200, 300]);
    expect(ticks[2]).toEqual({ time: 200, open: 1, high: 2, low: 0.5, close: 1.5, volume: 3 });
  });

  it("resumes its session after a lost connection, and subscribes again to what the gateway no longer has", () => {
    const { times, onReset } = listening();
    open();
    newest().receive({ type: "bars", seq: 7, id: "s1", snapshot: true, bars: [wire(100)] });
    newest().drop();
    vi.advanceTimersByTime(BACKOFF_MS[0]);
    open("second");
    expect(newest().sent).toEqual([{ type: "resume", session: "first", seq: 7 }]);
    newest().receive({ type: "resumed", seq: 8, session: "second", complete: false, missed: 3, subscriptions: [] });
    expect(newest().sent.at(-1)).toMatchObject({ type: "subscribe", id: "s1" });
    newest().receive({ type: "bars", seq: 9, id: "s1", snapshot: true, bars: [wire(100), wire(200), wire(300)] });
    expect(times()).toEqual([100, 200, 300]);
    expect(onReset).not.toHaveBeenCalled();
  });

  it("resets the chart where the snapshot after a reconnect does not reach back to its last bar", () => {
    const { times, onReset } = listening();
    open();
    newest().receive({ type: "bars", seq: 2, id: "s1", snapshot: true, bars: [wire(100)] });
    newest().receive({ type: "bars", seq: 3, id: "s1", snapshot: true, bars: [wire(900)] });
    expect(onReset).toHaveBeenCalledOnce();
    expect(times()).toEqual([100]);
  });

  it("resets the chart where the replay went back while the connection was lost", () => {
    const { times, onReset } = listening();
    open();
    newest().receive({ type: "bars", seq: 2, id: "s1", snapshot: true, bars: [wire(800), wire(900)] });
    newest().receive({ type: "bars", seq: 3, id: "s1", snapshot: true, bars: [wire(100), wire(200)] });
    expect(onReset).toHaveBeenCalledOnce();
    expect(times()).toEqual([800, 900]);
  });

  it("asks again where a service does not answer, and says what is refused", () => {
    listening();
    open();
    const said = vi.spyOn(console, "error").mockReturnValue();
    newest().receive({ type: "error", seq: 2, id: "s1", reason: "Unavailable", detail: "the database" });
    expect(newest().sent).toHaveLength(1);
    vi.advanceTimersByTime(RETRY_MS);
    expect(newest().sent[1]).toEqual(newest().sent[0]);
    newest().receive({ type: "error", seq: 3, id: "s1", reason: "NotFound", detail: "no such symbol" });
    vi.advanceTimersByTime(RETRY_MS);
    expect(newest().sent).toHaveLength(2);
    expect(said).toHaveBeenCalledWith("Tapedeck datafeed: coinbase:BTC/USD: no such symbol; its bars are asked for instead");
  });

  it("resumes where the old session was, though the new socket has spoken before it was lost, too", () => {
    listening();
    open();
    newest().receive({ type: "bars", seq: 70, id: "s1", snapshot: true, bars: [wire(100)] });
    newest().drop();
    vi.advanceTimersByTime(BACKOFF_MS[0]);
    open("second");
    newest().receive({ type: "services", seq: 2, broker: true, database: true });
    newest().drop();
    vi.advanceTimersByTime(BACKOFF_MS[1]);
    open("third");
    expect(newest().sent).toEqual([{ type: "resume", session: "first", seq: 70 }]);
  });

  it("closes the socket with its last subscription, and does not reconnect", () => {
    const { feed } = listening();
    open();
    feed.subscribeBars(SYMBOL, "1D", () => undefined, "other", () => undefined);
    feed.unsubscribeBars("other");
    expect(newest().sent.at(-1)).toEqual({ type: "unsubscribe", id: "s2" });
    feed.unsubscribeBars("chart");
    expect(newest().closed).toBe(1000);
    newest().drop();
    vi.advanceTimersByTime(120_000);
    expect(FakeWebSocket.opened).toHaveLength(1);
  });

  it("connects again, with longer delays, when the gateway is silent or away", () => {
    listening();
    open();
    vi.advanceTimersByTime(15_000 * 2.5);
    expect(newest().readyState).toBe(3);
    for (const [n, delay] of BACKOFF_MS.entries()) {
      vi.advanceTimersByTime(delay);
      expect(FakeWebSocket.opened).toHaveLength(n + 2);
      newest().drop();
    }
  });
});

describe("a listener", () => {
  const heard = () => {
    const ticks: number[] = [];
    const onReset = vi.fn();
    const series = new Series();
    const read = (...times: number[]) => {
      series.reading(true)(times.map((time) => ({ ...wire(time), time })));
      vi.runAllTimers();
    };
    const listen = () => series.listen((bar) => ticks.push(bar.time), onReset);
    return { ticks, onReset, series, read, listen };
  };

  it("hears nothing before the end of the history that the chart has read", () => {
    const { ticks, read, listen } = heard();
    read(100, 200);
    listen().receive({ type: "bars", seq: 1, snapshot: true, bars: [wire(100), wire(200), wire(300)] });
    expect(ticks).toEqual([200, 300]);
  });

  it("waits after a seek until the chart has read its history again, and ignores an answer from before", () => {
    const { ticks, onReset, series, read, listen } = heard();
    read(100, 500);
    const listener = listen();
    const late = series.reading(true);
    listener.receive({ type: "bars", seq: 1, snapshot: false, bars: [wire(600)] });
    listener.receive({ type: "reset", seq: 2, reason: "seek" });
    listener.receive({ type: "bars", seq: 3, snapshot: true, bars: [wire(100), wire(200)] });
    listener.receive({ type: "bars", seq: 4, snapshot: false, bars: [wire(300)] });
    late([{ ...wire(500), time: 500 }]);
    expect(ticks).toEqual([600]);
    read(100, 200);
    expect(ticks).toEqual([600, 200, 300]);
    expect(onReset).toHaveBeenCalledOnce();
  });

  it("lets the chart read its history again for a late bar", () => {
    const { ticks, onReset, read, listen } = heard();
    read(400);
    const listener = listen();
    listener.receive({ type: "bars", seq: 1, snapshot: false, bars: [wire(500)] });
    listener.receive({ type: "revise", seq: 2, bars: [wire(500, 2)] });
    expect(onReset).not.toHaveBeenCalled();
    listener.receive({ type: "revise", seq: 3, bars: [wire(400)] });
    expect(onReset).toHaveBeenCalledOnce();
    listener.receive({ type: "bars", seq: 4, snapshot: false, bars: [wire(600)] });
    expect(ticks).toEqual([500, 500]);
    read(400, 500);
    expect(ticks).toEqual([500, 500, 600]);
  });
});

describe("answers", () => {
  const answering = (body: unknown, status = 200) => {
    const asked = vi.fn<(url: string, options: RequestInit) => Promise<object>>();
    asked.mockResolvedValue({ status, json: () => Promise.resolve(body) });
    vi.stubGlobal("fetch", asked);
    return asked;
  };
  const bars = (feed: Datafeed) =>
    new Promise<[Bar[], HistoryMetadata]>((resolve, reject) => {
      const onError = (reason: string) => reject(new Error(reason));
      feed.getBars(SYMBOL, "1D", { from: 1, to: 9, countBack: 2 }, (...found) => resolve(found), onError);
    });

  it("are bars in milliseconds", async () => {
    const asked = answering({ s: "ok", t: [86_400], o: [1], h: [2], l: [0.5], c: [1.5], v: [4] });
    const [found, metadata] = await bars(new Datafeed({ url: "http://deck", token: "secret-of-a-gateway" }));
    expect(found).toEqual([{ time: 86_400_000, open: 1, high: 2, low: 0.5, close: 1.5, volume: 4 }]);
    expect(metadata).toEqual({ noData: false });
    const [url, options] = asked.mock.calls[0] ?? [];
    expect(url).toBe("http://deck/history?symbol=coinbase%3ABTC%2FUSD&resolution=1D&from=1&to=9&countback=2");
    expect(options?.headers).toEqual({ authorization: "Bearer secret-of-a-gateway" });
  });

  it("say where the next bar is if there is none", async () => {
    answering({ s: "no_data", nextTime: 5 });
    expect(await bars(new Datafeed({ url: "http://deck" }))).toEqual([[], { noData: true, nextTime: 5 }]);
  });

  it("say what is wrong", async () => {
    answering({ s: "error", errmsg: "symbol: got 'X', expected a known one" });
    await expect(bars(new Datafeed({ url: "http://deck" }))).rejects.toThrow("symbol: got 'X', expected a known one");
    answering({ detail: "token: missing" }, 401);
    await expect(bars(new Datafeed({ url: "http://deck" }))).rejects.toThrow("/history: token: missing");
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("refused")));
    await expect(bars(new Datafeed({ url: "http://deck" }))).rejects.toThrow("the gateway does not answer");
  });

  it("are marks in both of UDF's forms", () => {
    const marks = [
      { id: 1, time: 10, text: "buy" },
      { id: 2, time: 20, text: "sell" },
    ];
    expect(rowsOf(marks)).toEqual(marks);
    expect(rowsOf({ id: [1, 2], time: [10, 20], text: ["buy", "sell"] })).toEqual(marks);
  });
});

describe("resolutions", () => {
  it.each([
    ["1", "1m"],
    ["60", "1h"],
    ["240", "4h"],
    ["45", "45m"],
    ["5S", "5s"],
    ["D", "1d"],
    ["1D", "1d"],
    ["1W", "1w"],
    ["1M", "1M"],
  ])("%s is %s", (resolution, interval) => expect(intervalOf(resolution)).toBe(interval));

  it("refuses another text", () => expect(() => intervalOf("soon")).toThrow("resolution: got soon"));
});
