// The axis of time that all strips of coverage share, its cells of a day or several, and how a series fills them.
import { number } from "../format";
import { DAY_MS } from "./intervals";
import type { DayCoverage, Hole } from "./types";

/** A stretch of whole days, which takes cells of the axis from ``at`` on. Times are milliseconds UTC. */
interface Stretch {
  from: number;
  days: number;
  at: number;
}

/** The stretches in which any series has bars, in order, with a break between two of them. */
export interface DayAxis {
  stretches: readonly Stretch[];
  cells: number;
  /** The days of a cell. */
  each: number;
  /** The cells of a break. */
  gap: number;
}

/** Days without a bar of any series are left out where they are more than these, and than this share of the days with bars. */
const [LEFT_OUT_DAYS, LEFT_OUT_SHARE] = [30, 0.1];
/** A break is as wide as this share of the axis. */
const BREAK_SHARE = 0.02;

/** The axis of ranges of time, with no more than ``most`` cells. */
export function axisOf(ranges: readonly { from: number; to: number }[], most: number): DayAxis {
  const found = withoutBreaks(daysOf(ranges));
  if (found.length === 0) return { stretches: [{ from: 0, days: 1, at: 0 }], cells: 1, each: 1, gap: 0 };
  const days = found.reduce((sum, stretch) => sum + stretch.days, 0);
  const breaks = found.length - 1;
  const room = Math.max(1, Math.floor(most * (1 - Math.min(0.5, breaks * BREAK_SHARE))) - breaks);
  const each = Math.ceil(days / room);
  const gap = breaks === 0 ? 0 : Math.max(1, Math.round((days / each) * BREAK_SHARE));
  let at = 0;
  const stretches = found.map(({ from, days: length }): Stretch => {
    const stretch = { from, days: length, at };
    at += Math.ceil(length / each) + gap;
    return stretch;
  });
  return { stretches, cells: at - gap, each, gap };
}

/** The whole days that any of the ranges touches, as stretches in order. */
function daysOf(ranges: readonly { from: number; to: number }[]): { from: number; to: number }[] {
  const found: { from: number; to: number }[] = [];
  const wholeDays = ranges
    .filter(({ from, to }) => to > from)
    .map(({ from, to }) => ({ from: Math.floor(from / DAY_MS) * DAY_MS, to: Math.ceil(to / DAY_MS) * DAY_MS }))
    .sort((one, other) => one.from - other.from);
  for (const { from, to } of wholeDays) {
    const last = found.at(-1);
    if (last === undefined || from > last.to) found.push({ from, to });
    else last.to = Math.max(last.to, to);
  }
  return found;
}

/** Short breaks belong to the axis; long ones part it. */
function withoutBreaks(found: readonly { from: number; to: number }[]): Pick<Stretch, "from" | "days">[] {
  const covered = found.reduce((sum, { from, to }) => sum + (to - from), 0);
  const most = Math.max(LEFT_OUT_DAYS * DAY_MS, covered * LEFT_OUT_SHARE);
  const parts: { from: number; to: number }[] = [];
  for (const each of found) {
    const last = parts.at(-1);
    if (last === undefined || each.from - last.to > most) parts.push({ ...each });
    else last.to = each.to;
  }
  return parts.map(({ from, to }) => ({ from, days: (to - from) / DAY_MS }));
}

const dateOf = (ts: number): string => new Date(ts).toISOString().slice(0, 10);
const firstOf = (stretches: readonly Stretch[]): Stretch => stretches[0] as Stretch; // an axis has one at least
const endOf = ({ from, days }: Stretch): number => from + days * DAY_MS;

export interface AxisBreak {
  /** In cells, as ``gap`` of the axis is wide. */
  at: number;
  /** Its days, such as: 2018-04-07 to 2024-02-29 left out: no series has a bar. */
  text: string;
}

export const breaksOf = ({ stretches, gap }: DayAxis): AxisBreak[] =>
  stretches.slice(1).map((next, n) => {
    const before = stretches[n] as Stretch;
    return { at: next.at - gap, text: `${dateOf(endOf(before))} to ${dateOf(next.from - DAY_MS)} left out: no series has a bar` };
  });

/** The first and the last day, what is left out between them, and what a cell is. */
export function axisText(axis: DayAxis): string {
  const { stretches, each } = axis;
  const [first, last] = [firstOf(stretches), stretches.at(-1) as Stretch];
  const breaks = breaksOf(axis).map(({ text }) => `; ${text}`).join("");
  return `${dateOf(first.from)} to ${dateOf(endOf(last) - DAY_MS)}; a cell is ${each === 1 ? "a day" : `${number(each, 0)} days`}${breaks}`;
}

/** Where a time lies on the axis, in cells; one that is left out, at the start of the break. */
export function placeOf(ts: number, { stretches, each }: DayAxis): number {
  const stretch = stretches.findLast(({ from }) => from <= ts) ?? firstOf(stretches);
  return stretch.at + Math.min(Math.ceil(stretch.days / each), (ts - stretch.from) / (each * DAY_MS));
}

const TICK_DAYS = [1, 2, 5, 10, 20, 30, 60, 90, 180, 365, 730, 1_825, 3_650];

/** Some dates on the axis, with the place of each in cells, none across a break; each stretch begins with one where there is room. */
export function axisTicks(axis: DayAxis, most: number): { place: number; text: string }[] {
  const { stretches, cells } = axis;
  const days = stretches.reduce((sum, stretch) => sum + stretch.days, 0);
  const step = TICK_DAYS.find((each) => days / each <= most) ?? Math.ceil(days / Math.max(1, most));
  const ticks = stretches.flatMap((stretch) =>
    Array.from({ length: Math.ceil(stretch.days / step) }, (_, n) => {
      const ts = stretch.from + n * step * DAY_MS;
      return { place: placeOf(ts, axis), text: dateOf(ts) };
    }),
  );
  if (stretches.length === 1) return ticks;
  const room = cells / Math.max(1, most);
  const breaks = breaksOf(axis);
  const starts = new Set(stretches.map(({ at }) => at));
  const kept: typeof ticks = [];
  for (const tick of ticks) {
    const { place } = tick;
    const isFree = kept.length === 0 || place - (kept.at(-1)?.place ?? 0) >= room;
    const coversBreak = !starts.has(place) && breaks.some(({ at }) => place < at && place + room > at);
    if (isFree && !coversBreak) kept.push(tick);
  }
  return kept;
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
  const left = breaksOf(axis).find((each) => at >= each.at && at < each.at + axis.gap);
  if (left !== undefined) return left.text;
  const stretch = axis.stretches.findLast((each) => each.at <= at) ?? firstOf(axis.stretches);
  const day = (n: number) => dateOf(stretch.from + n * DAY_MS);
  const [first, last] = [(at - stretch.at) * axis.each, (at - stretch.at + 1) * axis.each - 1];
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
