// @vitest-environment happy-dom
// What charts are fed: bars, results of transforms and of runs, over a fake WebSocket and fake answers.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { BarFeed as Feed } from "../src/chart/bar_feed";
import type { Bar } from "../src/data/types";
import { FakeWebSocket } from "./fake_socket";

const MINUTE = { resolution: "1", interval: "1m", width_ms: 60_000, origin_ms: 0 };
const M = 60_000;
const bar = (n: number, close = n): Bar => ({ ts: n * M, open: 1, high: 2, low: 0, close, volume: 3, closed: true });
const bars = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => bar(from + n));
/** A history of UDF, whose times are seconds. */
const history = (from: number, to: number) => {
  const numbers = Array.from({ length: to - from }, (_, n) => from + n);
  const all = (value: number) => numbers.map(() => value);
  return { s: "ok", t: numbers.map((n) => n * 60), o: all(1), h: all(2), l: all(0), c: numbers, v: all(3) };
};

const fetched = vi.fn<(address: string) => Promise<Response>>();
const answers: unknown[] = [];
let seq = 1;

async function connected() {
  vi.resetModules();
  const { connect } = await import("../src/data/gateway_socket");
  connect();
  FakeWebSocket.newest().open();
  receive({ type: "welcome", session: "s", limits: { ping_seconds: 1_000 } });
}

const receive = (message: object) => FakeWebSocket.newest().receive({ seq: (seq += 1), ...message });
const asked = () => fetched.mock.calls.map(([address]) => Object.fromEntries(new URL(address, "http://x").searchParams));
const settled = () => vi.advanceTimersByTimeAsync(0);

beforeEach(() => {
  FakeWebSocket.opened = [];
  answers.length = 0;
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeWebSocket);
  vi.stubGlobal("fetch", fetched);
  fetched.mockImplementation(() => {
    const next = answers.shift();
    if (next instanceof Error) return Promise.reject(next);
    return Promise.resolve(new Response(JSON.stringify(next ?? { s: "no_data" })));
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  fetched.mockReset();
});

describe("the bars of a chart", () => {
  let changes: string[] = [];
  let errors: unknown[] = [];
  let refused: string[] = [];
  let feed: Feed;

  beforeEach(async () => {
    await connected();
    const { BarFeed } = await import("../src/chart/bar_feed");
    [changes, errors, refused] = [[], [], []];
    feed = new BarFeed("coinbase:BTC/USD", MINUTE, {
      onChange: ({ kind }) => changes.push(kind),
      onError: (error) => errors.push(error),
      onLoaded: () => (errors.length = 0),
      onRefused: (reason) => refused.push(reason),
    });
  });
  const times = () => feed.series.bars.map(({ ts }) => ts / M);

  it("are a snapshot, what follows it, and older ones where the snapshot has few", async () => {
    expect(FakeWebSocket.newest().sent).toEqual([
      { type: "subscribe", id: "s1", channel: "bars", symbol: "coinbase:BTC/USD", interval: "1m", snapshot: 1_000 },
    ]);
    answers.push(history(7, 11));
    receive({ type: "bars", id: "s1", snapshot: true, bars: bars(10, 12) });
    receive({ type: "bars", id: "s1", bars: [bar(12)] });
    await settled();
    expect(asked()).toEqual([{ symbol: "coinbase:BTC/USD", resolution: "1", to: "600", countback: "5000" }]);
    expect(times()).toEqual([7, 8, 9, 10, 11, 12]);
    expect(changes).toEqual(["all", "tail", "older"]);
  });

  it("of a replay that has just sought are those before its position", async () => {
    answers.push(history(1, 4));
    receive({ type: "bars", id: "s1", snapshot: true, bars: [] });
    await settled();
    expect(asked()[0]?.["to"]).toBe("253402300799");
    expect(times()).toEqual([1, 2, 3]);
  });

  it("asked for before a seek are not shown after it", async () => {
    let answer: (response: Response) => void = () => undefined;
    fetched.mockImplementationOnce(() => new Promise((resolve) => (answer = resolve)));
    receive({ type: "bars", id: "s1", snapshot: true, bars: bars(50, 60) });
    receive({ type: "reset", id: "s1", reason: "seek" });
    receive({ type: "bars", id: "s1", snapshot: true, bars: bars(20, 22) });
    answer(new Response(JSON.stringify(history(40, 50))));
    await settled();
    expect(times()).toEqual([20, 21]);
  });

  it("are replaced by a snapshot, with older ones as far back as before", async () => {
    receive({ type: "bars", id: "s1", snapshot: true, bars: bars(1_000, 2_000) });
    answers.push(history(500, 1_000));
    await feed.loadOlder();
    expect(times()).toHaveLength(1_500);
    answers.push(history(450, 600));
    receive({ type: "bars", id: "s1", snapshot: true, bars: bars(600, 1_600) }); // after a seek back that was missed
    expect([times()[0], times().at(-1)]).toEqual([600, 1_599]);
    await settled();
    expect([times()[0], times().at(-1)]).toEqual([450, 1_599]);
    receive({ type: "bars", id: "s1", snapshot: true, bars: [] });
    expect(times()).toEqual([]);
    expect(changes.at(-1)).toBe("all");
  });

  it("are asked for again after an error, which is then forgotten", async () => {
    answers.push(new Error("down"), history(8, 10));
    receive({ type: "bars", id: "s1", snapshot: true, bars: bars(10, 12) });
    await settled();
    expect(errors).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(times()).toEqual([8, 9, 10, 11]);
    expect(errors).toEqual([]);
  });

  it("are asked for no more where there are none, or the chart is closed", async () => {
    receive({ type: "bars", id: "s1", snapshot: true, bars: bars(10, 12) });
    await settled();
    await feed.loadOlder();
    expect(fetched).toHaveBeenCalledTimes(1);
    feed.close();
    expect(FakeWebSocket.newest().sent.at(-1)).toEqual({ type: "unsubscribe", id: "s1" });
  });
});

describe("bars that are not pushed", () => {
  const watching = async () => {
    await connected();
    const { BarFeed } = await import("../src/chart/bar_feed");
    const { refusal } = await import("../src/data/gateway_socket");
    const [errors, refused]: [unknown[], string[]] = [[], []];
    const feed = new BarFeed("x:A", MINUTE, {
      onChange: () => undefined,
      onError: (error) => errors.push(error),
      onLoaded: () => (errors.length = 0),
      onRefused: (reason) => refused.push(reason),
    });
    receive({ type: "error", id: "s1", reason: "NotFound", detail: "symbol: got 'x:A'" });
    const times = () => feed.series.bars.map(({ ts, close }) => [ts / M, close]);
    return { feed, errors, refused, refusal, times };
  };
  const poll = () => vi.advanceTimersByTimeAsync(5_000);

  it("are those of the history, again and again", async () => {
    answers.push(history(1, 4), { s: "no_data" });
    const { feed, errors, refusal, times } = await watching();
    await settled();
    expect(times()).toEqual([[1, 1], [2, 2], [3, 3]]);
    expect(refusal.value).toBeNull(); // the chart says it
    answers.push({ ...history(2, 5), c: [2, 30, 4] }, new Error("down"), history(1, 3), { s: "no_data" });
    await poll();
    expect(times()).toEqual([[1, 1], [2, 2], [3, 30], [4, 4]]);
    await poll();
    expect([errors.length, times().length]).toEqual([1, 4]);
    await poll();
    expect([errors.length, times()]).toEqual([0, [[1, 1], [2, 2]]]); // it has gone back
    feed.close();
    const count = fetched.mock.calls.length;
    await poll();
    expect(fetched).toHaveBeenCalledTimes(count);
  });

  it("are none where the history has none, with the reason, until it has some", async () => {
    const { refused, errors, times } = await watching();
    await settled();
    expect([refused, times()]).toEqual([["symbol: got 'x:A'"], []]);
    answers.push(new Error("down"), history(1, 2));
    await poll();
    expect([refused.length, errors]).toEqual([2, []]);
    await poll();
    expect(times()).toEqual([[1, 1]]);
  });

  it("are pushed where the gateway takes the subscription later", async () => {
    const { times } = await watching();
    await settled();
    receive({ type: "bars", id: "s1", snapshot: true, bars: bars(1, 3) });
    await poll();
    await poll();
    expect(times()).toEqual([[1, 1], [2, 2]]);
    expect(asked().filter(({ to }) => to === "253402300799")).toHaveLength(1);
  });
});

describe("the results of a transform", () => {
  const following = async () => {
    await connected();
    const { TransformFeed, transformIndicator } = await import("../src/indicators/transform");
    const [from, errors]: [number[], unknown[]] = [[], []];
    const feed = new TransformFeed("coinbase:BTC/USD", "sma5", MINUTE, {
      onChange: (first) => from.push(first),
      onError: (error) => errors.push(error),
      onLoaded: () => (errors.length = 0),
    });
    const values = (length = MINUTE, shown = bars(0, 5)) => {
      const columns: number[][] = [[]];
      transformIndicator(feed, "sma5", true, length).extend(shown, columns, 0);
      return columns[0];
    };
    return { from, errors, values };
  };

  it("are the last within each bar, with older ones by history", async () => {
    const { from, values } = await following();
    answers.push(history(0, 2));
    receive({ type: "points", id: "s1", interval: "1m", snapshot: true, points: [{ ts: 2 * M, value: 20 }] });
    await settled();
    receive({ type: "points", id: "s1", interval: "1m", points: [{ ts: 3 * M, value: 30 }, { ts: 3.5 * M, value: 35 }] });
    expect(values()).toEqual([0, 1, 20, 35, NaN]);
    receive({ type: "points", id: "s1", interval: "1m", points: [{ ts: 2 * M, value: null }] });
    expect(values()).toEqual([0, 1, NaN, 35, NaN]);
    receive({ type: "reset", id: "s1", reason: "seek" });
    expect(values()?.every(Number.isNaN)).toBe(true);
    const month = { resolution: "1M", interval: "1M", width_ms: 31 * 86_400_000, origin_ms: 0 };
    const [february, march] = [Date.UTC(2018, 1), Date.UTC(2018, 2)];
    receive({ type: "points", id: "s1", interval: "1m", points: [{ ts: february, value: 2 }, { ts: march, value: 3 }] });
    expect(values(month, [{ ...bar(0), ts: february }])).toEqual([2]); // its bar ends before March's first result
    expect(from).toEqual([-Infinity, -Infinity, 3 * M, 2 * M, -Infinity, Date.UTC(2018, 1)]);
    expect(asked()[0]).toEqual({ symbol: "coinbase:BTC/USD@sma5", resolution: "1", to: "120", countback: "5000" });
  });

  it("are replaced by a snapshot, also by one without results", async () => {
    const { values } = await following();
    receive({ type: "points", id: "s1", interval: "1m", snapshot: true, points: [1, 2, 3].map((n) => ({ ts: n * M, value: n })) });
    await settled();
    answers.push(history(0, 1));
    receive({ type: "points", id: "s1", interval: "1m", snapshot: true, points: [{ ts: M, value: 10 }] });
    await settled();
    expect(values()).toEqual([0, 10, NaN, NaN, NaN]);
    receive({ type: "points", id: "s1", interval: "1m", snapshot: true, points: [] });
    expect(values()?.every(Number.isNaN)).toBe(true);
  });

  it("that are older are asked for again after an error, which is then forgotten", async () => {
    const { errors, values } = await following();
    answers.push(new Error("down"), history(0, 2));
    receive({ type: "points", id: "s1", interval: "1m", snapshot: true, points: [{ ts: 2 * M, value: 20 }] });
    await settled();
    expect(errors).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(errors).toEqual([]);
    expect(values()).toEqual([0, 1, 20, NaN, NaN]);
  });
});

describe("the results of a run", () => {
  const fill = (number: number) => ({ seq: number, symbol: "BTC/USD", ts: number, side: "buy", size: 1, price: 1 });
  const point = (number: number) => [number, number, 1, 1, null, null, null];

  it("are loaded with each snapshot, then followed, and taken back by a reset", async () => {
    await connected();
    const { RunFeed } = await import("../src/data/run_feed");
    const run = new RunFeed("team/r 1");
    const sequence = () => [run.fills.value.map((each) => each.seq), run.equity.value.map(([number]) => number)];
    answers.push({ fills: [fill(0), fill(1)] }, [point(0), point(2)]);
    receive({ type: "fills", id: "s1", run: "r", snapshot: true, fills: [fill(1)] });
    receive({ type: "fills", id: "s1", run: "r", fills: [fill(2)] });
    receive({ type: "equity", id: "s2", run: "r", snapshot: true, points: [point(2)] });
    await settled();
    expect(sequence()).toEqual([[0, 1, 2], [0, 2]]);
    expect(fetched.mock.calls.map(([address]) => address)).toEqual([
      "/api/v1/runs/team%2Fr%201/fills?limit=50000", "/api/runs/team%2Fr%201/equity?points=5000",
    ]);
    // Each channel is taken back by a message of its own, and the answer for one does not wait for the other.
    answers.push({ fills: [fill(0)] }, [point(0)]);
    receive({ type: "reset", id: "s1", reason: "seek" });
    receive({ type: "fills", id: "s1", run: "r", snapshot: true, fills: [fill(0)] });
    expect(sequence()).toEqual([[], [0, 2]]);
    receive({ type: "reset", id: "s2", reason: "seek" });
    receive({ type: "equity", id: "s2", run: "r", snapshot: true, points: [point(0)] });
    await settled();
    expect(sequence()).toEqual([[0], [0]]);
  });

  it("that are refused say why, until they are there", async () => {
    await connected();
    const { RunFeed } = await import("../src/data/run_feed");
    const { refusal } = await import("../src/data/gateway_socket");
    const run = new RunFeed("r");
    receive({ type: "error", id: "s3", reason: "NotFound", detail: "run: got 'r'" });
    expect([run.error.value, refusal.value]).toEqual(["run: got 'r'", null]);
    receive({ type: "run", id: "s3", state: "running" });
    expect(run.error.value).toBeNull();
  });

  it("end with a snapshot, of which no reset has told, and are what is loaded then", async () => {
    await connected();
    const { RunFeed } = await import("../src/data/run_feed");
    const { fills, equity, error } = new RunFeed("r");
    answers.push({ fills: [0, 1, 2, 3].map(fill) }, [0, 1, 2, 3].map(point));
    receive({ type: "fills", id: "s1", run: "r", snapshot: true, fills: [fill(3)] });
    receive({ type: "equity", id: "s2", run: "r", snapshot: true, points: [point(3)] });
    await settled();
    answers.push(new Error("down"), [point(0), point(2)], { fills: [fill(0), fill(1)] });
    receive({ type: "fills", id: "s1", run: "r", snapshot: true, fills: [fill(1)] });
    receive({ type: "equity", id: "s2", run: "r", snapshot: true, points: [point(2)] });
    expect(fills.value.map((each) => each.seq)).toEqual([0, 1]); // nothing of a later time, although it can't be loaded
    receive({ type: "equity", id: "s2", run: "r", points: [point(3)] });
    await settled();
    expect(equity.value.map(([number]) => number)).toEqual([0, 2, 3]);
    expect(error.value).toBe("The gateway does not answer.");
    await vi.advanceTimersByTimeAsync(3_000);
    expect(error.value).toBeNull();
    expect(fills.value.map((each) => each.seq)).toEqual([0, 1]);
    receive({ type: "fills", id: "s1", run: "r", snapshot: true, fills: [] });
    expect(fills.value).toEqual([]);
  });
});
