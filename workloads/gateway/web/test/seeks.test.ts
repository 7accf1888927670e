// @vitest-environment happy-dom
// Seeks over fake answers: what is sent, what is asked first, what can be undone, and the loop from A to B.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { FakeWebSocket } from "./fake_socket";

const fetched = vi.fn<(address: string, init?: RequestInit) => Promise<Response>>();
const RANGE = { range_from: 0, range_to: 3_600_000 };
const PLAYED = {
  uid: "u1", name: "tape", namespace: "default", exchange: "coinbase", symbols: ["BTC/USD"], interval: "1m", ...RANGE,
  position: 600_000, epoch: "0.0", published: 10, ended: false, transforms: [],
};
const BACKTEST = {
  apiVersion: "tapedeck.dev/v1alpha1", kind: "Backtest", metadata: { name: "sma", namespace: "default", uid: "b1" },
  spec: { data: { replay: { name: "tape" } }, strategy: { builtin: "sma-cross" } }, status: { phase: "Running" },
};
const RUN = { run_id: "r1", replay_uid: "u1", exchange: "coinbase", symbols: ["BTC/USD"], state: "complete" };
let runs: unknown[] = [];
let spec: Record<string, unknown> = {};
let replays: unknown[] = [];
/** The resources beside that of the first replay. */
let others: unknown[] = [];
const ends: (() => void)[] = [];

function answer(address: string): unknown {
  if (address === "/api/replays") return replays;
  const replay = { apiVersion: "v", kind: "Replay", metadata: { name: "tape", namespace: "default", uid: "u1" }, spec };
  if (address === "/api/v1/replays") return { replays: [replay, ...others] };
  if (address === "/api/v1/backtests") return { backtests: runs };
  if (address === "/api/v1/feeds") return { feeds: [] };
  if (address === "/api/v1/runs") return { runs: [RUN, { ...RUN, run_id: "r2", exchange: "kraken" }] };
  if (address === "/api/v1/namespaces/default/replays") return { metadata: { name: "tape-2", namespace: "default", uid: "u9" } };
  return {};
}

/** What was posted, by the path's last part. */
const posted = () =>
  fetched.mock.calls
    .filter(([, init]) => init?.method === "POST")
    .map(([address, init]) => [address.split("/").at(-1), JSON.parse(init?.body as string) as unknown]);

async function deck() {
  vi.resetModules();
  const modules = {
    resources: await import("../src/data/resources"),
    router: await import("../src/shell/router"),
    state: await import("../src/deck/replay_state"),
    selection: await import("../src/deck/selection"),
    seeks: await import("../src/transport/seeks"),
    loop: await import("../src/transport/ab_loop"),
    actions: await import("../src/transport/actions"),
  };
  modules.router.startRouter();
  await Promise.all([modules.resources.played, modules.resources.replays, modules.resources.backtests].map((each) => each.refresh()));
  const end = modules.state.followReplay();
  const socket = FakeWebSocket.newest();
  socket.open();
  socket.receive({ type: "welcome", seq: 1, session: "s", limits: { ping_seconds: 15 } });
  let seq = 1;
  const tell = (state: object) =>
    socket.receive({
      type: "replay", seq: (seq += 1), id: "s1", replay: "u1", namespace: "default", name: "tape", ...RANGE, epoch: "0.0",
      round: 0, speed: 60, unpaced: false, measured_speed: 60, paused: false, ended: false, lateness_ms: 0, published: 1,
      position: 600_000, ...state,
    });
  tell({});
  return { ...modules, tell, end };
}

beforeEach(() => {
  FakeWebSocket.opened = [];
  vi.stubGlobal("WebSocket", FakeWebSocket);
  vi.stubGlobal("fetch", fetched);
  fetched.mockImplementation((address) => Promise.resolve(new Response(JSON.stringify(answer(address)))));
  history.replaceState(null, "", "/");
  [runs, spec, replays, others] = [[], {}, [PLAYED], []];
});
afterEach(() => {
  for (const end of ends.splice(0)) end();
  vi.useRealTimers();
  vi.unstubAllGlobals();
  fetched.mockReset();
});

describe("a seek", () => {
  it("is sent to the shown replay, and can be undone", async () => {
    const { seeks, tell } = await deck();
    await seeks.seek(120_000.4, { paused: true });
    expect(seeks.undoable.value).toEqual({ uid: "u1", position: 600_000, paused: false });
    tell({ position: 120_000, epoch: "1.0", paused: true });
    await seeks.undo();
    expect(posted()).toEqual([
      ["controls", { paused: true, seek: 120_000 }],
      ["controls", { paused: false, seek: 600_000 }],
    ]);
    expect(seeks.undoable.value).toBeNull();
  });

  it("that the gateway refuses is shown, and not undone", async () => {
    const { seeks } = await deck();
    const { controlProblem } = await import("../src/transport/controls");
    fetched.mockResolvedValueOnce(new Response(JSON.stringify({ detail: "token: got none" }), { status: 403 }));
    await seeks.seek(1);
    expect(controlProblem.value).toBe("token: got none");
    expect(seeks.undoable.value).toBeNull();
  });

  it("is undone once by each Ctrl Z, though the gateway is slow", async () => {
    const { seeks, tell } = await deck();
    await seeks.seek(120_000);
    tell({ position: 120_000, epoch: "1.0" });
    await seeks.seek(240_000);
    tell({ position: 240_000, epoch: "2.0" });
    await Promise.all([seeks.undo(), seeks.undo(), seeks.undo()]);
    expect(posted().slice(2)).toEqual([
      ["controls", { paused: false, seek: 120_000 }], ["controls", { paused: false, seek: 600_000 }],
    ]);
    expect(seeks.undoable.value).toBeNull();
  });

  it("whose undo is refused can be undone again", async () => {
    const { seeks } = await deck();
    await seeks.seek(120_000);
    fetched.mockResolvedValueOnce(new Response("{}", { status: 503 }));
    await seeks.undo();
    expect(seeks.undoable.value?.position).toBe(600_000);
  });

  it("that ends a run asks first, once, and may restart it under another name", async () => {
    runs = [BACKTEST];
    const { seeks } = await deck();
    const cancelled = seeks.seek(60_000);
    expect(seeks.asked.value?.runs.map(({ backtest }) => backtest.metadata.name)).toEqual(["sma"]);
    await seeks.answer("cancel");
    expect(await cancelled).toBe(false);
    expect(posted()).toEqual([]);
    const restarted = seeks.seek(60_000);
    await seeks.answer("restart");
    expect(await restarted).toBe(true);
    const { apiVersion, kind, spec: before } = BACKTEST;
    const data = { ...before.data, replay: { ...before.data.replay, onSeek: "restart" } };
    expect(posted()).toEqual([
      ["controls", { seek: 60_000 }],
      ["backtests", { apiVersion, kind, metadata: { name: "sma-2", namespace: "default" }, spec: { ...before, data } }],
    ]);
    await seeks.seek(120_000);
    expect(seeks.asked.value).toBeNull();
  });
});

describe("the transport", () => {
  it("plays, pauses, and goes on from a time to stop", async () => {
    const { actions, tell } = await deck();
    await actions.playOrPause();
    spec = { paused: true };
    tell({ paused: true });
    const { resources } = { resources: await import("../src/data/resources") };
    await resources.replays.refresh();
    await actions.playOrPause();
    spec = { until: new Date(600_000).toISOString() };
    await resources.replays.refresh();
    await actions.playOrPause();
    expect(posted()).toEqual([
      ["controls", { paused: true }], ["controls", { paused: false }], ["controls", { paused: false, until: null }],
    ]);
  });

  it("steps by bars, changes the speed, and sends nothing after the end", async () => {
    const { actions, tell } = await deck();
    await actions.stepForward(10);
    await actions.stepBack(1);
    await actions.changeSpeed(1);
    tell({ ended: true });
    await actions.stepForward(1);
    expect(posted()).toEqual([
      ["controls", { step: 10 }], ["controls", { paused: true, seek: 540_000 }], ["controls", { speed: 2 }],
    ]);
  });
});

/** The address after a replay that has ended is played again, while another one plays. */
async function addressAfterPlayAgain(search: string): Promise<Record<string, string>> {
  const playing = { ...PLAYED, uid: "u2", name: "other" };
  replays = [playing, { ...PLAYED, ended: true }];
  history.replaceState(null, "", search);
  const { resources, selection } = await deck();
  await resources.runs.refresh();
  const { playAgain, showAwaited } = await import("../src/transport/play_again");
  const { tellSight } = await import("../src/deck/sights");
  ends.push(tellSight(0, () => ({ sight: { from: 60_000, to: 120_000 }, isFollowing: true })), showAwaited());
  await playAgain({ apiVersion: "v", kind: "Replay", metadata: { name: "tape", namespace: "default", uid: "u1" }, spec });
  await resources.played.refresh();
  expect(selection.replay.value?.uid).toBe("u1"); // what was made has not started
  replays = [{ ...PLAYED, uid: "u9", name: "tape-2", position: null }, ...replays];
  await resources.played.refresh();
  await vi.waitFor(() => expect(selection.replay.value?.uid).toBe("u9"));
  return Object.fromEntries(new URLSearchParams(location.search));
}

it("what is played again takes the place of the ended one, with all that was shown of that", async () => {
  const after = await addressAfterPlayAgain("/?replay=u1&run=r1&trade=3&symbol=replay/u1/coinbase:BTC/USD");
  expect(after).toEqual({
    replay: "u9", run: "r1", trade: "3", symbol: "replay/u9/coinbase:BTC/USD", from: "60000", to: "120000",
  });
});

it("what is played again is shown without a run of another market", async () => {
  const after = await addressAfterPlayAgain("/?replay=u1&run=r2&trade=3");
  expect(after).toEqual({ replay: "u9", symbol: "replay/u9/coinbase:BTC/USD", from: "60000", to: "120000" });
});

it("what is played again does not take the place of what the reader has gone to meanwhile", async () => {
  replays = [{ ...PLAYED, uid: "u2", name: "other" }, { ...PLAYED, ended: true }];
  history.replaceState(null, "", "/?replay=u1");
  const { resources, selection } = await deck();
  const { awaited, playAgain, showAwaited } = await import("../src/transport/play_again");
  ends.push(showAwaited());
  await playAgain({ apiVersion: "v", kind: "Replay", metadata: { name: "tape", namespace: "default", uid: "u1" }, spec });
  selection.choose({ replay: "u2" });
  await vi.waitFor(() => expect(awaited.value).toBeNull());
  replays = [{ ...PLAYED, uid: "u9", name: "tape-2" }, ...replays];
  await resources.played.refresh();
  expect(selection.replay.value?.uid).toBe("u2");
});

it("what is played again and deleted before it starts is no longer awaited", async () => {
  replays = [{ ...PLAYED, ended: true }];
  history.replaceState(null, "", "/?replay=u1");
  const { resources } = await deck();
  const { awaited, isMaking, playAgain, showAwaited } = await import("../src/transport/play_again");
  const { controlProblem } = await import("../src/transport/controls");
  ends.push(showAwaited());
  others = [{ apiVersion: "v", kind: "Replay", metadata: { name: "tape-2", namespace: "default", uid: "u9" }, spec, status: { phase: "Pending" } }];
  await playAgain({ apiVersion: "v", kind: "Replay", metadata: { name: "tape", namespace: "default", uid: "u1" }, spec });
  expect(awaited.value?.name).toBe("tape-2");
  others = [];
  await resources.replays.refresh();
  expect([awaited.value, isMaking.value, controlProblem.value]).toEqual([null, false, "tape-2: deleted before it started"]);
});

it("an ended replay is played again as another one, from its start", async () => {
  spec = { source: { store: {} }, speed: 60, seek: { to: "2018", id: "a" }, step: { intervals: 1, id: "b" }, until: "2018", paused: true };
  await deck();
  const { playAgain } = await import("../src/transport/play_again");
  const metadata = { name: "tape", namespace: "default", uid: "u1" };
  await playAgain({ apiVersion: "v", kind: "Replay", metadata, spec });
  const played = { apiVersion: "v", kind: "Replay", metadata: { name: "tape-2", namespace: "default" } };
  expect(posted()).toEqual([["replays", { ...played, spec: { source: { store: {} }, speed: 60 } }]]);
});

describe("the loop from A to B", () => {
  it("seeks to A whenever B is reached, and ends with the time to stop", async () => {
    const { loop, tell } = await deck();
    await loop.setPoint("a", 300_000);
    await loop.setPoint("b", 660_000);
    expect(location.search).toBe("?a=300000&b=660000");
    const end = loop.keepLooping();
    await loop.toggleLoop();
    tell({ position: 650_000 });
    tell({ position: 660_000, paused: true });
    await vi.waitFor(() => expect(posted()).toHaveLength(2), { timeout: 30_000 });
    await loop.toggleLoop();
    expect(posted()).toEqual([
      ["controls", { until: 660_000 }], ["controls", { until: 660_000, seek: 300_000 }], ["controls", { until: null }],
    ]);
    end();
  });

  /** A loop whose replay has come to B. */
  const looping = async () => {
    const found = await deck();
    await found.loop.setPoint("a", 300_000);
    await found.loop.setPoint("b", 660_000);
    ends.push(found.loop.keepLooping());
    await found.loop.toggleLoop();
    return found;
  };
  /** A moment after B was reached, and again when the loop might repeat. */
  const atB = async (tell: (state: object) => void) => {
    for (const ms of [1_000, 2_000, 3_000]) {
      vi.setSystemTime(Date.now() + ms);
      tell({ position: 660_000, paused: true, published: ms });
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };

  it("ends where the reader cancels the question before a repeat", async () => {
    runs = [BACKTEST];
    const { loop, seeks, tell } = await looping();
    expect(loop.isLooping.value).toBe(true);
    await atB(tell);
    expect(seeks.asked.value?.controls).toEqual({ until: 660_000, seek: 300_000 });
    await seeks.answer("cancel");
    await atB(tell);
    expect([seeks.asked.value, loop.isLooping.value]).toEqual([null, false]);
    expect(posted()).toEqual([["controls", { until: 660_000 }]]); // the replay is left at B
  });

  it("leaves nothing to undo by its repeats", async () => {
    const { seeks, tell } = await looping();
    await atB(tell);
    expect(posted().length).toBeGreaterThan(2);
    expect(seeks.undoable.value).toBeNull();
  });

  it("is not on where its first seek is refused, or cancelled", async () => {
    const { loop, seeks, tell } = await deck();
    await loop.setPoint("a", 300_000);
    await loop.setPoint("b", 400_000);
    fetched.mockResolvedValueOnce(new Response(JSON.stringify({ detail: "token: got none" }), { status: 403 }));
    await loop.toggleLoop();
    expect(loop.isLooping.value).toBe(false);
    runs = [BACKTEST];
    await (await import("../src/data/resources")).backtests.refresh();
    const toggled = loop.toggleLoop();
    await seeks.answer("cancel");
    await toggled;
    expect(loop.isLooping.value).toBe(false);
    tell({ position: 500_000, paused: true });
    expect(seeks.asked.value).toBeNull();
  });

  it("ends with its replay: another one is not looped, and the first plays past B", async () => {
    replays = [PLAYED, { ...PLAYED, uid: "u2", name: "other", range_to: 500_000 }];
    const { loop, selection } = await looping();
    selection.choose({ replay: "u2" });
    await vi.waitFor(() => expect(posted()).toHaveLength(2), { timeout: 30_000 });
    expect(fetched.mock.calls.filter(([, init]) => init?.method === "POST").at(-1)?.[0]).toContain("/replays/tape/controls");
    expect(posted().at(-1)).toEqual(["controls", { until: null }]);
    expect([loop.isLooping.value, loop.pointA.value, loop.pointB.value]).toEqual([false, 300_000, null]); // B is beyond its range
    selection.choose({ replay: "u1" });
    expect(loop.isLooping.value).toBe(false);
  });

  it("without points is of the whole range", async () => {
    const { loop } = await deck();
    await loop.toggleLoop();
    expect(posted()).toEqual([["controls", { loop: "forever" }]]);
  });
});
