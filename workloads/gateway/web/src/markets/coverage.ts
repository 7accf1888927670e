// How whole a series is: what of it is missing, in words and in order.
import { intervalMs } from "../chart/lengths";
import type { Loadable } from "../data/loadable";
import { number, percent, spanText, time } from "../format";
import { INTERVALS } from "../new/forms";
import { duration } from "../run/lengths_of_time";
import { marketChart } from "./chart_link";
import { closeOf, DAY_MS } from "./intervals";
import type { DayCoverage, Hole, SeriesCoverage, StoredSeries, StoredSymbol } from "./types";

/** A series of a symbol. */
export interface CoveredSeries {
  symbol: StoredSymbol;
  series: StoredSeries;
}

export const seriesOf = (symbols: readonly StoredSymbol[]): CoveredSeries[] =>
  symbols.flatMap((symbol) => symbol.series.map((series) => ({ symbol, series })));

export const nameOf = ({ symbol, series }: CoveredSeries): string => `${symbol.symbol}, ${series.interval}`;

/** The first day to show, so that the last ones of a series are shown; its first bar for all of it. */
export function startOf({ interval, first, last }: StoredSeries, days: string): number {
  if (days === "all") return first;
  const lastDay = Math.floor((closeOf(last, interval) - 1) / DAY_MS);
  return Math.max(first, (lastDay - Number(days) + 1) * DAY_MS);
}

export interface CoverageSummary {
  bars: number;
  expected: number;
  holes: number;
  /** Of all holes. */
  missing: number;
  length: number;
  longest: number;
  /** Whether days after those are left out. */
  isCut: boolean;
}

export const lengthOf = ({ from, to }: Hole): number => to - from;

export function summaryOf({ days, holes, next }: SeriesCoverage): CoverageSummary {
  const sum = (of: (day: DayCoverage) => number) => days.reduce((total, day) => total + of(day), 0);
  return {
    bars: sum(({ bars }) => bars),
    expected: sum(({ expected }) => expected),
    holes: holes.length,
    missing: sum(({ bars, expected }) => Math.max(0, expected - bars)),
    length: holes.reduce((total, hole) => total + lengthOf(hole), 0),
    longest: holes.reduce((most, hole) => Math.max(most, lengthOf(hole)), 0),
    isCut: next !== null,
  };
}

const counted = (count: number, one: string, several: string): string => `${number(count, 0)} ${count === 1 ? one : several}`;

/** Such as: 2 holes, 3 h in all, the longest 2 h. */
export function holesText({ holes, length, longest }: CoverageSummary): string {
  if (holes === 0) return "No hole";
  if (holes === 1) return `1 hole of ${duration(length)}`;
  return `${number(holes, 0)} holes, ${duration(length)} in all, the longest ${duration(longest)}`;
}

export function storedText({ bars, expected, missing, isCut }: CoverageSummary): string {
  const share = expected === 0 ? "" : `${percent((Math.min(bars, expected) / expected) * 100)} of `;
  const lacks = missing === 0 ? "" : `${barsText(missing)}, `;
  return `${lacks}${share}${counted(expected, "bar", "bars")} stored${isCut ? "; later days are not loaded" : ""}`;
}

const barsText = (missing: number): string => `${counted(missing, "bar", "bars")} missing`;

/** How many bars of a hole are missing: of days those that the market's session expects. */
export function missingBars({ from, to }: Hole, interval: string, days: readonly DayCoverage[]): number {
  if (interval === "1d") {
    const within = days.filter(({ day }) => Date.parse(day) >= from && Date.parse(day) < to);
    return within.reduce((sum, { bars, expected }) => sum + expected - bars, 0);
  }
  if (!interval.endsWith("M")) return Math.ceil((to - from) / intervalMs(interval));
  let bars = 0;
  for (let open = from; open < to; open = closeOf(open, interval)) bars += 1;
  return bars;
}

/** Such as: 2018-04-05 09:20–11:20, 120 bars missing. */
export const holeText = (hole: Hole, interval: string, days: readonly DayCoverage[]): string =>
  `${spanText(time(hole.from), time(hole.to))}, ${barsText(missingBars(hole, interval, days))}`;

/** So many bars are in sight on each side of a hole. */
const SIDE_BARS = 40;
/** A chart shows no range of more bars, and none that are shorter than a minute. */
const [SIGHT_BARS, MINUTE_MS] = [15_000, 60_000];

/** The chart of a hole, with bars on both sides; a long hole is shown by longer bars. */
export function holeAddress({ symbol, series }: CoveredSeries, hole: Hole): string {
  const shown = chartInterval(series.interval, lengthOf(hole));
  const side = SIDE_BARS * intervalMs(shown);
  const sight = new URLSearchParams({ from: String(Math.max(0, hole.from - side)), to: String(hole.to + side) });
  return `${marketChart(symbol.symbol, shown)}&${sight.toString()}`;
}

/** The interval of a series, or the first that is made of its bars and of which a length has few enough. */
function chartInterval(interval: string, length: number): string {
  const width = intervalMs(interval);
  const isFit = (each: string) => {
    const shown = intervalMs(each);
    return shown >= MINUTE_MS && shown % width === 0 && length <= SIGHT_BARS * shown;
  };
  return [interval, ...INTERVALS].find(isFit) ?? interval;
}

export type SeriesLoad = CoveredSeries & { coverage: Loadable<SeriesCoverage> };

export interface SeriesRow extends SeriesLoad {
  /** Null before it is loaded. */
  summary: CoverageSummary | null;
}

/** The series that lack most first, then those that are not known, then the whole ones. */
export function rowsOf(loads: readonly SeriesLoad[]): SeriesRow[] {
  const rank = ({ summary }: SeriesRow) => (summary === null ? 1 : summary.holes > 0 ? 0 : 2);
  return loads
    .map((load): SeriesRow => ({ ...load, summary: load.coverage.value === null ? null : summaryOf(load.coverage.value) }))
    .sort((one, other) => rank(one) - rank(other) || (other.summary?.length ?? 0) - (one.summary?.length ?? 0));
}

/** What all series lack, in a sentence. */
export function leadText(rows: readonly SeriesRow[]): string {
  const known = rows.flatMap(({ summary }) => summary ?? []);
  const lacking = known.filter(({ holes }) => holes > 0);
  const sum = (of: (each: CoverageSummary) => number) => lacking.reduce((total, each) => total + of(each), 0);
  const waiting = rows.filter(({ coverage }) => coverage.value === null && coverage.error === null).length;
  const rest = waiting === 0 ? "" : `; ${number(waiting, 0)} more being loaded`;
  if (lacking.length === 0) return `${known.length === 0 ? "Nothing is known yet" : `No hole in ${number(known.length, 0)} series`}${rest}`;
  const what = `${counted(sum(({ holes }) => holes), "hole", "holes")}, ${duration(sum(({ length }) => length))} in all`;
  return `${number(lacking.length, 0)} of ${number(known.length, 0)} series ${lacking.length === 1 ? "lacks" : "lack"} bars: ${what}${rest}`;
}
