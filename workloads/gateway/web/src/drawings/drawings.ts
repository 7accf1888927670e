// Drawings on a chart: a trend line, a level, a measure. They are kept by the browser, for each market.
import { signal } from "@preact/signals";
import { signedFixed } from "../format";
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

/** The drawings of all markets, which several charts and tabs show and change. */
export class DrawingBook {
  /** Counts the changes, also those of other tabs. */
  readonly changes = signal(0);
  /** What the browser has no room for: it is lost with the page. */
  private readonly unkept = new Map<string, Drawing[]>();

  /** A browser may refuse its store as a whole: it is asked for where it is used. */
  constructor(private readonly store: () => Store) {}

  /** The drawings of a market; none where what is kept cannot be read. */
  of(market: string): Drawing[] {
    return this.unkept.get(market) ?? readAll(this.store)[market] ?? [];
  }

  /** Change the drawings of a market as they are now. */
  change(market: string, next: (drawings: readonly Drawing[]) => readonly Drawing[]): void {
    const drawings = next(this.of(market)).slice(-DRAWINGS_MAX);
    if (this.write(market, drawings)) this.unkept.delete(market);
    else this.unkept.set(market, drawings);
    this.changes.value += 1;
  }

  /** Follow the changes of other tabs from now on. */
  follow(): () => void {
    const onStorage = ({ key }: StorageEvent) => {
      if (key === KEY || key === null) this.changes.value += 1;
    };
    window.addEventListener("storage", onStorage);
    return () => window.removeEventListener("storage", onStorage);
  }

  private write(market: string, drawings: readonly Drawing[]): boolean {
    const others = Object.entries(readAll(this.store)).filter(([name]) => name !== market);
    const kept = drawings.length === 0 ? others : [...others, [market, drawings] as const];
    try {
      this.store().setItem(KEY, JSON.stringify(Object.fromEntries(kept.slice(-MARKETS_MAX))));
      return true;
    } catch {
      return false;
    }
  }

}

/** That of this page. */
export const drawingBook = new DrawingBook(() => localStorage);

function readAll(store: () => Store): Record<string, Drawing[]> {
  try {
    const kept: unknown = JSON.parse(store().getItem(KEY) ?? "{}");
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
  const share = from.price === 0 ? "" : ` (${signedFixed((change / from.price) * 100)} %)`;
  return printable(`${signedFixed(change, decimals)}${share}, ${durationText(Math.abs(to.ts - from.ts))}`);
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
