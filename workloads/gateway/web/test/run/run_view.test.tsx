// @vitest-environment happy-dom
// The view of a run over fake answers: what it tells after a seek back of its replay.
import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { RunView } from "../../src/run/run_view";
import { equityRow, hold, report, trade } from "./made";

vi.mock("uplot", () => ({ default: class { destroy() {} setSize() {} setData() {} } })); // happy-dom has no canvas

let answers: Record<string, unknown> = {};
let place: HTMLElement;
/** Whether all points of the equity are not answered yet. */
let isHeld = false;

beforeEach(() => {
  isHeld = false;
  vi.useFakeTimers();
  vi.stubGlobal("ResizeObserver", class { observe() {} unobserve() {} disconnect() {} });
  vi.stubGlobal("fetch", (address: string) => {
    if (address.includes("cursor") || (address.endsWith("/equity?limit=20000") && isHeld)) return new Promise(() => undefined);
    const body = answers[new URL(address, "http://x").pathname.replace("/api/v1/runs/u-1", "")];
    return Promise.resolve(new Response(JSON.stringify(body ?? { detail: "not here" }), { status: body === undefined ? 404 : 200 }));
  });
  place = document.body.appendChild(document.createElement("div"));
});
afterEach(() => {
  void act(() => render(null, place));
  place.remove();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const after = (ms: number) => act(async () => void (await vi.advanceTimersByTimeAsync(ms)));
/** The parts of a run are loaded after its report. */
async function open() {
  void act(() => render(<RunView id="u-1" />, place));
  await after(100);
  await after(100);
}

it("ends at the position of the replay as soon as the report says that it has gone back", async () => {
  const trades = [trade({ seq: 0, exit_ts: 60_000, exit_reason: "first" }), trade({ seq: 1, exit_ts: 120_000, exit_reason: "second" })];
  answers = {
    "": report({ replay_uid: "u" }), "/trades": { trades, next: null }, "/excursions": { excursions: [], missing: "" },
    "/equity": { equity: [equityRow(60_000, 1_000, 0), equityRow(120_000, 2_000, 0)] }, "/buy-and-hold": hold([[60_000, 1_000]]),
  };
  await open();
  const panel = (title: string) => place.querySelector(`[aria-label="${title}"]`)?.textContent ?? "";
  expect(panel("Trades")).toContain("2 trades");
  answers[""] = report({ replay_uid: "u", state: "running", metrics: null, shown_until: 90_000 });
  await after(3_000);
  expect(panel("Trades")).toContain("1 trades");
  answers[""] = report({ replay_uid: "u" });
  await after(3_000);
  expect(panel("Trades")).toContain("2 trades");
});

it("finds the worst hour in all points of a run that has ended, page by page", async () => {
  const all = [100, 90, 95, 60, 61].map((value, seq) => ({ ...equityRow(60_000 * seq, value, 0), seq }));
  const pages: Record<string, object> = { "": { equity: all.slice(0, 3), next: "more" }, more: { equity: all.slice(3), next: null } };
  vi.stubGlobal("fetch", (address: string) => {
    const { pathname, searchParams } = new URL(address, "http://x");
    const drawn = { equity: [all[0], all[2], all[4]] };
    const equity = searchParams.has("points") ? drawn : pages[searchParams.get("cursor") ?? ""];
    const body = pathname.endsWith("/equity") ? equity : pathname.endsWith("/u-1") ? report({ bars: 5 }) : undefined;
    return Promise.resolve(new Response(JSON.stringify(body ?? { detail: "not here" }), { status: body === undefined ? 404 : 200 }));
  });
  await open();
  expect(place.querySelector(".worst")?.textContent).toContain("Worst hour: -40.00, 1970-01-01 00:00–00:03");
});

it("names no worst hour while all points are on their way, and loads everything again when the run ends", async () => {
  const equity = [100, 90].map((value, seq) => ({ ...equityRow(600_000 * seq, value, 0), seq: 10 * seq }));
  const common = { "/excursions": { excursions: [], missing: "" }, "/buy-and-hold": hold([]), "/equity": { equity, next: null } };
  answers = { ...common, "": report({ state: "running", ended_at: null, bars: null, metrics: null }), "/trades": { trades: [], next: null } };
  await open();
  const worst = () => place.querySelector(".worst")?.textContent;
  expect(worst()).toContain("Worst hour: about -10.00, 1970-01-01 00:00–00:10");
  isHeld = true;
  answers[""] = report({ bars: 11 });
  answers["/trades"] = { trades: [trade({ pnl_net: -3 })], next: null };
  await after(3_000);
  await after(100);
  expect(worst()).toBe("Looking for the worst hourWorst trade: #0, -3.00, exit bar 1969-12-31 23:59Show on the chart");
});

it("tells of a run of which nothing is stored that it starts, and why it does not", async () => {
  const backtest = (status: object) => ({ backtests: [{ kind: "Backtest", metadata: { uid: "u-1", name: "cross", namespace: "default" }, spec: {}, status }] });
  answers = { "/api/v1/backtests": backtest({ phase: "Pending" }) };
  await open();
  const shown = () => place.querySelector("main")?.textContent;
  expect(shown()).toBe("crossIt is starting (Pending). Its report is shown here once the run is stored.");
  answers["/api/v1/backtests"] = backtest({ phase: "Failed", message: "no image" });
  await after(3_000);
  await after(100);
  expect(shown()).toContain("It failed before its run began.no image");
  answers = { "": report({ name: "cross" }), "/equity": { equity: [], next: null } };
  await after(3_000);
  await after(100);
  expect(place.querySelector(".head-of-run")?.textContent).toContain("sma-cross on BTC/USD");
});

it("says once that there is no such run", async () => {
  answers = { "/api/v1/backtests": { backtests: [] } };
  await open();
  expect(place.querySelector("main")?.textContent).toBe("Unreachablenot here");
});

it("says why an hour of a run cannot be played", async () => {
  const equity = [100, 90].map((value, seq) => ({ ...equityRow(3_600_000 * seq, value, 0), seq }));
  answers = { "": report({ interval: "1h", bars: 2 }), "/equity": { equity, next: null } };
  await open();
  expect(place.querySelector(".worst")?.textContent).toBe("Worst hour: -10.00, 1970-01-01 00:00–01:00No hour can be played: a bar has 1h");
});
