// @vitest-environment happy-dom
// The panels of a sweep over fake answers: a trial is opened from the table, the heat map and its neighbours, and closed.
import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { loaded, Polled } from "../../src/data/loadable";
import { SweepPanels } from "../../src/run/sweep_panels";
import type { RunInputs, Trial } from "../../src/run/types";
import { navigate, startRouter } from "../../src/shell/router";
import { report } from "./made";

const D = 86_400_000;
let place: HTMLElement;
const SPEC = {
  strategy: { builtin: "sma-cross" }, data: { store: { exchange: "x", symbols: ["A/B"], interval: "1m" } }, sweep: { walkForward: {} },
};
const trial = (window: number, number: number, fast: number, objective: number | null): Trial => ({
  window, trial: number, params: { fast, slow: 50 + number }, start: window * D, end: (window + 1) * D, metrics: { return_percent: objective }, objective,
  feasible: objective !== null, message: objective === null ? "the account fell to 0" : "",
});
const TRIALS = [0, 1].flatMap((window) => [trial(window, 0, 5, 1), trial(window, 1, 10, 3 - window), trial(window, 2, 15, null)]);
const WINDOWS = [{ window: 0, params: TRIALS[1]?.params, in_sample: TRIALS[1], out_of_sample: { ...trial(0, -1, 10, 0.25), start: D, end: 2 * D } }];

function answer(address: string): object | undefined {
  const { pathname, searchParams } = new URL(address, "http://x");
  const [x, y] = [searchParams.get("x") ?? "", searchParams.get("y") ?? ""];
  if (pathname.endsWith("/trials")) return { trials: TRIALS, next: null };
  if (pathname.endsWith("/windows")) return { windows: WINDOWS };
  if (pathname.endsWith("/matrix")) return { x, y, metric: "objective", xs: [5, 15], ys: [50, 52], values: [[1, null], [null, null]], counts: [[1, 0], [0, 0]] };
  return { backtests: [] };
}

const after = (ms: number) => act(async () => void (await vi.advanceTimersByTimeAsync(ms)));

beforeEach(async () => {
  vi.useFakeTimers();
  vi.stubGlobal("ResizeObserver", class { observe() {} unobserve() {} disconnect() {} });
  vi.stubGlobal("fetch", (address: string) => Promise.resolve(new Response(JSON.stringify(answer(address)))));
  Element.prototype.scrollIntoView = () => {};
  history.replaceState(null, "", "/run/u-1");
  startRouter();
  place = document.body.appendChild(document.createElement("div"));
  const inputs = { spec: SPEC } as unknown as RunInputs;
  const run = new Polled(() => Promise.resolve(report({ run_id: "u-1", name: "grid", trials: 6 })), 60_000);
  void run.watch();
  await after(10);
  void act(() => render(<SweepPanels id="u-1" report={run} inputs={loaded(inputs)} />, place));
  await after(500);
});
afterEach(() => {
  void act(() => render(null, place));
  place.remove();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const opened = () => place.querySelector<HTMLElement>("[aria-label='Opened trial']");
const press = async (name: string, within: ParentNode = place) => {
  [...within.querySelectorAll("button")].find(({ textContent }) => textContent === name)?.click();
  await after(10);
};

it("is opened where its address names it, has the focus, and says why it has no report", async () => {
  expect(opened()).toBeNull();
  navigate("/run/u-1?trial=1");
  await after(10);
  expect(opened()?.textContent).toContain("Trial 1 of window 0");
  expect(opened()?.textContent).toContain("no orders, trades or equity: so a trial has no report of its own");
  expect(opened()?.textContent).toContain("Sharpe 3: place 1 of 2");
  expect(opened()?.textContent).toContain("Its params were chosen for 1 of 1 test windows");
  expect(document.activeElement).toBe(opened());
  const form = new URLSearchParams(opened()?.querySelector("a")?.getAttribute("href")?.split("?")[1]);
  expect([form.get("name"), form.get("param fast"), form.get("to")]).toEqual(["grid-w0-t1", "10", "1970-01-02T00:00:00Z"]);
});

it("that is not ranked says why, and leads to its neighbours", async () => {
  navigate("/run/u-1?trial=2&window=1");
  await after(10);
  expect(opened()?.textContent).toContain("Not ranked: the account fell to 0");
  expect(opened()?.textContent).toContain("Its params were chosen for 0 of 1 test windows");
  await press("Trial 1");
  expect([opened()?.querySelector("h2")?.textContent, location.search]).toEqual(["Trial 1 of window 1", "?trial=1&window=1"]);
  await press("Close the trial");
  expect([opened(), location.search]).toEqual([null, "?window=1"]);
});

it("is opened by a cell of the heat map, also by one without a value, and by what a window traded", async () => {
  const cells = () => place.querySelectorAll<HTMLElement>(".matrix td");
  expect([...cells()].map((cell) => cell.querySelector("button") !== null)).toEqual([true, false, false, true]);
  await press("–", cells()[3]);
  expect(opened()?.textContent).toContain("Trial 2");
  expect(cells()[3]?.querySelector("button")?.getAttribute("aria-pressed")).toBe("true");
  await press("fast 10, slow 51");
  expect(opened()?.querySelector("h2")?.textContent).toBe("Trial 1 of window 0");
});

it("that is not there is named", async () => {
  navigate("/run/u-1?trial=9");
  await after(10);
  expect(place.textContent).toContain("trial: got 9, expected the number of one that is loaded");
});

it("of a walk-forward answers first whether its best are luck: by what they made out-of-sample", () => {
  const panel = place.querySelector("[aria-label='Is the best trial luck?']");
  expect(panel?.querySelector("p")?.textContent).toBe(
    "1 of 1 windows had a profit out-of-sample, each with the best trial of the time before; median objective 3 in-sample, 0.25 out-of-sample",
  );
});
