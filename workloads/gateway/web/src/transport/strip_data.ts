// What the seek strip shows: the price as far as it has been played, holes in the data, and the fills of the run.
import { computed, effect, signal } from "@preact/signals";
import { get } from "../data/request";
import { resolutions } from "../data/resources";
import type { Bar, PlayedReplay, Resolution } from "../data/types";
import { position, replayState } from "../deck/replay_state";
import { marketOf } from "../deck/defaults";
import { replay, symbolOf } from "../deck/selection";

/** About as many points as the strip has pixels. */
const POINTS_MAX = 800;
const HOLES_MAX = 500;

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

/** Load the strip of the shown replay from now on, and what was missed while the connection was lost. */
export function followStrip(): () => void {
  const subject = computed(() => `${replay.value?.uid ?? ""} ${symbolOf(0)} ${shownLength.value?.interval ?? ""}`);
  const stopLoading = effect(() => {
    void subject.value;
    prices.value = new Map();
    holes.value = [];
    furthest.value = null;
    const [shown, symbol, length] = [replay.peek(), symbolOf(0), shownLength.peek()];
    if (shown === null || length === null || symbol === "") return;
    void loadPrices(subject, shown, symbol, length);
    void loadHoles(subject, shown, symbol);
  });
  const stopNoting = effect(() => {
    const at = position.value;
    if (at !== null && replayState.value !== null) furthest.value = Math.max(furthest.peek() ?? at, at);
  });
  return () => {
    stopLoading();
    stopNoting();
  };
}

type Subject = { peek: () => string };

async function loadPrices(subject: Subject, shown: PlayedReplay, symbol: string, length: Resolution): Promise<void> {
  const begun = subject.peek();
  try {
    const query = { symbol, interval: length.interval, from: shown.range_from, limit: 2 * POINTS_MAX };
    const { bars } = await get<{ bars: Bar[] }>("/api/v1/bars", query);
    if (subject.peek() !== begun) return;
    prices.value = new Map([...bars.map(({ ts, close }): [number, number] => [ts, close]), ...prices.peek()]);
  } catch {
    // The strip has no line then; the chart says what is wrong.
  }
}

async function loadHoles(subject: Subject, shown: PlayedReplay, symbol: string): Promise<void> {
  const begun = subject.peek();
  try {
    const query = { symbol: marketOf(symbol), interval: shown.interval, from: shown.range_from, to: shown.range_to };
    const coverage = await get<{ holes: Hole[] }>("/api/v1/coverage", query);
    if (subject.peek() === begun) holes.value = joined(coverage.holes, (shown.range_to - shown.range_from) / HOLES_MAX);
  } catch {
    // Of a market that the store does not have, no holes are known.
  }
}

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
