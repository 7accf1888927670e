// Play the hour in which a run lost: a link to the form of a Replay of that hour, at a speed that one can follow.
import type { Resource } from "../data/types";
import { DEFAULT_NAMESPACE } from "../new/apply";
import { nextName } from "../transport/attached_runs";
import { ToChart } from "./chosen_trade";
import type { RunSummary } from "./types";

const HOUR_MS = 3_600_000;
const SPEED = 10;
const ENDING = "-hour";
const NAME_MAX = 40;

/** Bars of the store. */
export interface StoredMarket {
  exchange: string;
  symbols: readonly string[];
}

interface PlayHourProps {
  run: RunSummary;
  market: StoredMarket;
  known: readonly Resource[];
  end: number;
  /** Such as Play. */
  what: string;
}

export function PlayHour({ run, market, known, end, what }: PlayHourProps) {
  return <ToChart address={hourAddress(run, market, end, freeName(run.name, known))}>{`${what} at ${SPEED}×`}</ToChart>;
}

/** A name for a Replay of an hour of a run that no Replay has where the form makes it. */
export function freeName(run: string, known: readonly Resource[]): string {
  const taken = new Set(known.filter(({ metadata }) => metadata.namespace === DEFAULT_NAMESPACE).map(({ metadata }) => metadata.name));
  const name = run.slice(0, NAME_MAX - ENDING.length) + ENDING;
  return taken.has(name) ? nextName(name, taken) : name;
}

/** What a run traded, where the store has it: of its own range, or of its replay's. */
export function marketOf(run: RunSummary, known: readonly Resource[]): StoredMarket | null {
  if (run.replay_uid === "") return run;
  const replay = known.find(({ metadata }) => metadata.uid === run.replay_uid);
  const { store } = (replay?.spec["source"] ?? {}) as { store?: Partial<StoredMarket> };
  return store?.exchange === undefined ? null : { exchange: store.exchange, symbols: run.symbols };
}

/** The address of the form, with the hour that ends at a time. */
export function hourAddress(run: Pick<RunSummary, "interval">, { exchange, symbols }: StoredMarket, end: number, name: string): string {
  const time = (ms: number) => new Date(ms).toISOString().replace(".000", "");
  const values = {
    kind: "replay", name, exchange, symbols: symbols.join(", "), interval: run.interval,
    from: time(end - HOUR_MS), to: time(end), speed: String(SPEED),
  };
  return `/new?${new URLSearchParams(values).toString()}`;
}
