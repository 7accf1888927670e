// How whole a series is: its days as columns of a strip, and what is missing.
import { number, percent, time } from "../format";
import { duration } from "../run/lengths_of_time";
import { DAY_MS } from "./intervals";
import type { DayCoverage, Hole, SeriesCoverage } from "./types";

/** One day, or some that follow one another; times are milliseconds UTC. */
export interface StripColumn {
  from: number;
  days: number;
  bars: number;
  expected: number;
}

/** The days in order, several in one column where there are more than `most`. */
export function stripColumns(days: readonly DayCoverage[], most: number): StripColumn[] {
  const each = Math.max(1, Math.ceil(days.length / most));
  const columns: StripColumn[] = [];
  for (let at = 0; at < days.length; at += each) {
    const part = days.slice(at, at + each);
    const sum = (of: (day: DayCoverage) => number) => part.reduce((total, day) => total + of(day), 0);
    columns.push({
      from: Date.parse(part[0]?.day ?? ""), days: part.length, bars: sum(({ bars }) => bars), expected: sum(({ expected }) => expected),
    });
  }
  return columns;
}

/** The share of the expected bars that is stored; null where the market was closed. */
export const shareOf = ({ bars, expected }: { bars: number; expected: number }): number | null =>
  expected === 0 ? null : Math.min(1, bars / expected);

export function columnText(column: StripColumn): string {
  const day = (ms: number) => new Date(ms).toISOString().slice(0, 10);
  const days = column.days === 1 ? day(column.from) : `${day(column.from)} to ${day(column.from + (column.days - 1) * DAY_MS)}`;
  return column.expected === 0 ? `${days}: closed` : `${days}: ${number(column.bars, 0)} of ${number(column.expected, 0)} bars`;
}

export interface CoverageSummary {
  bars: number;
  expected: number;
  holes: number;
  longest: Hole | null;
}

export function summaryOf({ days, holes }: SeriesCoverage): CoverageSummary {
  const longest = holes.reduce<Hole | null>((most, hole) => (most === null || hole.to - hole.from > most.to - most.from ? hole : most), null);
  return {
    bars: days.reduce((sum, { bars }) => sum + bars, 0),
    expected: days.reduce((sum, { expected }) => sum + expected, 0),
    holes: holes.length,
    longest,
  };
}

export function summaryText({ bars, expected, holes, longest }: CoverageSummary): string {
  const share = expected === 0 ? "" : `${percent((bars / expected) * 100)} of `;
  const whole = `${share}${number(expected, 0)} bars`;
  if (longest === null) return `${whole}, no hole`;
  const most = `${duration(longest.to - longest.from)} from ${time(longest.from)}`;
  return `${whole}, ${number(holes, 0)} ${holes === 1 ? `hole: ${most}` : `holes, the longest ${most}`}`;
}
