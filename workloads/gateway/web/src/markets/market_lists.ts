// The symbols of the store, and how their prices have moved: loaded again while the view is open.
import { Polled } from "../data/loadable";
import { get, RequestError } from "../data/request";
import { type Mover, type MoverReport, type Period, PERIODS, type StoredSymbol } from "./types";

const SYMBOLS_MS = 30_000;
const MOVES_MS = 15_000;
const PAGE = 10_000;
const PAGES_MAX = 5;

/** The last close of a symbol, and its change over each period; null where it has no price before. */
export interface Moves extends Record<Period, number | null> {
  close: number;
  ts: number;
}

export const marketSymbols = (): Polled<StoredSymbol[]> => new Polled(allSymbols, SYMBOLS_MS);

async function allSymbols(): Promise<StoredSymbol[]> {
  const found: StoredSymbol[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const answer = await get<{ symbols: StoredSymbol[]; next: string | null }>("/api/v1/symbols", { limit: PAGE, cursor });
    found.push(...answer.symbols);
    if (answer.next === null) break;
    cursor = answer.next;
  }
  return found;
}

/** The exchanges with bars of their own, by name. */
export const exchangesOf = (symbols: readonly StoredSymbol[]): string[] =>
  [...new Set(symbols.filter(({ series }) => series.length > 0).map(({ exchange }) => exchange))].sort();

/** The reports of each exchange and period; an exchange without bars has none. */
export const moverReports = (exchanges: readonly string[]): Polled<MoverReport[]> =>
  new Polled(async () => {
    const found: MoverReport[] = [];
    for (const exchange of exchanges) // one after the other: a client has few requests at once
      for (const period of PERIODS) found.push(...(await reportOf(exchange, period)));
    return found;
  }, MOVES_MS);

async function reportOf(exchange: string, period: Period): Promise<MoverReport[]> {
  try {
    return [await get<MoverReport>("/api/v1/analytics/movers", { exchange, period, limit: PAGE })];
  } catch (error) {
    if (error instanceof RequestError && error.status === 404) return []; // its bars were deleted meanwhile
    throw error;
  }
}

/** What the reports say of each symbol. */
export function movesBySymbol(reports: readonly MoverReport[]): Map<string, Moves> {
  const found = new Map<string, Moves>();
  for (const { period, up, down, flat } of reports)
    for (const mover of [...up, ...down, ...flat]) found.set(mover.symbol, moved(found.get(mover.symbol), mover, period));
  return found;
}

function moved(known: Moves | undefined, { close, ts, change }: Mover, period: Period): Moves {
  return { day: null, week: null, month: null, ...known, close, ts, [period]: change };
}
