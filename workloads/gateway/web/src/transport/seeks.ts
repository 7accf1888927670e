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

type SeekControls = Controls & { seek: number };

/** A seek that waits for an answer, because it ends runs. */
export interface AskedSeek {
  controls: SeekControls;
  runs: AttachedRun[];
  isRemembered: boolean;
  answered: (isDone: boolean) => void;
}

export const asked = signal<AskedSeek | null>(null);
const places = signal<readonly Place[]>([]);
/** Where the last seek of the shown replay came from; null where there is none. */
export const undoable = computed<Place | null>(() => places.value.filter(({ uid }) => uid === replay.value?.uid).at(-1) ?? null);
/** Runs that the reader has agreed to end, by uid: he is asked once. */
const agreed = new Set<string>();

/**
 * Seek, with other controls. Asks first where a run would end that was not asked about. Returns whether the gateway has taken
 * it, once that is known. ``isRemembered``: it can be undone.
 */
export async function seek(to: number, controls: Controls = {}, isRemembered = true): Promise<boolean> {
  const shown = replay.peek();
  if (shown === null) return false;
  const wanted = { ...controls, seek: Math.round(to) };
  const ended = attachedRuns(backtests.signal.peek().value ?? [], shown);
  const runs = ended.filter(({ backtest, restartsItself }) => !restartsItself && !agreed.has(backtest.metadata.uid));
  if (runs.length === 0) return perform(wanted, isRemembered);
  asked.peek()?.answered(false); // only the last question is open
  return new Promise((answered) => (asked.value = { controls: wanted, runs, isRemembered, answered }));
}

/** Answer to what was asked: seek, restart the runs after it, or leave all as it is. */
export async function answer(choice: "seek" | "restart" | "cancel"): Promise<void> {
  const request = asked.peek();
  asked.value = null;
  if (request === null) return;
  if (choice === "cancel") return request.answered(false);
  for (const { backtest } of request.runs) agreed.add(backtest.metadata.uid);
  const isDone = await perform(request.controls, request.isRemembered);
  request.answered(isDone);
  if (!isDone || choice !== "restart") return;
  try {
    for (const each of request.runs) {
      await restart(each, backtests.signal.peek().value ?? []);
      await refreshResources();
    }
  } catch (error) {
    controlProblem.value = messageOf(error);
  }
}

let lastUndo: Promise<void> = Promise.resolve();

/** Go back to where the last seek came from; once more while that is under way, to where the seek before it came from. */
export function undo(): Promise<void> {
  lastUndo = lastUndo.then(undoLast);
  return lastUndo;
}

async function undoLast(): Promise<void> {
  const place = undoable.peek();
  if (place === null || !(await seek(place.position, { paused: place.paused }, false))) return;
  places.value = places.peek().filter((each) => each !== place);
}

async function perform(controls: SeekControls, isRemembered: boolean): Promise<boolean> {
  const shown = replay.peek();
  if (shown === null) return false;
  const from = position.peek();
  const before: Place | null =
    from === null ? null : { uid: shown.uid, position: from, paused: deck.peek().word === "PAUSED" };
  if (!(await control(shown, controls))) return false;
  if (isRemembered && before !== null) places.value = [...places.peek(), before].slice(-UNDO_MAX);
  return true;
}
