// What the seek strip shows: the price as far as it has been played, holes in the data, and the fills of the run.
import { computed, effect, signal, untracked } from "@preact/signals";
import { socketState } from "../data/gateway_socket";
import { get, mayAnswerLater } from "../data/request";
import { resolutions } from "../data/resources";
import type { Bar, PlayedReplay, Resolution } from "../data/types";
import { position, replayState } from "../deck/replay_state";
import { marketOf } from "../deck/defaults";
import { replay, symbolOf } from "../deck/selection";

/** About as many points as the strip has pixels. */
const POINTS_MAX = 800;
const HOLES_MAX = 500;
/** Between two requests for what could not be had. */
const RETRY_MS = 3_000;

export interface Hole {
  from: number;
  to: number;
}

/** The last close of each part of the range, by its open: what this page was given, up to the furthest position. */
export const prices = signal<ReadonlyMap<number, number>>(new Map());
export const holes = signal<readonly Hole[]>([]);
/** The furthest position that this page has seen of the shown replay. */
export const furthest = signal<number | null>(null);

/** The shortest bars of which the range has few enough. */
export function stripLength(range: number, known: readonly Resolution[]): Resolution | null {
  return known.find(({ width_ms }) => range / width_ms <= POINTS_MAX) ?? known.at(-1) ?? null;
}

const shownLength = computed(() => {
  const shown = replay.value;
  return shown === null ? null : stripLength(shown.range_to - shown.range_from, resolutions.value ?? []);
});

/** Take a bar that a chart was given of the strip's symbol. */
export function takeBar(symbol: string, bar: Bar): void {
  const length = shownLength.peek();
  const shown = replay.peek();
  if (length === null || shown === null || symbol !== symbolOf(0) || bar.ts < shown.range_from) return;
  const part = Math.floor((bar.ts - length.origin_ms) / length.width_ms) * length.width_ms + length.origin_ms;
  if (prices.peek().get(part) !== bar.close) prices.value = new Map(prices.peek()).set(part, bar.close);
}

interface Subject {
  shown: PlayedReplay;
  symbol: string;
  length: Resolution;
}

/** Load the strip of the shown replay from now on, and what was missed while the connection was lost. */
export function followStrip(): () => void {
  // The lists are other objects after each load that has changed them: what is shown is known by its names.
  const uid = computed(() => replay.value?.uid ?? "");
  const subject = computed(() => `${uid.value} ${symbolOf(0)} ${shownLength.value?.interval ?? ""}`);
  const connections = countConnections();
  let drawn: string | null = null; // the subject of the prices
  const ends = [
    connections.end,
    effect(() => {
      void uid.value;
      furthest.value = null;
    }),
    effect(() => {
      void subject.value;
      holes.value = [];
      return load(loadHoles);
    }),
    effect(() => {
      void connections.count.value;
      if (subject.value !== drawn) prices.value = new Map();
      drawn = subject.value;
      return load(loadPrices);
    }),
    effect(() => {
      const at = position.value;
      if (at !== null && replayState.value !== null) furthest.value = Math.max(furthest.peek() ?? at, at);
    }),
  ];
  return () => ends.forEach((end) => end());
}

/** How often the connection has been there again after it was lost. */
function countConnections() {
  const count = signal(0);
  let wasLost = false;
  const end = effect(() => {
    const state = socketState.value;
    if (state === "live" && wasLost) count.value = count.peek() + 1;
    if (state !== "connecting") wasLost = state === "lost";
  });
  return { count, end };
}

type Load = (subject: Subject) => Promise<() => void>;

/** Load a part of the strip, and show it if it is still wanted: until what is returned is called. It is asked for until it is had. */
function load(part: Load): () => void {
  const [shown, symbol, length] = untracked(() => [replay.value, symbolOf(0), shownLength.value]);
  if (shown === null || length === null || symbol === "") return () => undefined;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let isWanted = true;
  const ask = async () => {
    try {
      const show = await part({ shown, symbol, length });
      if (isWanted) show();
    } catch (error) {
      // The strip lacks this part then; the chart says what is wrong. A market that the store lacks has no known holes.
      if (isWanted && mayAnswerLater(error)) retry = setTimeout(() => void ask(), RETRY_MS);
    }
  };
  void ask();
  return () => {
    isWanted = false;
    clearTimeout(retry);
  };
}

/** What the chart was given while the prices were loaded is newer than they. */
const loadPrices: Load = async ({ shown, symbol, length }) => {
  const before = prices.peek();
  const query = { symbol, interval: length.interval, from: shown.range_from, limit: 2 * POINTS_MAX };
  const { bars } = await get<{ bars: Bar[] }>("/api/v1/bars", query);
  return () => {
    const given = [...prices.peek()].filter(([part, close]) => before.get(part) !== close);
    prices.value = new Map([...before, ...bars.map(({ ts, close }): [number, number] => [ts, close]), ...given]);
  };
};

const loadHoles: Load = async ({ shown, symbol }) => {
  const query = { symbol: marketOf(symbol), interval: shown.interval, from: shown.range_from, to: shown.range_to };
  const coverage = await get<{ holes: Hole[] }>("/api/v1/coverage", query);
  return () => (holes.value = joined(coverage.holes, (shown.range_to - shown.range_from) / HOLES_MAX));
};

/** Holes in order; those that the strip could not tell apart are one. */
export function joined(found: readonly Hole[], distance: number): Hole[] {
  const all: Hole[] = [];
  for (const { from, to } of found) {
    const last = all.at(-1);
    if (last !== undefined && from - last.to < distance) last.to = Math.max(last.to, to);
    else all.push({ from, to });
  }
  return all;
}
