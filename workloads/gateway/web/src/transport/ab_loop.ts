// The loop: of the whole range by the replay itself, or between two points A and B, which this page keeps going.
import { computed, effect, signal, untracked } from "@preact/signals";
import type { PlayedReplay } from "../data/types";
import { position, replayState, resource } from "../deck/replay_state";
import { choose, parameter, replay } from "../deck/selection";
import { control } from "./controls";
import { seek } from "./seeks";

/** Between two seeks to A: the position needs a moment to follow. */
const REPEAT_MS = 1_000;

/** A point of the address; null where it is not set, or not within the range of the shown replay. */
function pointOf(name: "a" | "b"): number | null {
  const [text, shown] = [parameter(name), replay.value];
  if (shown === null || text === null || !/^\d{1,15}$/.test(text)) return null;
  const ts = Number(text);
  return ts >= shown.range_from && ts <= shown.range_to ? ts : null;
}

export const pointA = computed(() => pointOf("a"));
export const pointB = computed(() => pointOf("b"));
/** The replay that this page plays from A to B again and again, while it shows it; null for none. */
const looped = signal<PlayedReplay | null>(null);
export const isLooping = computed(() => looped.value !== null && looped.value.uid === replay.value?.uid);
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
  const at = position.peek();
  const isBetween = at !== null && at >= between.from && at < between.to;
  const isTaken = isBetween
    ? await control(shown, { until: between.to })
    : await seek(between.from, { until: between.to, paused: false });
  if (isTaken) looped.value = shown;
}

/** The replay then plays past B. */
async function stopLoop(): Promise<void> {
  const of = looped.peek();
  looped.value = null;
  if (of !== null) await control(of, { until: null });
}

/** Seek to A whenever B is reached, from now on, while the replay of the loop is shown. */
export function keepLooping(): () => void {
  const ends = [
    effect(() => {
      if (looped.value !== null && !isLooping.value) untracked(() => void stopLoop()); // another replay is shown, or none
    }),
    effect(repeatAtB()),
  ];
  return () => ends.forEach((end) => end());
}

/** A repeat that is refused, or that the reader does not want where it ends runs, ends the loop: the replay is left at B. */
function repeatAtB(): () => void {
  let soughtAt = -Infinity;
  let isSeeking = false;
  const repeat = async (from: number, until: number) => {
    isSeeking = true;
    soughtAt = Date.now();
    if (!(await seek(from, { until }, false))) looped.value = null;
    isSeeking = false;
  };
  return () => {
    const between = section(pointA.value, pointB.value);
    const at = position.value;
    const isHeld = replayState.value?.paused === true && resource.value?.spec.paused !== true;
    if (!isLooping.value || between === null || at === null || at < between.to || !isHeld) return;
    if (!isSeeking && Date.now() - soughtAt >= REPEAT_MS) untracked(() => void repeat(between.from, between.to));
  };
}
