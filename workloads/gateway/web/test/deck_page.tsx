// The whole page over fake answers, which each test opens at its address: what a reader sees, and what the WebSocket tells.
import { afterEach, beforeEach, expect, vi } from "vitest";
import { brought, drawn } from "./fake_charts";
import { FakeWebSocket } from "./fake_socket";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 }); // for a busy machine
export const eventually = (check: () => void) => vi.waitFor(check, { timeout: 30_000, interval: 20 });

export const M = 60_000;
const RANGE = { range_from: 0, range_to: 60 * M };
export const PLAYED = {
  uid: "u1", name: "tape", namespace: "default", exchange: "coinbase", symbols: ["BTC/USD"], interval: "1m", ...RANGE,
  position: 10 * M, epoch: "0.0", published: 10, ended: false, transforms: ["sma5"],
};
export const RUN = { run_id: "r1", name: "cross", strategy: "sma-cross", replay_uid: "u1", exchange: "coinbase", symbols: ["BTC/USD"], interval: "1m", state: "running", cash: 100, trials: 0 };
export const resource = (kind: string, name: string, uid: string, spec: object, status: object) => ({
  apiVersion: "v", kind, metadata: { name, namespace: "default", uid }, spec, status,
});
export const RESOLUTIONS = [
  { resolution: "1", interval: "1m", width_ms: M, origin_ms: 0 },
  { resolution: "5", interval: "5m", width_ms: 5 * M, origin_ms: 0 },
];

/** What is answered, by path; 503 where there is nothing. */
export const answers: Record<string, unknown> = {};
export let place: HTMLElement;
export let socket: FakeWebSocket;
let seq = 1;
let unmount = () => undefined as void;

beforeEach(() => {
  for (const path of Object.keys(answers)) delete answers[path];
  Object.assign(answers, {
    "/api/replays": [PLAYED],
    "/api/resolutions": RESOLUTIONS,
    "/api/v1/runs": { runs: [RUN] },
    "/api/v1/feeds": { feeds: [resource("Feed", "files", "f1", {}, { phase: "Failed", message: "no files match" })] },
    "/api/v1/replays": { replays: [resource("Replay", "tape", "u1", { speed: 60 }, { phase: "Running", speed: "60x", progress: "10/60" })] },
    "/api/v1/backtests": { backtests: [resource("Backtest", "cross", "b1", {}, { phase: "Running", runId: "r1" })] },
    "/api/v1/bars": { bars: [] },
    "/api/v1/coverage": { holes: [{ from: 20 * M, to: 25 * M }] },
    "/api/v1/runs/r1/fills": { fills: [] },
    "/api/runs/r1/equity": [],
    "/symbols": { ticker: "x", pricescale: 100, minmove2: 0, timezone: "Etc/UTC", supported_resolutions: ["1"] },
    "/search": [],
    "/history": { s: "no_data" },
  });
  FakeWebSocket.opened = [];
  drawn.length = brought.length = 0;
  vi.stubGlobal("WebSocket", FakeWebSocket);
  vi.stubGlobal("fetch", (address: string) => {
    const answer = answers[new URL(address, "http://x").pathname];
    if (answer === undefined) return Promise.resolve(new Response(JSON.stringify({ detail: "not here" }), { status: 503 }));
    return Promise.resolve(new Response(JSON.stringify(answer)));
  });
  localStorage.clear();
  history.replaceState(null, "", "/");
  place = document.body.appendChild(document.createElement("div"));
});
afterEach(async () => {
  unmount();
  await new Promise((resolve) => setTimeout(resolve, 100)); // effects end a moment later: an earlier page must not hear keys
  place.remove();
  vi.unstubAllGlobals();
});

export async function open() {
  vi.resetModules();
  const [{ App }, { startRouter }, { connect }, preact] = await Promise.all([
    import("../src/shell/app"), import("../src/shell/router"), import("../src/data/gateway_socket"), import("preact"),
  ]);
  startRouter();
  connect();
  socket = FakeWebSocket.newest(); // an earlier page may still try to connect again
  preact.render(<App />, place);
  unmount = () => preact.render(null, place);
  socket.open();
  receive({ type: "welcome", session: "s", limits: { ping_seconds: 15 } });
  receive({ type: "services", broker: true, database: true });
}

export const receive = (message: object) => socket.receive({ seq: (seq += 1), ...message });
export const idOf = (channel: string) => socket.sent.find((each) => each["channel"] === channel)?.["id"];
export const subscribed = (channel: string) => eventually(() => expect(idOf(channel)).toBeDefined());
export const tell = (state: object) =>
  receive({
    type: "replay", id: idOf("replay"), replay: "u1", namespace: "default", name: "tape", ...RANGE, epoch: "0.0", round: 0, speed: 60,
    unpaced: false, measured_speed: 59.81, paused: false, ended: false, lateness_ms: 12, published: 10, position: 10 * M, at: 0, ...state,
  });
export const text = (selector: string) => place.querySelector(selector)?.textContent ?? "";
export const see = (selector: string, expected: string) => eventually(() => expect(text(selector)).toContain(expected));
