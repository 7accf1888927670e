// The rows of the table of markets, and what its columns show.
import { decimalsOf, decimalsOfPrices, MISSING, number, percent, time } from "../format";
import { type SortedColumn, sortedRows } from "../shell/sorted_rows";
import { closeOf, lastClose } from "./intervals";
import type { LivePrice } from "./live_prices";
import type { Moves } from "./market_lists";
import type { StoredSymbol, TimeSpan } from "./types";

export interface MarketRow {
  symbol: StoredSymbol;
  moves: Moves | null;
  isChosen: boolean;
}

export const MARKET_COLUMN_IDS = ["chosen", "symbol", "last", "at", "day", "week", "month", "bars", "from", "to", "also"] as const;
export type MarketColumnId = (typeof MARKET_COLUMN_IDS)[number];

export function marketRows(
  symbols: readonly StoredSymbol[],
  moves: ReadonlyMap<string, Moves>,
  chosen: readonly StoredSymbol[],
): MarketRow[] {
  const names = new Set(chosen.map(({ symbol }) => symbol));
  return symbols.map((symbol) => ({
    symbol,
    moves: moves.get(symbol.symbol) ?? null,
    isChosen: names.has(symbol.symbol),
  }));
}

const VALUES: Record<MarketColumnId, (row: MarketRow) => string | number | undefined> = {
  chosen: ({ isChosen }) => (isChosen ? 1 : 0),
  symbol: ({ symbol }) => symbol.symbol,
  last: ({ moves }) => moves?.close,
  at: ({ symbol, moves }) => moves?.ts ?? spanOf(symbol)?.last,
  day: ({ moves }) => moves?.day ?? undefined,
  week: ({ moves }) => moves?.week ?? undefined,
  month: ({ moves }) => moves?.month ?? undefined,
  bars: ({ symbol }) => barsText(symbol),
  from: ({ symbol }) => spanOf(symbol)?.first,
  to: ({ symbol }) => spanOf(symbol)?.last,
  also: ({ symbol }) => alsoText(symbol),
};
const TEXTS: readonly MarketColumnId[] = ["symbol", "bars", "also"];
const SORTED: readonly SortedColumn<MarketRow, MarketColumnId>[] = MARKET_COLUMN_IDS.map((id) => ({
  id, isText: TEXTS.includes(id), value: VALUES[id],
}));

export const marketTable = (rows: MarketRow[]) => sortedRows(rows, SORTED, ({ symbol }) => symbol.symbol);

/** From the first to the last time of anything that the store has of a symbol. */
export function spanOf({ series, trades, tickers }: StoredSymbol): TimeSpan | null {
  const spans = [
    ...series.map(({ interval, first, last }) => ({ first, last: closeOf(last, interval) })),
    ...[trades, tickers].filter((each) => each !== null),
  ];
  if (spans.length === 0) return null;
  return { first: Math.min(...spans.map(({ first }) => first)), last: Math.max(...spans.map(({ last }) => last)) };
}

export const barsText = ({ series }: StoredSymbol): string => series.map(({ interval }) => interval).join(", ");

export const alsoText = ({ trades, tickers }: StoredSymbol): string =>
  [trades === null ? "" : "trades", tickers === null ? "" : "tickers"].filter((each) => each !== "").join(", ");

/** The decimals of a symbol's prices: those of its step; where it has none, such as of files, those that the prices use. */
export const priceDecimals = (symbol: StoredSymbol | undefined, prices: readonly (number | undefined)[]): number =>
  symbol?.price_step ? decimalsOf(symbol.price_step) : decimalsOfPrices(prices);

/** A change such as 0.01 as people read it. */
export const changeText = (change: number | null | undefined): string =>
  change === null || change === undefined ? MISSING : percent(change * 100, true);

/** The last price: that which was pushed, else the last close. */
export function lastText({ symbol, moves }: MarketRow, live: LivePrice | undefined): string {
  return number(live?.price ?? moves?.close, priceDecimals(symbol, [live?.price, moves?.close]));
}

export function atText({ symbol, moves }: MarketRow, live: LivePrice | undefined): string {
  return time(live?.ts ?? moves?.ts ?? lastClose(symbol) ?? spanOf(symbol)?.last ?? null);
}

/** A filter by exchange; "" for all. */
export const ofExchange = (rows: MarketRow[], exchange: string): MarketRow[] =>
  exchange === "" ? rows : rows.filter(({ symbol }) => symbol.exchange === exchange);

/** The symbols that the filters of the table leave, of all. */
export function filtered(symbols: readonly StoredSymbol[], exchange: string, text: string): StoredSymbol[] {
  const rows = ofExchange(marketRows(symbols, new Map(), []), exchange);
  return marketTable(rows)({ column: "symbol", descending: false }, text).map(({ symbol }) => symbol);
}
