// The order of loading and pushing bars, over a fake gateway whose responses the test releases one by one.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type BarChart, BarLoader, PAGE_BARS, toCandles } from "../src/bars";
import { MINUTE } from "../src/lengths";
import type { Candle, History, Resolution, Subscription } from "../src/types";

const HOUR: Resolution = { resolution: "60", interval: "1h", width_ms: 3_600_000, origin_ms: 0 };

const DAY: Resolution = { resolution: "1D", interval: "1d", width_ms: 86_400_000, origin_ms: 0 };
const RESOLUTIONS = [MINUTE, HOUR, DAY];

interface Request {
  url: URL;
  respond(body: unknown, status?: number): void;
}

let requests: Request[] = [];

beforeEach(() => {
  requests = [];
  vi.stubGlobal("sessionStorage", { getItem: () => null });
  vi.stubGlobal("fetch", (path: string) => {
    const { promise, resolve } = Promise.withResolvers<Response>();
    const url = new URL(path, "http://gateway");
    requests.push({ url, respond: (body, status = 200) => resolve(Response.json(body, { status })) });
    return promise;
  });
});

afterEach(() => vi.unstubAllGlobals());

/** The request that has not been looked at yet. */
async function nextRequest(): Promise<Request> {
  return await vi.waitFor(() => {
    const request = requests.shift();
    if (request === undefined) throw new Error("no request");
    return request;
  });
}

/** Let every promise that can settle do so. */
const settle = () => new Promise((resolve) => setTimeout(resolve, 5));

class ChartModel implements BarChart {
  cleared: [Resolution, number][] = [];
  bars = new Map<number, Candle>();
  views: boolean[] = [];

  clear(length: Resolution, decimals: number): void {
    this.cleared.push([length, decimals]);
    this.bars.clear();
  }
  load(bars: Candle[], keepView: boolean): void {
    this.views.push(keepView);
    this.bars = new Map(bars.map((bar) => [bar[0], bar]));
  }
  update(bars: Candle[]): void {
    for (const bar of bars) this.bars.set(bar[0], bar);
  }
  prepend(bars: Candle[]): void {
    this.bars = new Map([...bars.map((bar): [number, Candle] => [bar[0], bar]), ...this.bars]);
  }
  closes(): number[] {
    return [...this.bars.values()].map((bar) => bar[4]);
  }
}

/** A history of bars at these minutes, each with its minute as close. */
const historyOf = (minutes: number[]): History => ({
  s: "ok",
  t: minutes.map((m) => m * 60),
  o: minutes,
  h: minutes,
  l: minutes,
  c: minutes,
  v: minutes,
});
const pushed = (minute: number, close: number): Candle => [minute * 60_000, close, close, close, close, 1, false];

function loader() {
  const chart = new ChartModel();
  const sent: [string, Subscription][] = [];
  const errors: string[] = [];
  const socket = {
    subscribe: (s: Subscription) => void sent.push(["subscribe", s]),
    unsubscribe: (s: Subscription) => void sent.push(["unsubscribe", s]),
  };
  const shown: [string, string[]][] = [];
  const bars = new BarLoader(
    socket,
    chart,
    (error) => void errors.push(String(error)),
    ({ resolution }, supported) => void shown.push([resolution, supported]),
  );
  return { bars, chart, sent, errors, shown };
}

async function selected(symbol: string, resolution: Resolution = MINUTE, supported = ["1", "60", "1D"]) {
  const parts = loader();
  const selecting = parts.bars.select(symbol, resolution, RESOLUTIONS);
  (await nextRequest()).respond({ ticker: symbol, pricescale: 100, supported_resolutions: supported });
  await selecting;
  return parts;
}

describe("toCandles", () => {
  it("turns columns of seconds into rows of milliseconds", () => {
    const response: History = { s: "ok", t: [60, 120], o: [1, 2], h: [3, 4], l: [5, 6], c: [7, 8], v: [9, 10] };
    expect(toCandles(response)).toEqual([
      [60_000, 1, 3, 5, 7, 9, true],
      [120_000, 2, 4, 6, 8, 10, true],
    ]);
  });
  it("has no bars where there is no data", () => expect(toCandles({ s: "no_data", nextTime: 5 })).toEqual([]));
  it("throws the gateway's error", () =>
    expect(() => toCandles({ s: "error", errmsg: "symbol: got x" })).toThrow("symbol: got x"));
});

describe("select", () => {
  it("clears the chart for the symbol's precision and subscribes", async () => {
    const { chart, sent } = await selected("a:B/C", HOUR);
    expect(chart.cleared).toEqual([[HOUR, 2]]);
    expect(sent).toEqual([["subscribe", { symbol: "a:B/C", resolution: "60" }]]);
  });

  it("shows the finest bars that the series has where it lacks the wanted ones", async () => {
    const { bars, chart, sent, shown } = await selected("a:DAYS", MINUTE, ["1D"]);
    expect(chart.cleared).toEqual([[DAY, 2]]);
    expect(shown).toEqual([["1D", ["1D"]]]);
    expect(bars.matches({ symbol: "a:DAYS", resolution: "1D" })).toBe(true);
    await bars.select("a:DAYS", MINUTE, RESOLUTIONS);
    expect(sent).toEqual([["subscribe", { symbol: "a:DAYS", resolution: "1D" }]]);
    const selecting = bars.select("a:B/C", MINUTE, RESOLUTIONS);
    (await nextRequest()).respond({ ticker: "a:B/C", pricescale: 100, supported_resolutions: ["1", "1D"] });
    await selecting;
    expect(sent.slice(1)).toEqual([
      ["unsubscribe", { symbol: "a:DAYS", resolution: "1D" }],
      ["subscribe", { symbol: "a:B/C", resolution: "1" }],
    ]);
  });

  it("does nothing where the series is shown already", async () => {
    const { bars, sent } = await selected("a:B/C");
    await bars.select("a:B/C", MINUTE, RESOLUTIONS);
    expect(sent).toHaveLength(1);
    expect(requests).toEqual([]);
  });

  it("ignores the response for a symbol that is no longer selected", async () => {
    const { bars, chart, sent } = loader();
    void bars.select("a:OLD", MINUTE, RESOLUTIONS);
    const old = await nextRequest();
    void bars.select("a:NEW", HOUR, RESOLUTIONS);
    (await nextRequest()).respond({ ticker: "a:NEW", pricescale: 1_000, supported_resolutions: [] });
    await settle();
    old.respond({ ticker: "a:OLD", pricescale: 100, supported_resolutions: [] });
    await settle();
    expect(chart.cleared).toEqual([[HOUR, 3]]);
    expect(sent).toEqual([["subscribe", { symbol: "a:NEW", resolution: "60" }]]);
  });

  it("reports an unknown symbol and can select it again", async () => {
    const { bars, errors } = loader();
    void bars.select("a:B", MINUTE, RESOLUTIONS);
    (await nextRequest()).respond({ s: "error", errmsg: "symbol: got 'a:B'" }, 404);
    await settle();
    expect(errors).toEqual(["Error: symbol: got 'a:B'"]);
    void bars.select("a:B", MINUTE, RESOLUTIONS);
    expect((await nextRequest()).url.searchParams.get("symbol")).toBe("a:B");
  });

  it("shows nothing for an empty symbol", async () => {
    const { bars, chart } = await selected("a:B/C");
    await bars.select("", MINUTE, RESOLUTIONS);
    expect(chart.cleared.at(-1)).toEqual([MINUTE, 2]);
    expect(bars.matches({ symbol: "a:B/C", resolution: "1" })).toBe(false);
  });
});

describe("reload", () => {
  it("applies bars that were pushed during the request after its response", async () => {
    const { bars, chart } = await selected("a:B/C");
    void bars.reload(true);
    const request = await nextRequest();
    bars.push([pushed(3, 30), pushed(4, 40)]);
    expect(chart.closes()).toEqual([]);
    request.respond(historyOf([1, 2, 3]));
    await settle();
    expect(chart.closes()).toEqual([1, 2, 30, 40]);
    expect(chart.views).toEqual([true]);
    bars.push([pushed(4, 41)]);
    expect(chart.closes()).toEqual([1, 2, 30, 41]);
  });

  it("keeps only the later of two overlapping reloads, as after two seeks", async () => {
    const { bars, chart } = await selected("a:B/C");
    void bars.reload(false);
    const first = await nextRequest();
    void bars.reload(false);
    const second = await nextRequest();
    second.respond(historyOf([7]));
    await settle();
    first.respond(historyOf([1, 2, 3]));
    await settle();
    expect(chart.closes()).toEqual([7]);
  });
});

describe("loadOlder", () => {
  const full = Array.from({ length: PAGE_BARS }, (_, i) => i + 10_000);

  it("asks for the bars before the oldest and stops at the series' start", async () => {
    const { bars, chart } = await selected("a:B/C");
    void bars.reload(false);
    (await nextRequest()).respond(historyOf(full));
    await settle();
    void bars.loadOlder(10_000 * 60_000);
    void bars.loadOlder(10_000 * 60_000); // while a request is open
    const request = await nextRequest();
    expect(Object.fromEntries(request.url.searchParams)).toMatchObject({ to: "600000", countback: String(PAGE_BARS) });
    request.respond(historyOf([9_998, 9_999]));
    await settle();
    expect(chart.closes().slice(0, 3)).toEqual([9_998, 9_999, 10_000]);
    void bars.loadOlder(9_998 * 60_000);
    (await nextRequest()).respond({ s: "no_data" });
    await settle();
    await bars.loadOlder(9_998 * 60_000);
    expect(requests).toEqual([]);
  });

  it("asks for nothing where the first page held the whole series", async () => {
    const { bars } = await selected("a:B/C");
    void bars.reload(false);
    (await nextRequest()).respond(historyOf([1, 2, 3]));
    await settle();
    await bars.loadOlder(60_000);
    expect(requests).toEqual([]);
  });
});
