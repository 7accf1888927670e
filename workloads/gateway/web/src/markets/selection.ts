// What the view of markets shows: what its address says, and defaults for the rest.
import { computed } from "@preact/signals";
import { formatOrder, oneOf, parameter, parseOrder } from "../shell/parameters";
import { address, setQuery } from "../shell/router";
import type { Order } from "../shell/sorted_rows";
import { type MarketColumnId, MARKET_COLUMN_IDS } from "./market_rows";
import { type Period, PERIODS, type StoredSymbol } from "./types";

/** So many symbols are compared at once. */
export const CHOSEN_MAX = 12;
const CHOSEN_BY_DEFAULT = 6;
export const INTERVALS = ["1m", "5m", "15m", "1h", "4h", "1d"] as const;
export const SPANS = ["30", "365", "all"] as const;

export const filterText = computed(() => parameter("find"));
export const shownExchange = computed(() => parameter("exchange"));
export const period = computed<Period>(() => oneOf(PERIODS, parameter("period"), "day"));
export const moversPeriod = computed<Period>(() => oneOf(PERIODS, parameter("moves"), "day"));
export const moversExchange = computed(() => parameter("movers"));
export const interval = computed(() => oneOf(INTERVALS, parameter("interval"), "1h"));
/** The days of coverage that are shown. */
export const span = computed(() => oneOf(SPANS, parameter("days"), "365"));

export const COVERED = ["chosen symbols", "all symbols"] as const;
/** The coverage of so many series is shown; of all of so many, where nobody has chosen symbols. */
export const SERIES_MAX = 1_000;
const SERIES_BY_DEFAULT = 100;

/** Whose coverage is shown: of all symbols where they are few and none is chosen. */
export const coveredOf = (series: number, names: readonly string[]): (typeof COVERED)[number] =>
  oneOf(COVERED, parameter("covered"), names.length === 0 && series <= SERIES_BY_DEFAULT ? "all symbols" : "chosen symbols");

export const order = computed<Order<MarketColumnId>>(() => parseOrder(parameter("sort"), MARKET_COLUMN_IDS, "symbol"));

export const setOrder = (wanted: Order<MarketColumnId>): void => setQuery({ sort: formatOrder(wanted) }, true);

/** The symbols that the panels beside the table show: the chosen ones, at first some with bars. */
export function chosenOf(all: readonly StoredSymbol[], names: readonly string[]): StoredSymbol[] {
  if (names.length === 0) return all.filter(({ series }) => series.length > 0).slice(0, CHOSEN_BY_DEFAULT);
  const byName = new Map(all.map((each) => [each.symbol, each]));
  return [...new Set(names)].flatMap((name) => byName.get(name) ?? []).slice(0, CHOSEN_MAX);
}

export const chosenNames = computed(() => address.value.query.getAll("symbol"));

/** Add a symbol to the chosen ones, or take it away. */
export function toggleSymbol(chosen: readonly StoredSymbol[], { symbol }: StoredSymbol): void {
  const names = chosen.map((each) => each.symbol);
  const next = names.includes(symbol) ? names.filter((each) => each !== symbol) : [...names, symbol].slice(-CHOSEN_MAX);
  setQuery({ symbol: next });
}
