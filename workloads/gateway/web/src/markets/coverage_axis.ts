// The axis of time that all strips of coverage share, its cells of a day or several, and how a series fills them.
import { number } from "../format";
import { DAY_MS } from "./intervals";
import type { DayCoverage, Hole } from "./types";

/** Whole days from the first to the last one of any series. Times are milliseconds UTC. */
export interface DayAxis {
  from: number;
  days: number;
  cells: number;
  /** The days of a cell. */
  each: number;
}

/** The axis of ranges of time, with no more than ``most`` cells. */
export function axisOf(ranges: readonly { from: number; to: number }[], most: number): DayAxis {
  const [first, last] = ranges.reduce(([low, high], { from, to }) => [Math.min(low, from), Math.max(high, to)], [Infinity, -Infinity]);
  if (last <= first) return { from: 0, days: 1, cells: 1, each: 1 };
  const from = Math.floor(first / DAY_MS) * DAY_MS;
  const days = Math.ceil((last - from) / DAY_MS);
  const each = Math.ceil(days / Math.max(1, most));
  return { from, days, cells: Math.ceil(days / each), each };
}

const dateOf = (ts: number): string => new Date(ts).toISOString().slice(0, 10);

/** The first and the last day, and what a cell is. */
export const axisText = ({ from, days, each }: DayAxis): string =>
  `${dateOf(from)} to ${dateOf(from + (days - 1) * DAY_MS)}; a cell is ${each === 1 ? "a day" : `${number(each, 0)} days`}`;

/** Where a time lies on the axis, in cells. */
export const placeOf = (ts: number, { from, each }: DayAxis): number => (ts - from) / (each * DAY_MS);

const TICK_DAYS = [1, 2, 5, 10, 20, 30, 60, 90, 180, 365, 730, 1_825, 3_650];

/** Some dates on the axis, with the place of each in cells; the first is that of its begin. */
export function axisTicks(axis: DayAxis, most: number): { place: number; text: string }[] {
  const { days } = axis;
  const step = TICK_DAYS.find((each) => days / each <= most) ?? Math.ceil(days / Math.max(1, most));
  return Array.from({ length: Math.ceil(days / step) }, (_, n) => {
    const ts = axis.from + n * step * DAY_MS;
    return { place: placeOf(ts, axis), text: dateOf(ts) };
  });
}

export interface StripCell {
  bars: number;
  expected: number;
}

/** What each cell has of a series; null outside of it. */
export function cellsOf(days: readonly DayCoverage[], axis: DayAxis): (StripCell | null)[] {
  const cells = Array.from({ length: axis.cells }, (): StripCell | null => null);
  for (const { day, bars, expected } of days) {
    const at = Math.floor(placeOf(Date.parse(day), axis));
    const before = cells[at];
    if (before === undefined) continue;
    cells[at] = { bars: (before?.bars ?? 0) + bars, expected: (before?.expected ?? 0) + expected };
  }
  return cells;
}

/** The share of the expected bars that is stored; null where the market was closed. */
export const shareOf = ({ bars, expected }: StripCell): number | null => (expected === 0 ? null : Math.min(1, bars / expected));

export type CellKind = "none" | "closed" | "missing" | "part" | "whole";

export function kindOf(cell: StripCell | null): CellKind {
  if (cell === null) return "none";
  const share = shareOf(cell);
  return share === null ? "closed" : share === 1 ? "whole" : share === 0 ? "missing" : "part";
}

/** What a cell says of itself. */
export function columnText(cell: StripCell | null, at: number, axis: DayAxis): string {
  const day = (n: number) => dateOf(axis.from + n * DAY_MS);
  const [first, last] = [at * axis.each, (at + 1) * axis.each - 1];
  const days = first === last ? day(first) : `${day(first)} to ${day(last)}`;
  if (cell === null) return `${days}: not of the series`;
  return cell.expected === 0 ? `${days}: closed` : `${days}: ${number(cell.bars, 0)} of ${number(cell.expected, 0)} bars`;
}

/** The longest of the holes in a cell; undefined where there is none. */
export function holeIn(holes: readonly Hole[], at: number, axis: DayAxis): Hole | undefined {
  const within = holes.filter(({ from, to }) => placeOf(to, axis) > at && placeOf(from, axis) < at + 1);
  return within.reduce<Hole | undefined>((most, hole) => (most === undefined || hole.to - hole.from > most.to - most.from ? hole : most), undefined);
}

/** Of so few cells holes are drawn where they are; of more the share of each cell is drawn as a height. */
const EXACT_CELLS = 40;
/** What lacks one bar of thousands is seen, too: so much of a cell is missing at least, and so much of the axis a hole. */
const [PART_MOST, HOLE_LEAST] = [0.8, 1 / 400];

/** Each path is of a drawing that is as wide as the axis has cells, and 1 high. */
export interface StripPaths {
  closed: string;
  missing: string;
  stored: string;
  holes: string;
}

/** Few paths of a whole strip: a page of a thousand series has as many elements as one of ten with an element a day. */
export function pathsOf(cells: readonly (StripCell | null)[], holes: readonly Hole[], axis: DayAxis): StripPaths {
  const isExact = axis.each === 1 && axis.cells <= EXACT_CELLS;
  const paths = { closed: "", missing: "", stored: "", holes: isExact ? holesPath(holes, axis) : "" };
  for (let at = 0; at < cells.length; at += 1) {
    const [cell, kind] = [cells[at] ?? null, kindOf(cells[at] ?? null)];
    if (kind === "closed") paths.closed += box(at, 1, 1);
    if (kind === "missing" || (kind === "part" && !isExact)) paths.missing += box(at, 1, 1);
    if (kind === "part") paths.stored += box(at, 1, isExact ? 1 : Math.min(PART_MOST, (cell === null ? null : shareOf(cell)) ?? 0));
    if (kind !== "whole") continue;
    const begin = at;
    while (kindOf(cells[at + 1] ?? null) === "whole") at += 1;
    paths.stored += box(begin, at - begin + 1, 1);
  }
  return paths;
}

function holesPath(holes: readonly Hole[], axis: DayAxis): string {
  const least = axis.cells * HOLE_LEAST;
  return holes.map(({ from, to }) => box(placeOf(from, axis), Math.max(least, placeOf(to, axis) - placeOf(from, axis)), 1)).join("");
}

/** A box from the bottom up. */
const box = (left: number, width: number, height: number): string =>
  `M${short(left)} 1h${short(width)}v${short(-height)}h${short(-width)}z`;

const short = (value: number): string => String(Number(value.toFixed(4)));
