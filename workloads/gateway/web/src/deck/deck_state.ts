// Whether the deck plays: one word, and why it is so.
import type { SocketState } from "../../../../../client/js/src/socket";
import { FINAL_PHASES, type ReplaySpec, type ReplayState, type Resource, type Services } from "../data/types";
import { progressOf } from "./resource_facts";

export type DeckWord =
  | "PLAYING" | "PAUSED" | "HELD" | "ENDED" | "FAILED" | "STARTING" | "BROKER UNREACHABLE" | "GATEWAY UNREACHABLE";

const AT_END = "At the end; seek to play on";

export interface DeckState {
  word: DeckWord;
  /** For people; empty where the word says it all. */
  reason: string;
}

export interface Known {
  socket: SocketState;
  services: Services | null;
  state: ReplayState | null;
  resource: Resource<ReplaySpec> | null;
}

export function deckState({ socket, services, state, resource }: Known): DeckState {
  if (socket === "lost") return { word: "GATEWAY UNREACHABLE", reason: "Trying to connect again" };
  if (services?.broker === false) return { word: "BROKER UNREACHABLE", reason: "The replay continues when it answers" };
  const { phase, message = "" } = resource?.status ?? {};
  if (phase === "Failed") return { word: "FAILED", reason: message };
  if (state === null) return { word: "STARTING", reason: phase === "Pending" ? message : "" };
  if (state.ended && isOpenAtEnd(resource)) return { word: "HELD", reason: AT_END };
  if (state.ended) return { word: "ENDED", reason: "The whole range has been played" };
  const held = heldBecause(state, resource);
  if (held !== null) return { word: "HELD", reason: held };
  return isPaused(state, resource) ? { word: "PAUSED", reason: "" } : { word: "PLAYING", reason: "" };
}

/** The topic ends also where the replay waits there for a seek. */
const isOpenAtEnd = (resource: Resource<ReplaySpec> | null): boolean =>
  resource?.spec.atEnd === "hold" && !FINAL_PHASES.includes(resource.status?.phase ?? "");

/** After a seek the topic has no clock until the first record that follows: the spec says it until then. */
function isPaused({ paused, speed }: ReplayState, resource: Resource<ReplaySpec> | null): boolean {
  return paused || (speed === null && resource?.spec.paused === true);
}

/** Why virtual time stands still although nobody has paused it. */
function heldBecause({ position, range_to, paused, round }: ReplayState, resource: Resource<ReplaySpec> | null): string | null {
  const { spec, status } = resource ?? {};
  if (spec === undefined || spec.paused === true || position === null) return null;
  if (status?.["stalled"] === true) return "After a stall";
  const until = spec.until === undefined ? NaN : Date.parse(spec.until);
  if (paused && position >= until) return "At the time to stop";
  const isLastRound = spec.loop !== "forever" && round + 1 >= (spec.loop ?? 1);
  const isAtEnd = (range_to !== null && position >= range_to) || progressOf(status?.progress) === 1;
  return spec.atEnd === "hold" && isLastRound && isAtEnd ? AT_END : null;
}
