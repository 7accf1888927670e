// Play an hour of what a run or a replay has shown: a link to the form of a Replay of that hour, at a speed that one can follow.
import { storeOf } from "../data/resources";
import type { Resource } from "../data/types";
import { NAME_MAX, namesIn, nextName } from "../names";
import { DEFAULT_NAMESPACE } from "../new/apply";
import { AddressLink } from "../shell/router";
import { intervalMs } from "../transport/steps";
import { HOUR_MS } from "./lengths_of_time";
import type { RunSummary } from "./types";

const SPEED = 10;
const ENDING = "-hour";

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
  return <AddressLink address={hourAddress(run, market, end, freeName(run.name, known))}>{`${what} at ${SPEED}×`}</AddressLink>;
}

/** Whether an hour has several bars of an interval to play. */
export const hasHours = (interval: string): boolean => intervalMs(interval) < HOUR_MS;

/** A name for a Replay of an hour of a run or a replay that no Replay has where the form makes it. */
export function freeName(of: string, known: readonly Resource[]): string {
  const taken = namesIn(DEFAULT_NAMESPACE, known);
  const base = of.replace(/-hour(-\d+)?$/, "");
  const name = base.slice(0, NAME_MAX - ENDING.length) + ENDING;
  return taken.has(name) ? nextName(name, taken) : name;
}

/** What a run traded, where the store has it and an hour of it can be played: of its own range, or of its replay's. */
export function storedMarketOf(run: RunSummary, known: readonly Resource[]): StoredMarket | null {
  if (!hasHours(run.interval)) return null;
  if (run.replay_uid === "") return run;
  const store = storeOf(known.find(({ metadata }) => metadata.uid === run.replay_uid));
  return store === null ? null : { exchange: store.exchange, symbols: run.symbols };
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
