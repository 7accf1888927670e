// @vitest-environment happy-dom
// The panel of coverage over fake answers: the order of series, their holes, and what a new bar or a thousand series cost.
import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { loaded } from "../src/data/loadable";
import { CoveragePanel } from "../src/markets/coverage_panel";
import type { StoredSymbol } from "../src/markets/types";
import { startRouter } from "../src/shell/router";

const [M, D] = [60_000, 86_400_000];
let asked: URLSearchParams[] = [];
let place: HTMLElement;

const market = (name: string, last = 2 * D - M, exchange = "x"): StoredSymbol => ({
  symbol: `${exchange}:${name}`, exchange, name, price_step: null, series: [{ interval: "1m", first: 0, last }], trades: null, tickers: null,
});

/** Two days, of which as many minutes are missing as the name of the symbol says. */
function answer(address: string): object {
  const { pathname, searchParams } = new URL(address, "http://x");
  if (pathname !== "/api/v1/coverage") return { feeds: [] };
  asked.push(searchParams);
  const missing = Number(searchParams.get("symbol")?.replace(/\D/g, ""));
  const days = [{ day: "1970-01-01", bars: 1_440, expected: 1_440 }, { day: "1970-01-02", bars: 1_440 - missing, expected: 1_440 }];
  return { symbol: "", interval: "1m", days, holes: missing === 0 ? [] : [{ from: D, to: D + missing * M }], next: null };
}

beforeEach(() => {
  asked = [];
  vi.useFakeTimers();
  vi.stubGlobal("ResizeObserver", class { observe() {} unobserve() {} disconnect() {} });
  vi.stubGlobal("fetch", (address: string) => Promise.resolve(new Response(JSON.stringify(answer(address)))));
  history.replaceState(null, "", "/markets");
  startRouter();
  place = document.body.appendChild(document.createElement("div"));
});
afterEach(() => {
  void act(() => render(null, place));
  place.remove();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const after = (ms: number) => act(async () => void (await vi.advanceTimersByTimeAsync(ms)));
const show = (symbols: StoredSymbol[]) => act(() => render(<CoveragePanel all={symbols} chosen={loaded(symbols.slice(0, 1))} />, place));
const texts = (selector: string) => [...place.querySelectorAll(selector)].map(({ textContent }) => textContent ?? "");

it("has the series that lacks most on top, its holes as links, and the form that reads them from a file", async () => {
  void show([market("A5"), market("B0"), market("C90")]);
  await after(1_000);
  expect(texts(".coverage li a")).toEqual(["x:C90, 1m", "x:A5, 1m", "x:B0, 1m"]);
  expect(texts(".lead")).toEqual(["2 of 3 series lack bars: 2 holes, 1.6 h in all"]);
  expect(texts(".hole-list a")).toEqual(["1970-01-02 00:00–01:30, 90 bars missing", "1970-01-02 00:00–00:05, 5 bars missing"]);
  expect([texts(".series-holes > a")[0], formOf()]).toEqual([
    "Import a file with these times", { kind: "feed", source: "files", files: "x", symbol: "C90", length: "1m" },
  ]);
});

const formOf = () => Object.fromEntries(new URLSearchParams(place.querySelector(".series-holes > a")?.getAttribute("href")?.split("?")[1]));

it("has the form that fetches the holes of an exchange that Feeds download from", async () => {
  void show([market("C90", 2 * D - M, "kraken")]);
  await after(1_000);
  expect(texts(".series-holes > a")).toEqual(["Fetch what is missing"]);
  expect(formOf()).toMatchObject({ live: "kraken", symbols: "C90", backfill: "1970-01-02T00:00:00Z", until: "1970-01-02T01:30:00Z" });
});

it("leads from the name of a series to its chart, and from the number of its holes to their list", async () => {
  void show([market("C90"), market("B0")]);
  await after(1_000);
  expect(place.querySelector(".coverage li a")?.getAttribute("href")).toBe("/?symbol=x%3AC90&interval=1m");
  const details = place.querySelector("details") as HTMLDetailsElement;
  details.open = false;
  const shown = vi.spyOn(Element.prototype, "scrollIntoView").mockImplementation(() => undefined);
  expect(texts(".coverage .summary button")).toEqual(["1 hole of 1.5 h"]);
  place.querySelector<HTMLButtonElement>(".coverage .summary button")?.click();
  expect([details.open, (shown.mock.contexts[0] as Element).className]).toEqual([true, "series-holes"]);
  expect(document.activeElement?.tagName).toBe("SUMMARY");
});

it("has those that the filters of the table leave, and keeps ticked ones", async () => {
  const others = [market("A5"), { ...market("B0"), symbol: "y:B0", exchange: "y" }];
  history.replaceState(null, "", "/markets?exchange=y");
  startRouter();
  void show(others);
  await after(1_000);
  expect(texts(".coverage li a")).toEqual(["y:B0, 1m"]);
  history.replaceState(null, "", "/markets?find=a5");
  startRouter();
  await after(1_000);
  expect(texts(".coverage li a")).toEqual(["x:A5, 1m"]);
  history.replaceState(null, "", "/markets?find=nothing");
  startRouter();
  await after(1_000);
  expect(texts(".panel .note")).toEqual(["None of the symbols that the filters leave has bars of its own"]);
  history.replaceState(null, "", "/markets?exchange=y&symbol=x:A5");
  startRouter();
  await after(1_000);
  expect(texts(".coverage li a")).toEqual(["x:A5, 1m"]);
});

it("has those of the ticked symbols where its address says so", async () => {
  history.replaceState(null, "", "/markets?covered=chosen+symbols");
  window.dispatchEvent(new PopStateEvent("popstate"));
  void show([market("A5"), market("B0")]);
  await after(1_000);
  expect(texts(".coverage li a")).toEqual(["x:A5, 1m"]);
});

it("keeps what it has where a bar is added, and asks for it the next time", async () => {
  void show([market("A5")]);
  await after(1_000);
  void show([market("A5", 2 * D)]);
  expect(texts(".loading")).toEqual([]);
  expect(asked).toHaveLength(1);
  await after(60_000);
  expect(asked).toHaveLength(2);
});

it("has a few elements for each of a thousand series, lists the holes of the first, and leaves out more", { timeout: 60_000 }, async () => {
  history.replaceState(null, "", "/markets?covered=all+symbols");
  window.dispatchEvent(new PopStateEvent("popstate"));
  void show(Array.from({ length: 1_100 }, (_, n) => market(`S${n + 1}`)));
  await after(2_000);
  expect(asked).toHaveLength(1_000);
  expect(place.querySelectorAll(".coverage svg")).toHaveLength(1_000);
  expect(place.querySelectorAll(".coverage svg *").length).toBeLessThanOrEqual(8_000);
  expect(texts(".coverage li a")[0]).toBe("x:S1000, 1m");
  expect([place.querySelectorAll(".series-holes").length, place.querySelectorAll(".hole-list").length]).toEqual([50, 12]);
  void act(() => [...place.querySelectorAll("button")].find(({ textContent }) => textContent === "List the holes of 50 more series")?.click());
  expect(place.querySelectorAll(".series-holes")).toHaveLength(100);
  expect(place.textContent).toContain("The first 1,000 of 1,100 series");
});
