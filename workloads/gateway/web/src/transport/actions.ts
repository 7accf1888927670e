// What the buttons and the keys of the transport do.
import { computed, signal } from "@preact/signals";
import { intervalMs, MINUTE } from "../chart/lengths";
import type { Resolution } from "../data/types";
import { deck, position, replayState, resource } from "../deck/replay_state";
import { chartCount, choose, replay, resolutionOf } from "../deck/selection";
import { toggleLoop } from "./ab_loop";
import { control } from "./controls";
import { seek, undo } from "./seeks";
import { nextSpeed, type Speed } from "./speeds";
import { intervalsAhead, timeBack } from "./steps";

/** Bars of a step with Shift. */
export const LONG_STEP = 10;

export type Dialog = "jump" | "search" | "help";
/** The dialog that is open. */
export const dialog = signal<Dialog | null>(null);
/** The chart whose symbol is searched. */
export const searchedChart = signal(0);

/** The length of the bars that the first chart shows: that of a step. Null while it shows none. */
export const shownLength = signal<Resolution | null>(null);
export const stepLength = (): Resolution => shownLength.peek() ?? resolutionOf(0) ?? MINUTE;

/** Whether the shown replay takes controls: it plays, and does not follow the clock of another one. */
export const canControl = computed(() => {
  const { word } = deck.value;
  const follows = resource.value?.spec.clock?.follow !== undefined;
  return replay.value !== null && !follows && !["ENDED", "FAILED", "GATEWAY UNREACHABLE"].includes(word);
});

/** Why the shown replay takes no controls; null while it does. */
export const noControls = computed<string | null>(() => {
  const { word } = deck.value;
  if (canControl.value) return null;
  if (replay.value === null) return "No replay is shown";
  if (word === "ENDED" || word === "FAILED") {
    const state = word === "ENDED" ? "Ended" : "Failed";
    return resource.value === null ? `${state}: its Replay was deleted` : `${state}: Play again plays it from the start`;
  }
  return word === "GATEWAY UNREACHABLE" ? "The gateway cannot be reached" : "It follows the clock of another Replay";
});

/** The speed that the controls want; null before it is known. */
export const wantedSpeed = computed<Speed | null>(() => {
  const state = replayState.value;
  const spec = resource.value?.spec;
  if (spec !== undefined) return spec.unpaced === true ? "unpaced" : (spec.speed ?? 1);
  return state === null ? null : state.unpaced ? "unpaced" : state.speed;
});

export async function playOrPause(): Promise<void> {
  const shown = replay.peek();
  if (shown === null || !canControl.peek()) return;
  const { word } = deck.peek();
  // What stands still at the time to stop plays on without it.
  if (word === "HELD") await control(shown, { paused: false, until: null });
  else await control(shown, { paused: word !== "PAUSED" });
}

export async function stepForward(bars: number): Promise<void> {
  const shown = replay.peek();
  if (shown === null || !canControl.peek()) return;
  const at = position.peek() ?? shown.range_from; // before its first record it is at its start
  await control(shown, { step: intervalsAhead(at, stepLength(), intervalMs(shown.interval), bars) });
}

export async function stepBack(bars: number): Promise<void> {
  const [shown, at] = [replay.peek(), position.peek()];
  if (shown === null || at === null || !canControl.peek() || at <= shown.range_from) return;
  await seek(timeBack(at, stepLength(), bars, shown.range_from), { paused: true });
}

export async function toStart(): Promise<void> {
  const shown = replay.peek();
  if (shown !== null && canControl.peek()) await seek(shown.range_from);
}

export async function toEnd(): Promise<void> {
  const shown = replay.peek();
  if (shown !== null && canControl.peek()) await seek(shown.range_to);
}

export async function setSpeed(speed: Speed): Promise<void> {
  const shown = replay.peek();
  if (shown !== null) await control(shown, speed === "unpaced" ? { unpaced: true } : { speed });
}

export async function changeSpeed(direction: 1 | -1): Promise<void> {
  const current = wantedSpeed.peek();
  if (current !== null && canControl.peek()) await setSpeed(nextSpeed(current, direction));
}

/** Show one chart, two, or four. */
export function changeGrid(): void {
  const next = chartCount.peek() === 1 ? 2 : chartCount.peek() === 2 ? 4 : 1;
  choose({ charts: next === 1 ? null : String(next) });
}

export type Action =
  | "playOrPause" | "stepForward" | "stepBack" | "longForward" | "longBack" | "slower" | "faster" | "loop" | "undo" | Dialog;

const ACTIONS: Readonly<Record<Exclude<Action, Dialog>, () => Promise<void>>> = {
  playOrPause,
  stepForward: () => stepForward(1),
  stepBack: () => stepBack(1),
  longForward: () => stepForward(LONG_STEP),
  longBack: () => stepBack(LONG_STEP),
  slower: () => changeSpeed(-1),
  faster: () => changeSpeed(1),
  loop: toggleLoop,
  undo,
};

export function perform(action: Action): void {
  if (action === "search") searchedChart.value = 0;
  if (action === "jump" || action === "search" || action === "help") dialog.value = action;
  else void ACTIONS[action]();
}
