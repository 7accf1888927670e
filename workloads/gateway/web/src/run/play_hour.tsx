// Play the hour in which a run lost: a link to the form of a Replay of that hour, at a speed that one can follow.
import type { Resource } from "../data/types";
import { ToChart } from "./chosen_trade";
import type { RunSummary } from "./types";

const HOUR_MS = 3_600_000;
const SPEED = 10;

/** Bars of the store. */
export interface StoredMarket {
  exchange: string;
  symbols: readonly string[];
}

export function PlayHour({ run, market, end }: { run: RunSummary; market: StoredMarket; end: number }) {
  return <ToChart address={hourAddress(run, market, end)}>{`Its last hour at ${SPEED}×`}</ToChart>;
}

/** What a run traded, where the store has it: of its own range, or of its replay's. */
export function marketOf(run: RunSummary, known: readonly Resource[]): StoredMarket | null {
  if (run.replay_uid === "") return run;
  const replay = known.find(({ metadata }) => metadata.uid === run.replay_uid);
  const { store } = (replay?.spec["source"] ?? {}) as { store?: Partial<StoredMarket> };
  return store?.exchange === undefined ? null : { exchange: store.exchange, symbols: run.symbols };
}

/** The address of the form, with the hour that ends at a time. */
export function hourAddress(run: Pick<RunSummary, "name" | "interval">, { exchange, symbols }: StoredMarket, end: number): string {
  const time = (ms: number) => new Date(ms).toISOString().replace(".000", "");
  const values = {
    kind: "replay", name: `${run.name}-hour`, exchange, symbols: symbols.join(", "), interval: run.interval,
    from: time(end - HOUR_MS), to: time(end), speed: String(SPEED),
  };
  return `/new?${new URLSearchParams(values).toString()}`;
}
