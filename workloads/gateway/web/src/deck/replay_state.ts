// The state of the shown replay, as the gateway tells it at each change and once a second.
import { computed, effect, signal } from "@preact/signals";
import { services, socketState, subscribe } from "../data/gateway_socket";
import { resourceOf } from "../data/resources";
import type { Bar, ReplayState } from "../data/types";
import { deckState } from "./deck_state";
import { recentStates, speedBetween } from "./measured_speed";
import { replay } from "./selection";

const told = signal<ReplayState | null>(null);
const recent = signal<readonly ReplayState[]>([]);
/** The event time of the last closed bar that a chart was given: newer than what is told once a second. */
const seen = signal<{ uid: string; ts: number } | null>(null);

export const replayState = computed(() => (told.value?.replay === replay.value?.uid ? told.value : null));

/** How fast the shown replay runs; null while that is not known. */
export const measuredSpeed = computed(() => (replayState.value === null ? null : speedBetween(recent.value)));

export const resource = computed(() => resourceOf(replay.value));

export const deck = computed(() =>
  deckState({
    socket: socketState.value,
    services: services.value,
    state: replayState.value,
    resource: resource.value,
  }),
);

/** Virtual time: the position of the shown replay, milliseconds UTC. Null before its first record. */
export const position = computed<number | null>(() => {
  const { uid, position: listed } = replay.value ?? { uid: "", position: null };
  const state = replayState.value;
  const latest = state === null ? listed : state.position;
  const bar = seen.value;
  return bar !== null && bar.uid === uid && latest !== null ? Math.max(latest, bar.ts) : latest;
});

/** A chart was given a bar of the shown replay, which closes at a time. */
export function sawBar(symbol: string, bar: Bar, closes: number): void {
  const uid = replay.peek()?.uid ?? "";
  if (bar.closed && symbol.startsWith(`replay/${uid}/`)) seen.value = { uid, ts: closes };
}

/** The replay has gone back: what was seen is no longer its position. */
export const forgetSeen = (): void => void (seen.value = null);

/** Follow the shown replay from now on. */
export function followReplay(): () => void {
  let end: (() => void) | null = null;
  const uid = computed(() => replay.value?.uid ?? null);
  const stop = effect(() => {
    end?.();
    const shown = uid.value;
    told.value = seen.value = null;
    recent.value = [];
    end = shown === null ? null : subscribe({ channel: "replay", replay: shown }, receive);
  });
  return () => {
    stop();
    end?.();
  };
}

function receive(message: { type: string }): void {
  if (message.type !== "replay") return;
  const state = message as unknown as ReplayState;
  if (state.epoch !== told.peek()?.epoch) forgetSeen();
  told.value = state;
  recent.value = recentStates(recent.peek(), state);
}
