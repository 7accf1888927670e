// @vitest-environment happy-dom
// The chart of the Deck over fake answers: its prices, what it loads, and what of it is in sight.
import { describe, expect, it, vi } from "vitest";
import {
  answers, eventually, idOf, M, open, place, PLAYED, receive, RESOLUTIONS, see, subscribed, tell, text,
} from "./deck_page";
import { brought } from "./fake_charts";

vi.mock("lightweight-charts", async () => (await import("./fake_charts")).fakeCharts);

describe("the chart of a replay", () => {
  const bar = (ts: number, price = 2) => ({ ts, open: price, high: price, low: price, close: price, volume: 1, closed: true });
  const show = async (query: string, bars: object[]) => {
    history.replaceState(null, "", query);
    await open();
    for (const channel of ["replay", "bars"]) await subscribed(channel);
    receive({ type: "bars", id: idOf("bars"), snapshot: true, bars });
  };

  it("has prices and their differences by the decimals that bars use, as soon as one has more than those before it", async () => {
    await show("/?indicators=atr:2,sma:2,rsi:2", [bar(7 * M, 1.08), bar(8 * M, 1.08)]);
    await see("#legend", "C 1.08 ");
    receive({ type: "bars", id: idOf("bars"), bars: [bar(9 * M, 1.08345), bar(10 * M, 1.08445)] });
    await see("#legend", "C 1.08445 ");
    expect(text("#legend")).toContain("ATR 2 0.00136"); // (0 + 0) / 2, then halves: 0.00345 / 2, and 0.001 with that
    expect(text("#legend")).toContain("SMA 2 1.08395");
    expect(text("#legend")).toContain("RSI 2 100.00");
  });

  /** The chart of 400 bars, of a series that has as many older ones as anybody asks for. */
  const showFirst400 = async (query: string) => {
    const asked: number[] = [];
    const answering = fetch;
    vi.stubGlobal("fetch", (address: string) => {
      const { pathname, searchParams } = new URL(address, "http://x");
      if (pathname !== "/history") return answering(address);
      const [to, count] = ["to", "countback"].map((name) => Number(searchParams.get(name))) as [number, number];
      asked.push(to / 60);
      const all = (value: (n: number) => number) => Array.from({ length: count }, (_, n) => value(n));
      const one = all(() => 1);
      return Promise.resolve(new Response(JSON.stringify({ s: "ok", t: all((n) => to - (count - n) * 60), o: one, h: one, l: one, c: one, v: one })));
    });
    await show(query, Array.from({ length: 400 }, (_, n) => bar((100_000 + n) * M)));
    await eventually(() => expect(place.querySelector<HTMLElement>("#chart")?.dataset["last"]).toBe(String(100_399 * M)));
    return asked;
  };

  it("loads the range of its address", async () => {
    const few = await showFirst400(`/?from=${80_300 * M}&to=${100_300 * M}`);
    await eventually(() => expect(brought).toEqual([{ from: 80_300 * 60, to: 100_300 * 60 }]));
    expect(few).toEqual([100_000, 95_000, 90_000, 85_000]);
  });

  it("loads no range of very many bars", async () => {
    const none = await showFirst400(`/?from=0&to=${100_300 * M}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect([none, brought]).toEqual([[], []]);
  });

  const sharedQuery = async () => {
    const copied: string[] = [];
    const writeText = (link: string) => Promise.resolve(void copied.push(link));
    Object.defineProperty(navigator, "clipboard", { value: { writeText }, configurable: true });
    place.querySelector<HTMLButtonElement>(".share button")?.click();
    await eventually(() => expect(copied).toHaveLength(1));
    return new URLSearchParams(copied[0]?.split("?")[1]);
  };

  it("shares no times while it shows the newest bar of a replay that goes on", async () => {
    await show(`/?from=${8 * M}&to=${9 * M}`, [bar(8 * M), bar(9 * M)]);
    await eventually(() => expect(place.querySelector<HTMLElement>("#chart")?.dataset["last"]).toBe(String(9 * M)));
    const query = await sharedQuery();
    expect([query.get("symbol"), query.get("from"), query.get("to")]).toEqual(["replay/u1/coinbase:BTC/USD", null, null]);
  });

  it("shares the times of a replay that has ended", async () => {
    answers["/api/replays"] = [{ ...PLAYED, ended: true }];
    await show("/", [bar(8 * M), bar(9 * M)]);
    await eventually(() => expect(place.querySelector<HTMLElement>("#chart")?.dataset["last"]).toBe(String(9 * M)));
    const query = await sharedQuery();
    expect([query.get("from"), query.get("to")]).toEqual([String(8 * M), String(9 * M)]);
  });

  it("has no range of its address any more when another bar length is chosen", async () => {
    Object.assign(answers["/symbols"] as object, { supported_resolutions: ["1", "5"] });
    await show(`/?charts=2&from=1&to=2&from2=3&to2=4`, [bar(9 * M)]);
    const length = (number: number) => {
      const buttons = place.querySelectorAll(".chart")[number]?.querySelectorAll<HTMLButtonElement>(".intervals button") ?? [];
      return [...buttons].find(({ textContent }) => textContent === "5m");
    };
    await eventually(() => expect([length(0)?.disabled, length(1)?.disabled]).toEqual([false, false]));
    length(0)?.click();
    expect(location.search).toBe("?charts=2&from2=3&to2=4&interval=5m");
    length(1)?.click();
    expect(location.search).toBe("?charts=2&interval=5m&interval2=5m");
  });

  it("loads bars back to midnight for the VWAP", async () => {
    const opens = Array.from({ length: 600 }, (_, n) => n);
    const all = (value: number) => opens.map(() => value);
    answers["/history"] = { s: "ok", t: opens.map((n) => n * 60), o: all(2), h: all(2), l: all(2), c: all(2), v: all(1) };
    await show("/?indicators=vwap", Array.from({ length: 400 }, (_, n) => bar((600 + n) * M, 4)));
    await eventually(() => expect(place.querySelector<HTMLElement>("#chart")?.dataset["first"]).toBe("0"));
    await see("#legend", "VWAP 2.80"); // of 600 at 2 and 400 at 4
  });

  it("ends a month with its last day", async () => {
    const month = { resolution: "1M", interval: "1M", width_ms: 31 * 1_440 * M, origin_ms: 0 };
    answers["/api/resolutions"] = [...RESOLUTIONS, month];
    Object.assign(answers["/symbols"] as object, { supported_resolutions: ["1", "1M"] });
    await show("/?interval=1M", []);
    tell({ position: Date.UTC(1970, 1, 27) });
    receive({ type: "bars", id: idOf("bars"), bars: [bar(Date.UTC(1970, 1, 1))] });
    await see("[data-figure='Virtual time']", "1970-03-01 00:00");
  });

  it("is in the exchange's time, and so is what stands beside it", async () => {
    Object.assign(answers["/symbols"] as object, { timezone: "America/New_York" });
    await show("/?zone=exchange", [bar(9 * M)]);
    tell({});
    await see("#legend", "1969-12-31 19:09");
    await see("[data-figure='Virtual time']", "1969-12-31 19:10");
  });
});
