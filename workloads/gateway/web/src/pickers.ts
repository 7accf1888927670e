// What can be chosen, and what is chosen where nobody did.
import type { Listed, Replay, Run } from "./types";

export interface Choice {
  value: string;
  text: string;
}

/** Draw a select's options without disturbing one that is open. */
export function fill(select: HTMLSelectElement, choices: Choice[], chosen: string): void {
  const drawn = JSON.stringify(choices);
  if (select.dataset["drawn"] !== drawn) {
    select.dataset["drawn"] = drawn;
    select.replaceChildren(...choices.map(({ value, text }) => new Option(text, value)));
  }
  if (select.value !== chosen) select.value = chosen;
  select.disabled = choices.length < 2;
}

export const replayChoices = (replays: Replay[], stored: Listed[]): Choice[] => [
  ...replays.map((replay) => ({
    value: replay.uid,
    text: `${replay.name}${replay.ended ? " (ended)" : ""}`,
  })),
  { value: "", text: stored.length > 0 ? "none: the store" : "none" },
];

export const runChoices = (runs: Run[]): Choice[] => [
  { value: "", text: "none" },
  ...runs.map((run) => ({
    value: run.run_id,
    text: `${run.name}: ${run.strategy}${run.state === "running" ? "" : ` (${run.state})`}`,
  })),
];

/** The replay by uid or name. */
export const namedReplay = (replays: Replay[], asked: string): Replay | null =>
  replays.find((r) => r.uid === asked) ?? replays.find((r) => r.name === asked) ?? null;

/** Where none is named: what is shown, also after its end, until a newer one plays; at first the newest that plays. */
export function followReplay(replays: Replay[], shown: Replay | null): Replay | null {
  const at = replays.findIndex((replay) => replay.uid === shown?.uid);
  const stays = replays[at];
  if (stays?.ended === false) return stays;
  const newer = stays === undefined ? replays : replays.slice(0, at);
  return newer.find((replay) => !replay.ended) ?? stays ?? replays[0] ?? null;
}

/** The newest run on the replay, a running one first; without a replay the newest of all. */
export function pickRun(runs: Run[], replay: Replay | null): Run | null {
  const fitting = replay === null ? runs : runs.filter((run) => run.replay_uid === replay.uid);
  return fitting.find((run) => run.state === "running") ?? fitting[0] ?? null;
}
