// What the lists say of a resource: how far it is, how fast, and what is wrong.
import type { PlayedReplay, Resource } from "../data/types";

/** The share of a progress such as 30/120; null for one that is none. */
export function progressOf(text: string | undefined): number | null {
  const [, done, total] = /^(\d+)\/(\d+)$/.exec(text ?? "") ?? [];
  if (done === undefined || total === undefined || Number(total) === 0) return null;
  return Math.min(1, Number(done) / Number(total));
}

/** The speed of a Replay as its status has it, such as 60x; empty for other kinds. */
export function speedOf({ kind, status }: Resource): string {
  const speed = status?.["speed"];
  const isSaid = speed === status?.phase?.toLowerCase(); // a paused one has its state as its speed
  return kind === "Replay" && typeof speed === "string" && !isSaid ? speed : "";
}

// The status of a condition that reports a problem, and reasons of a run that works without one of its parts.
const troubles: Record<string, string> = { Degraded: "True", PodsFailing: "True", Applied: "False" };
const partsFailed = ["TransformsFailed", "BackfillFailed"];

/** Reasons of a run that is on its way, in which nothing is wrong: it starts, or waits for another resource. */
const ON_THE_WAY = ["Starting", "Filling", "WaitingForFeed", "WaitingForReplay", "WaitingForLeader"];

/** What a run waits for that is on its way; empty for none. */
export function waitingOf({ status }: Resource): string {
  const { phase, message = "", conditions = [] } = status ?? {};
  return phase === "Pending" && ON_THE_WAY.includes(conditions[0]?.reason ?? "") ? message : "";
}

/** What is wrong with a resource: the message of a failed or degraded one, and of a condition that reports a problem. */
export function problemOf(resource: Resource): string {
  const { phase, message = "", conditions = [] } = resource.status ?? {};
  if (waitingOf(resource) !== "") return "";
  if (phase === "Failed" || phase === "Degraded" || phase === "Pending") return message;
  const wrong = conditions.find(({ type, status: holds }) => troubles[type] === holds);
  if (phase === "Complete") return "";
  return wrong?.message ?? (partsFailed.includes(conditions[0]?.reason ?? "") ? message : "");
}

/** Replays with a topic of which no resource is known. */
export function unlisted(played: readonly PlayedReplay[], known: readonly Resource[]): PlayedReplay[] {
  const uids = new Set(known.map(({ metadata }) => metadata.uid));
  return played.filter(({ uid }) => !uids.has(uid));
}
