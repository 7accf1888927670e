// @vitest-environment happy-dom
// The chart of the Deck over fake answers: its prices, what it loads, and what of it is in sight.
import { describe, expect, it, vi } from "vitest";
import {
  answers, eventually, idOf, M, open, place, receive, RESOLUTIONS, see, subscribed, tell, text,
} from "./deck_page";

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
