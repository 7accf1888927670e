// Drawings on a chart: a trend line, a level, a measure. They are kept by the browser, for each market.
import { printable } from "../text";

/** A point of a drawing: a time in milliseconds UTC, and a price. */
export interface Point {
  ts: number;
  price: number;
}

export type Kind = "line" | "level" | "measure";
export const KINDS: readonly Kind[] = ["line", "level", "measure"];
/** How many points a drawing has. */
export const POINTS: Readonly<Record<Kind, number>> = { line: 2, level: 1, measure: 2 };

export interface Drawing {
  kind: Kind;
  points: Point[];
}

const KEY = "tapedeck.drawings";
const MARKETS_MAX = 200;
const DRAWINGS_MAX = 100;

type Store = Pick<Storage, "getItem" | "setItem">;

/** The drawings of a market; none where what is kept cannot be read. */
export const drawingsOf = (store: Store, market: string): Drawing[] => readAll(store)[market] ?? [];

/** Keep the drawings of a market. The browser may have no room for them: they are then lost with the page. */
export function keepDrawings(store: Store, market: string, drawings: readonly Drawing[]): void {
  const others = Object.entries(readAll(store)).filter(([name]) => name !== market);
  const kept = drawings.length === 0 ? others : [...others, [market, drawings.slice(-DRAWINGS_MAX)] as const];
  try {
    store.setItem(KEY, JSON.stringify(Object.fromEntries(kept.slice(-MARKETS_MAX))));
  } catch {
    return;
  }
}

function readAll(store: Store): Record<string, Drawing[]> {
  try {
    const kept: unknown = JSON.parse(store.getItem(KEY) ?? "{}");
    if (typeof kept !== "object" || kept === null) return {};
    return Object.fromEntries(Object.entries(kept).map(([market, drawings]) => [market, checked(drawings)]));
  } catch {
    return {};
  }
}

function checked(kept: unknown): Drawing[] {
  return Array.isArray(kept) ? kept.filter(isDrawing) : [];
}

function isDrawing(each: unknown): each is Drawing {
  const { kind, points } = (each ?? {}) as Partial<Drawing>;
  if (kind === undefined || !KINDS.includes(kind) || !Array.isArray(points) || points.length !== POINTS[kind]) return false;
  return points.every(({ ts, price }) => Number.isFinite(ts) && Number.isFinite(price));
}

/** What a measure says: the difference of the prices, its share, and how long it took. */
export function measureText([from, to]: readonly Point[], decimals: number): string {
  if (from === undefined || to === undefined) return "";
  const change = to.price - from.price;
  const share = from.price === 0 ? "" : ` (${change >= 0 ? "+" : ""}${((change / from.price) * 100).toFixed(2)} %)`;
  return printable(`${change >= 0 ? "+" : ""}${change.toFixed(decimals)}${share}, ${durationText(Math.abs(to.ts - from.ts))}`);
}

/** Such as 2 d 3 h, or 45 min: the two largest units. */
export function durationText(ms: number): string {
  const minutes = Math.round(ms / 60_000);
  const parts: [number, string][] = [
    [Math.floor(minutes / 1_440), "d"],
    [Math.floor((minutes % 1_440) / 60), "h"],
    [minutes % 60, "min"],
  ];
  const shown = parts.filter(([count]) => count > 0).slice(0, 2);
  return shown.length === 0 ? "0 min" : shown.map(([count, unit]) => `${count} ${unit}`).join(" ");
}
