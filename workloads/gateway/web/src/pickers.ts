// The choices of the replay, symbol and run selects, and the defaults where the user chose nothing.
import { option } from "./text";
import type { Replay, Run, SymbolListing } from "./types";

export interface Choice {
  value: string;
  text: string;
}

/** Draw a select's options; one that is open stays as it is unless its options changed. */
export function fill(select: HTMLSelectElement, choices: Choice[], chosen: string): void {
  const drawn = JSON.stringify(choices);
  if (select.dataset["drawn"] !== drawn) {
    select.dataset["drawn"] = drawn;
    select.replaceChildren(...choices.map(({ value, text }) => option(text, value)));
  }
  if (select.value !== chosen) select.value = chosen;
  select.disabled = choices.length < 2;
}

export const replayChoices = (replays: Replay[], stored: SymbolListing[]): Choice[] => [
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

/** The replay with this uid or name. */
export const namedReplay = (replays: Replay[], uidOrName: string): Replay | null =>
  replays.find((r) => r.uid === uidOrName) ?? replays.find((r) => r.name === uidOrName) ?? null;

/** The replay that a symbol names: its uid, "" for a market of the store, null for a short name of either. */
export function replayOf(symbol: string | null, stored: SymbolListing[]): string | null {
  const uid = /^replay\/([^/]+)\//.exec(symbol ?? "")?.[1];
  if (uid !== undefined) return uid;
  return stored.some((listing) => listing.ticker === symbol) ? "" : null;
}

/** The default replay: the one shown, even after its end, until a newer one plays; at first the newest that plays. */
export function defaultReplay(replays: Replay[], shown: Replay | null): Replay | null {
  const at = replays.findIndex((replay) => replay.uid === shown?.uid);
  const current = replays[at];
  if (current?.ended === false) return current;
  const newer = current === undefined ? replays : replays.slice(0, at);
  return newer.find((replay) => !replay.ended) ?? current ?? replays[0] ?? null;
}

/** The default run: the newest of the replay, running ones first; without a replay the newest of all. */
export function defaultRun(runs: Run[], replay: Replay | null): Run | null {
  const candidates = replay === null ? runs : runs.filter((run) => run.replay_uid === replay.uid);
  return candidates.find((run) => run.state === "running") ?? candidates[0] ?? null;
}
