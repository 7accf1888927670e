// The lists that all views share: resources, replays that have started, runs, and symbols.
import { computed } from "@preact/signals";
import { deckAddress } from "../shell/router";
import { Polled } from "./loadable";
import { get } from "./request";
import type {
  BacktestSpec, PlayedReplay, ReplaySpec, Resolution, Resource, Run, SymbolListing,
} from "./types";

const RESOURCES_MS = 2_000;
const LISTS_MS = 3_000;
const SYMBOLS_MS = 15_000;
const SYMBOLS_MAX = 1_000;
const RESOLUTIONS_MS = 600_000;
const MINUTE_MS = 60_000;

export const feeds = new Polled(async () => (await get<{ feeds: Resource[] }>("/api/v1/feeds")).feeds, RESOURCES_MS);
export const replays = new Polled(
  async () => (await get<{ replays: Resource<ReplaySpec>[] }>("/api/v1/replays")).replays,
  RESOURCES_MS,
);
export const backtests = new Polled(
  async () => (await get<{ backtests: Resource<BacktestSpec>[] }>("/api/v1/backtests")).backtests,
  RESOURCES_MS,
);
/** The newest first, also those whose resource was deleted. */
export const played = new Polled(() => get<PlayedReplay[]>("/api/replays"), LISTS_MS);
/** The newest first. */
export const runs = new Polled(async () => (await get<{ runs: Run[] }>("/api/v1/runs")).runs, LISTS_MS);

/** The symbols of the store, and of replays. */
export const symbols = new Polled(() => get<SymbolListing[]>("/search", { query: "", limit: SYMBOLS_MAX }), SYMBOLS_MS);
const isStored = ({ ticker, type }: SymbolListing): boolean => !ticker.startsWith("replay/") && type !== "transform";
/** The symbols with bars of their own in the store, where the page has all of them; null while they are not known, or of very many. */
export const allStoredSymbols = computed(() => {
  const found = symbols.signal.value.value;
  return found === null || found.length >= SYMBOLS_MAX ? null : found.filter(isStored);
});
/** The symbols with bars of their own in the store; of very many the first ones, and those that the Deck's address names. */
export const storedSymbols = computed(() => {
  const found = symbols.signal.value.value ?? [];
  const stored = found.filter(isStored);
  return found.length < SYMBOLS_MAX ? stored : [...stored, ...namedSymbols(deckAddress.value, stored)];
});

/** The markets that an address of the Deck names beside those that are known. */
export function namedSymbols(address: string, known: readonly SymbolListing[]): SymbolListing[] {
  const tickers = new Set(known.map(({ ticker }) => ticker));
  const named = [...new URLSearchParams(address.split("?")[1] ?? "")].filter(([name]) => /^symbol\d?$/.test(name));
  return named.flatMap(([, ticker]) => {
    const [, exchange, symbol] = /^([^/:]+):(.+)$/.exec(ticker) ?? [];
    if (exchange === undefined || symbol === undefined || tickers.has(ticker)) return [];
    return { symbol, ticker, exchange, description: ticker, type: "" };
  });
}

/** The bar lengths of a minute and longer: live charts have no others. They change with the gateway's release alone. */
export const resolutions = new Polled(
  async () => (await get<Resolution[]>("/api/resolutions")).filter(({ width_ms }) => width_ms >= MINUTE_MS),
  RESOLUTIONS_MS,
);

/** The resource of a replay that has started, while there is one. */
export const resourceOf = (replay: { uid: string } | null): Resource<ReplaySpec> | null =>
  (replays.value ?? []).find((each) => each.metadata.uid === replay?.uid) ?? null;

/** The store that a resource plays or trades, of its source; null where it has another one. */
export function storeOf(resource: Resource | null | undefined): { exchange: string } | null {
  const { store } = (resource?.spec["source"] ?? {}) as { store?: { exchange?: string } };
  return store?.exchange === undefined ? null : { exchange: store.exchange };
}

/** Show a change at once, before the next load. */
export async function refreshResources(): Promise<void> {
  await Promise.all([replays.refresh(), backtests.refresh(), feeds.refresh()]);
}
