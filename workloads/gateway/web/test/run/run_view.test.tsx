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

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("ResizeObserver", class { observe() {} unobserve() {} disconnect() {} });
  vi.stubGlobal("fetch", (address: string) => {
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

it("ends at the position of the replay as soon as the report says that it has gone back", async () => {
  const trades = [trade({ seq: 0, exit_ts: 60_000, exit_reason: "first" }), trade({ seq: 1, exit_ts: 120_000, exit_reason: "second" })];
  answers = {
    "": report({ replay_uid: "u" }), "/trades": { trades, next: null }, "/excursions": { excursions: [], missing: "" },
    "/equity": { equity: [equityRow(60_000, 1_000, 0), equityRow(120_000, 2_000, 0)] }, "/buy-and-hold": hold([[60_000, 1_000]]),
  };
  void act(() => render(<RunView id="u-1" />, place));
  await after(100);
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
  void act(() => render(<RunView id="u-1" />, place));
  await after(100);
  expect(place.querySelector(".worst")?.textContent).toContain("Worst hour: -40.00, 1970-01-01 00:00–00:03");
});
