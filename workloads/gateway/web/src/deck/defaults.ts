// What is shown where nothing, or only a part, is chosen.
import type { PlayedReplay, Run, SymbolListing } from "../data/types";

/** The replay with this uid, or the newest with this name or namespace/name. */
export const namedReplay = (replays: readonly PlayedReplay[], wanted: string): PlayedReplay | null =>
  replays.find(({ uid }) => uid === wanted) ??
  replays.find(({ namespace, name }) => name === wanted || `${namespace}/${name}` === wanted) ??
  null;

/** The replay that a symbol names; "" for a market of the store, null where it says neither. */
export function replayOf(symbol: string | null, stored: readonly SymbolListing[]): string | null {
  const match = /^replay\/([^/]+)\/([^/:]+):/.exec(symbol ?? "");
  if (match !== null) return UID.test(match[1] ?? "") ? (match[1] ?? "") : `${match[1]}/${match[2]}`;
  return stored.some(({ ticker }) => ticker === symbol) ? "" : null;
}

const UID = /^[0-9a-f]{8}-[0-9a-f-]{27}$/;

/** The default replay: the one shown, even after its end, until a newer one plays; at first the newest that plays. */
export function defaultReplay(replays: readonly PlayedReplay[], shown: PlayedReplay | null): PlayedReplay | null {
  const at = replays.findIndex(({ uid }) => uid === shown?.uid);
  const current = replays[at];
  if (current?.ended === false) return current;
  const newer = current === undefined ? replays : replays.slice(0, at);
  return newer.find(({ ended }) => !ended) ?? current ?? replays[0] ?? null;
}

/** The default run: the newest of the replay, running ones first; without a replay the newest of all. */
export function defaultRun(runs: readonly Run[], replay: PlayedReplay | null): Run | null {
  const candidates = replay === null ? runs : runs.filter(({ replay_uid }) => replay_uid === replay.uid);
  return candidates.find(({ state }) => state === "running") ?? candidates[0] ?? null;
}

/** Whether a run has traded a market of the store, which is named with or without its exchange. */
export const hasTraded = ({ exchange, symbols }: Run, market: string): boolean =>
  symbols.some((symbol) => market === symbol || market === `${exchange}:${symbol}`);

/** Whether a run has traded something that a replay plays, whichever data it was of. */
export const isOfMarket = (run: Run, replay: PlayedReplay): boolean =>
  run.exchange === replay.exchange && run.symbols.some((symbol) => replay.symbols.includes(symbol));

/** The runs of other data that has what a replay plays. */
export const runsOfMarket = (runs: readonly Run[], replay: PlayedReplay): Run[] =>
  runs.filter((run) => run.replay_uid !== replay.uid && isOfMarket(run, replay));

/** What a replay plays, or what the store has, as charts name it. */
export const symbolsOf = (replay: PlayedReplay | null, stored: readonly SymbolListing[]): string[] =>
  replay === null
    ? stored.map(({ ticker }) => ticker)
    : replay.symbols.map((symbol) => `replay/${replay.uid}/${replay.exchange}:${symbol}`);

/** The symbol of this full or short name. */
export function namedSymbol(symbols: readonly string[], wanted: string | null): string | undefined {
  const market = (wanted ?? "").replace(/^replay\/[^:]+:/, "");
  if (market === "") return undefined;
  return symbols.find((each) => each === wanted) ?? symbols.find((each) => each.endsWith(`/${market}`) || each.endsWith(`:${market}`));
}

/** The symbol to show: the wanted one, else that of the run, else the first. */
export function shownSymbol(symbols: readonly string[], wanted: string | null, run: Run | null): string {
  const ofRun = run === null ? "" : `${run.exchange}:${run.symbols[0] ?? ""}`;
  return (
    namedSymbol(symbols, wanted) ??
    (ofRun === "" ? undefined : symbols.find((each) => each === ofRun || each.endsWith(`/${ofRun}`))) ??
    symbols[0] ??
    ""
  );
}

/** A symbol without the replay that plays it. */
export const marketOf = (symbol: string): string => symbol.replace(/^replay\/[^/]+\//, "");
