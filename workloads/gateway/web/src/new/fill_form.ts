// The forms of Feeds that download what the store lacks of a series, or read it from files: their addresses.
import type { Resource } from "../data/types";
import { freeNameOf, namesIn } from "../names";
import { DEFAULT_NAMESPACE } from "./apply";

export interface LackedBars {
  exchange: string;
  symbol: string;
  interval: string;
  /** The open of the first bar, and a time after that of the last. */
  from: number;
  to: number;
}

/** The address of the form; a Feed leaves out the bars of the range that are stored. */
export function fillAddress({ exchange, symbol, interval, from, to }: LackedBars, feeds: readonly Resource[]): string {
  const time = (ms: number) => new Date(ms).toISOString().replace(".000", "");
  const base = `fill-${exchange}-${symbol}-${interval}`.toLowerCase().replace(/[^a-z0-9]+/g, "-");
  const values = {
    kind: "feed", name: freeNameOf(base, "", namesIn(DEFAULT_NAMESPACE, feeds)), source: "exchange", live: exchange, symbols: symbol,
    intervals: interval, backfill: time(from), until: time(to), only: "true",
  };
  return `/new?${new URLSearchParams(values).toString()}`;
}

/** The address of New where a file with bars of a series is imported. */
export function importAddress({ exchange, symbol, interval }: Omit<LackedBars, "from" | "to">): string {
  const values = { kind: "feed", source: "files", files: exchange, symbol, length: interval };
  return `/new?${new URLSearchParams(values).toString()}`;
}
