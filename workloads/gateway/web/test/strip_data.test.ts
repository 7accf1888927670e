// @vitest-environment happy-dom
// What the seek strip keeps and loads while lists are polled, requests fail, and the connection is lost.
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { RequestError, mayAnswerLater } from "../src/data/request";
import { FakeWebSocket } from "./fake_socket";

const M = 60_000;
const MINUTE = { resolution: "1", interval: "1m", width_ms: M, origin_ms: 0 };
const RANGE = { range_from: 0, range_to: 60 * M };
const played = (uid: string, position: number) => ({
  uid, name: uid, namespace: "default", exchange: "x", symbols: ["A", "B"], interval: "1m", ...RANGE, position, epoch: "0.0",
  published: 10, ended: false, transforms: [],
});
const bar = (n: number, close: number) => ({ ts: n * M, open: 1, high: 9, low: 1, close, volume: 1, closed: true });

const fetched = vi.fn<(address: string) => Promise<Response>>();
let answers: Record<string, unknown> = {};
let seq = 1;
let end = () => undefined as void;

const asked = (path: string) => fetched.mock.calls.map(([address]) => new URL(address, "http://x")).filter(({ pathname }) => pathname === path);
const settled = () => vi.advanceTimersByTimeAsync(0);
const welcome = () => {
  FakeWebSocket.newest().open();
  FakeWebSocket.newest().receive({ type: "welcome", seq: 1, session: "s", limits: { ping_seconds: 1_000 } });
};

async function strip() {
  vi.resetModules();
  const modules = {
    resources: await import("../src/data/resources"),
    router: await import("../src/shell/router"),
    state: await import("../src/deck/replay_state"),
    selection: await import("../src/deck/selection"),
    strip: await import("../src/transport/strip_data"),
  };
  modules.router.startRouter();
  await Promise.all([modules.resources.played.refresh(), modules.resources.resolutions.refresh()]);
  const ends = [modules.state.followReplay(), modules.strip.followStrip()];
  end = () => ends.forEach((each) => each());
  welcome();
  const tell = (position: number) =>
    FakeWebSocket.newest().receive({
      type: "replay", seq: (seq += 1), id: "s1", replay: "u", namespace: "default", name: "u", ...RANGE, epoch: "0.0", round: 0, speed: 60,
      unpaced: false, measured_speed: 60, paused: false, ended: false, lateness_ms: 0, published: 1, position,
    });
  await settled();
  return { ...modules, tell, prices: () => [...modules.strip.prices.value].map(([ts, close]) => [ts / M, close]) };
}

beforeEach(() => {
  answers = {
    "/api/replays": [played("u", 10 * M)], "/api/resolutions": [MINUTE],
    "/api/v1/bars": { bars: [bar(0, 5), bar(1, 6)] }, "/api/v1/coverage": { holes: [{ from: 0, to: M }] },
  };
  FakeWebSocket.opened = [];
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeWebSocket);
  vi.stubGlobal("fetch", fetched);
  fetched.mockImplementation((address) => {
    const answer = answers[new URL(address, "http://x").pathname];
    if (answer === undefined) return Promise.reject(new Error("down"));
    return Promise.resolve(new Response(JSON.stringify(answer)));
  });
  history.replaceState(null, "", "/");
});
afterEach(() => {
  end();
  vi.useRealTimers();
  vi.unstubAllGlobals();
  fetched.mockReset();
});

it("keeps what it has while the lists are loaded again, and starts over for another symbol", async () => {
  const { strip: of, resources, selection, tell, prices } = await strip();
  tell(20 * M);
  of.takeBar("replay/u/x:A", bar(19, 7));
  tell(12 * M); // a seek back
  answers["/api/replays"] = [played("u", 12 * M)];
  await resources.played.refresh();
  await settled();
  expect(prices()).toEqual([[0, 5], [1, 6], [19, 7]]);
  expect([of.furthest.value, of.holes.value]).toEqual([20 * M, [{ from: 0, to: M }]]);
  expect([asked("/api/v1/bars"), asked("/api/v1/coverage")].map(({ length }) => length)).toEqual([1, 1]);
  answers["/api/v1/bars"] = { bars: [bar(0, 50)] };
  selection.choose({ symbol: "x:B" });
  await settled();
  expect(prices()).toEqual([[0, 50]]);
  expect(asked("/api/v1/bars").at(-1)?.searchParams.get("symbol")).toBe("replay/u/x:B");
  expect(of.furthest.value).toBe(20 * M); // it is the replay's
  answers["/api/replays"] = [played("v", 3 * M)];
  await resources.played.refresh();
  expect(of.furthest.value).toBeNull();
});

it("asks again for what could not be loaded, and not for what is refused", async () => {
  delete answers["/api/v1/bars"];
  const { prices } = await strip();
  expect(prices()).toEqual([]);
  answers["/api/v1/bars"] = { bars: [bar(0, 5)] };
  await vi.advanceTimersByTimeAsync(3_000);
  expect(prices()).toEqual([[0, 5]]);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(asked("/api/v1/bars")).toHaveLength(2);
  const later = [0, 401, 404, 429, 503].filter((status) => mayAnswerLater(new RequestError("", status)));
  expect(later).toEqual([0, 429, 503]);
});

it("loads what was missed while the connection was lost", async () => {
  const { strip: of, prices } = await strip();
  FakeWebSocket.newest().drop();
  answers["/api/v1/bars"] = { bars: [bar(0, 5), bar(1, 8), bar(2, 9)] };
  await vi.advanceTimersByTimeAsync(1_000);
  welcome();
  of.takeBar("replay/u/x:A", bar(3, 4));
  await settled();
  expect(prices()).toEqual([[0, 5], [1, 8], [2, 9], [3, 4]]);
});
