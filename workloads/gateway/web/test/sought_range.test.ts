// @vitest-environment happy-dom
// A range that a chart is to have in sight is there in the end, in whichever order it is sought, bars come and frames are drawn.
import { afterEach, describe, expect, it, vi } from "vitest";
import { ChartModel } from "../src/chart/chart_model";
import { MINUTE } from "../src/chart/lengths";
import { cancelFrame, frame, library, requestFrame } from "./frame_library";

type Told = (message: object) => void;
interface Gateway {
  tell: Told;
  answers: ((history: object) => void)[];
}
const gateway = vi.hoisted((): Gateway => ({ tell: () => undefined, answers: [] }));
vi.mock("lightweight-charts", async () => (await import("./frame_library")).frameLibrary);
vi.mock("../src/data/gateway_socket", () => ({
  subscribe: (_: object, handler: Told) => {
    gateway.tell = handler;
    return () => undefined;
  },
}));
vi.setConfig({ testTimeout: 60_000 }); // for a busy machine

const M = 60_000;
const [OLDEST, FIRST, LAST] = [40, 60, 107]; // minutes
const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n);
const bar = (n: number) => ({ ts: n * M, open: 1, high: 1, low: 1, close: 1, volume: 1, closed: true });
const push = (of: number[], message: object) => gateway.tell({ bars: of.map(bar), ...message });

/** Answer all that was asked for: the bars before the first ones, or that there are none. Then what follows from it is done. */
async function answer(model: ChartModel) {
  const older = model.bars[0]?.ts === FIRST * M ? numbers(OLDEST, FIRST - 1) : [];
  const ones = older.map(() => 1);
  const page = { s: older.length > 0 ? "ok" : "no_data", t: older.map((n) => n * 60), o: ones, h: ones, l: ones, c: ones, v: ones };
  for (const each of gateway.answers.splice(0)) each(page);
  await new Promise((resolve) => setTimeout(resolve));
}

const STEPS = {
  snapshot: () => push(numbers(FIRST, LAST), { type: "bars", snapshot: true }),
  answer,
  "another answer": answer,
  bar: () => push([LAST + 1], { type: "bars" }),
  revision: () => push([LAST - 1], { type: "revise" }),
  frame,
  "another frame": frame,
};
type Step = keyof typeof STEPS | "range";

function* orders(of: readonly Step[]): Generator<Step[]> {
  if (of.length === 0) yield [];
  for (const each of of) for (const rest of orders(of.filter((other) => other !== each))) yield [each, ...rest];
}

async function begun() {
  library.reset();
  gateway.answers = [];
  vi.stubGlobal("requestAnimationFrame", requestFrame);
  vi.stubGlobal("cancelAnimationFrame", cancelFrame);
  const info = JSON.stringify({ pricescale: 100, minmove2: 0, supported_resolutions: ["1"] });
  const history = () => new Promise((done) => gateway.answers.push((answered) => done(JSON.stringify(answered))));
  vi.stubGlobal("fetch", (address: string) => {
    const text = address.startsWith("/symbols") ? Promise.resolve(info) : history();
    return Promise.resolve({ ok: true, text: () => text });
  });
  const events = { onBar: () => undefined, onReset: () => undefined, onCrosshair: () => undefined, onShiftClick: () => undefined };
  const model = new ChartModel(document.createElement("div"), { up: "#00ff00", down: "#ff0000" } as never, "UTC", events);
  await model.select("x:A", MINUTE, [MINUTE]);
  return model;
}

/** What is in sight after the steps, and after what they have begun, in minutes. */
async function shownAfter(order: Step[], [from, to]: readonly [number, number]): Promise<number[]> {
  const model = await begun();
  for (const step of [...order, "answer", "frame", "answer", "frame", "frame"] as const)
    if (step === "range") model.setSight({ from: from * M, to: to * M });
    else await STEPS[step](model);
  const { sight } = model.chart;
  const shown = [...library.inSight(), sight?.from ?? NaN, sight?.to ?? NaN];
  model.dispose();
  return [shown[0] ?? NaN, shown.at(-3) ?? NaN, ...shown.slice(-2).map((ts) => ts / M)];
}

/** The orders after which something else than the range is in sight, and what. */
async function failures(range: readonly [number, number], steps: readonly Step[]): Promise<string[]> {
  const found: string[] = [];
  for (const order of orders(steps)) {
    if (["bar", "revision"].some((step) => order.includes(step as Step) && order.indexOf(step as Step) < order.indexOf("snapshot"))) continue;
    const shown = await shownAfter(order, range);
    if (shown.join() !== [...range, ...range].join()) found.push(`${order.join(", ")}: ${shown.join()}`);
  }
  return found;
}

describe("a sought range", () => {
  afterEach(() => void vi.unstubAllGlobals());

  it("of bars that the snapshot has is in sight", async () => {
    expect(await failures([FIRST + 2, LAST - 6], ["range", "snapshot", "answer", "bar", "revision", "frame"])).toEqual([]);
  });
  it("that begins with older bars is in sight", async () => {
    expect(await failures([OLDEST + 3, LAST - 10], ["range", "snapshot", "answer", "bar", "revision", "frame"])).toEqual([]);
  });
  it("of all bars of the snapshot is in sight", async () => {
    expect(await failures([FIRST, LAST], ["range", "snapshot", "answer", "another answer", "revision", "frame"])).toEqual([]);
  });
  it("that ends with a bar that comes later is in sight", async () => {
    expect(await failures([FIRST + 2, LAST + 1], ["range", "snapshot", "answer", "bar", "frame", "another frame"])).toEqual([]);
  });
});
