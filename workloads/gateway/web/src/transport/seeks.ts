// Seeks of the shown replay: asked about where they end a run, and undone.
import { computed, signal } from "@preact/signals";
import { backtests, refreshResources } from "../data/resources";
import { messageOf } from "../data/request";
import { deck, position } from "../deck/replay_state";
import { replay } from "../deck/selection";
import { type AttachedRun, attachedRuns, restart } from "./attached_runs";
import { control, controlProblem, type Controls } from "./controls";

/** How many seeks can be undone. */
const UNDO_MAX = 50;

interface Place {
  uid: string;
  position: number;
  paused: boolean;
}

/** A seek that waits for an answer, because it ends runs. */
export interface AskedSeek {
  controls: Controls & { seek: number };
  runs: AttachedRun[];
  isUndo: boolean;
}

export const asked = signal<AskedSeek | null>(null);
const places = signal<readonly Place[]>([]);
/** Where the last seek of the shown replay came from; null where there is none. */
export const undoable = computed<Place | null>(() => places.value.filter(({ uid }) => uid === replay.value?.uid).at(-1) ?? null);
/** Runs that the reader has agreed to end, by uid: he is asked once. */
const agreed = new Set<string>();

/** Seek, with other controls. Asks first where a run would end that was not asked about. */
export async function seek(to: number, controls: Controls = {}, isUndo = false): Promise<void> {
  const shown = replay.peek();
  if (shown === null) return;
  const wanted = { ...controls, seek: Math.round(to) };
  const ended = attachedRuns(backtests.signal.peek().value ?? [], shown);
  const runs = ended.filter(({ backtest, restartsItself }) => !restartsItself && !agreed.has(backtest.metadata.uid));
  if (runs.length > 0) asked.value = { controls: wanted, runs, isUndo };
  else await perform(wanted, isUndo);
}

/** Answer to what was asked: seek, restart the runs after it, or leave all as it is. */
export async function answer(choice: "seek" | "restart" | "cancel"): Promise<void> {
  const request = asked.peek();
  asked.value = null;
  if (request === null || choice === "cancel") return;
  for (const { backtest } of request.runs) agreed.add(backtest.metadata.uid);
  if (!(await perform(request.controls, request.isUndo)) || choice !== "restart") return;
  try {
    for (const each of request.runs) {
      await restart(each, backtests.signal.peek().value ?? []);
      await refreshResources();
    }
  } catch (error) {
    controlProblem.value = messageOf(error);
  }
}

/** Go back to where the last seek came from. */
export async function undo(): Promise<void> {
  const place = undoable.peek();
  if (place !== null) await seek(place.position, { paused: place.paused }, true);
}

async function perform(controls: Controls & { seek: number }, isUndo: boolean): Promise<boolean> {
  const shown = replay.peek();
  if (shown === null) return false;
  const from = position.peek();
  const before: Place | null =
    from === null ? null : { uid: shown.uid, position: from, paused: deck.peek().word === "PAUSED" };
  if (!(await control(shown, controls))) return false;
  if (isUndo) places.value = places.peek().filter((each) => each !== undoable.peek());
  else if (before !== null) places.value = [...places.peek(), before].slice(-UNDO_MAX);
  return true;
}
