// The loop: of the whole range by the replay itself, or between two points A and B, which this page keeps going.
import { computed, effect, signal } from "@preact/signals";
import { position, replayState, resource } from "../deck/replay_state";
import { choose, parameter, replay } from "../deck/selection";
import { control } from "./controls";
import { seek } from "./seeks";

/** Between two seeks to A: the position needs a moment to follow. */
const REPEAT_MS = 1_000;

const momentOf = (text: string | null): number | null => (text !== null && /^\d{1,15}$/.test(text) ? Number(text) : null);

/** Points A and B of the address, within the range, in their order; null where one is not set. */
export const pointA = computed(() => momentOf(parameter("a")));
export const pointB = computed(() => momentOf(parameter("b")));
/** Whether this page plays from A to B again and again. */
export const isLooping = signal(false);
/** Whether the replay itself plays its range more than once. */
export const isRepeating = computed(() => (resource.value?.spec.loop ?? 1) !== 1);

/** Both points, where A is before B. */
export function section(a: number | null, b: number | null): { from: number; to: number } | null {
  return a !== null && b !== null && a < b ? { from: a, to: b } : null;
}

/** Set a point; null removes it. */
export async function setPoint(point: "a" | "b", ts: number | null): Promise<void> {
  choose({ [point]: ts === null ? null : String(Math.round(ts)) }, true);
  if (isLooping.peek()) await restartLoop();
}

/** Begin or end the loop: between A and B where both are set, else of the whole range. */
export async function toggleLoop(): Promise<void> {
  const shown = replay.peek();
  if (shown === null) return;
  if (isLooping.peek()) await stopLoop();
  else if (section(pointA.peek(), pointB.peek()) !== null) await restartLoop();
  else await control(shown, { loop: isRepeating.peek() ? null : "forever" });
}

async function restartLoop(): Promise<void> {
  const shown = replay.peek();
  const between = section(pointA.peek(), pointB.peek());
  if (shown === null || between === null) return stopLoop();
  isLooping.value = true;
  const at = position.peek();
  if (at === null || at < between.from || at >= between.to) await seek(between.from, { until: between.to, paused: false });
  else await control(shown, { until: between.to });
}

async function stopLoop(): Promise<void> {
  isLooping.value = false;
  const shown = replay.peek();
  if (shown !== null) await control(shown, { until: null });
}

/** Seek to A whenever B is reached, from now on. */
export function keepLooping(): () => void {
  let soughtAt = -Infinity;
  return effect(() => {
    const between = section(pointA.value, pointB.value);
    const at = position.value;
    const paused = replayState.value?.paused === true && resource.value?.spec.paused !== true;
    if (!isLooping.value || between === null || at === null || at < between.to || !paused) return;
    if (Date.now() - soughtAt < REPEAT_MS) return;
    soughtAt = Date.now();
    void seek(between.from, { until: between.to });
  });
}
