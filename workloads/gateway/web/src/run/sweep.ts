// What is computed of the trials of a sweep: the best, what is around it, and how windows held up.
import { number, percent } from "../format";
import { ascending, median } from "./statistics";
import type { RunReport, SweepSpec, Trial, WalkForwardWindow } from "./types";

/** The number of a trial that traded the best of its window in the time after it. */
const OUT_OF_SAMPLE = -1;
const NEAREST = 8;
/** Trials are a grid where they are at least this share of all combinations of their values: a condition may forbid some. */
const GRID_SHARE = 1 / 3;

export type Direction = "maximize" | "minimize";

export const directionOf = (spec: SweepSpec | undefined): Direction => spec?.objective?.direction ?? "maximize";
export const metricOf = (spec: SweepSpec | undefined): string => spec?.objective?.metric ?? "sharpe";

export const searched = (trials: readonly Trial[], window: number | null = null): Trial[] =>
  trials.filter((each) => each.trial !== OUT_OF_SAMPLE && (window === null || each.window === window));

/** The feasible trials, the best first; among equals the one with the lower number. */
export function ranked(trials: readonly Trial[], direction: Direction): Trial[] {
  const sign = direction === "maximize" ? -1 : 1;
  return searched(trials)
    .filter((each) => each.feasible && each.objective !== null)
    .sort((a, b) => sign * ((a.objective ?? 0) - (b.objective ?? 0)) || a.window - b.window || a.trial - b.trial);
}

/** The params that trials have, those with several values first of all. */
export function paramNames(trials: readonly Trial[]): string[] {
  const names = [...new Set(trials.flatMap(({ params }) => Object.keys(params)))];
  const count = (name: string) => new Set(trials.map(({ params }) => JSON.stringify(params[name]))).size;
  return names.filter((name) => count(name) > 1);
}

/** The values of a param, numbers in order, then texts. */
export function valuesOf(trials: readonly Trial[], name: string): unknown[] {
  const found = new Map(trials.map(({ params }) => [JSON.stringify(params[name]), params[name]]));
  return [...found.values()].sort((a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : Number(typeof b === "number") - Number(typeof a === "number") || String(a).localeCompare(String(b)),
  );
}

/** Where each value of a param lies among all, from 0 to 1. */
function places(trials: readonly Trial[], name: string): (trial: Trial) => { rank: number; share: number; isNumber: boolean } {
  const values = valuesOf(trials, name);
  const ranks = new Map(values.map((value, rank) => [JSON.stringify(value), rank]));
  const numbers = values.filter((value): value is number => typeof value === "number");
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  return ({ params }) => {
    const value = params[name];
    const rank = ranks.get(JSON.stringify(value)) ?? 0;
    const isNumber = typeof value === "number";
    const share = isNumber && high > low ? (value - low) / (high - low) : rank / Math.max(values.length - 1, 1);
    return { rank, share, isNumber };
  };
}

/** The trials around one, and which they are. */
export interface Neighbours {
  trials: Trial[];
  /** Each of their params is the same or the next value above or below; or they are the nearest of a search at random. */
  are: "next" | "nearest";
}

/** Of a grid, and of one param, the next values are the neighbours; of a search whose values hardly repeat, the nearest. */
export function neighbours(trials: readonly Trial[], best: Trial): Neighbours {
  const others = searched(trials, best.window).filter((each) => each.trial !== best.trial);
  const all = [...others, best];
  const names = paramNames(all);
  const axes = names.map((name) => places(all, name));
  if (isGrid(all, names)) {
    const isNext = (place: (typeof axes)[number], each: Trial) => {
      const [here, there] = [place(best), place(each)];
      return here.rank === there.rank || (here.isNumber && there.isNumber && Math.abs(here.rank - there.rank) === 1);
    };
    return { trials: others.filter((each) => axes.every((place) => isNext(place, each))), are: "next" };
  }
  const distance = (trial: Trial) => Math.hypot(...axes.map((place) => place(trial).share - place(best).share));
  const nearest = [...others].sort((a, b) => distance(a) - distance(b) || a.trial - b.trial).slice(0, NEAREST);
  return { trials: nearest, are: "nearest" };
}

function isGrid(trials: readonly Trial[], names: readonly string[]): boolean {
  const combinations = names.reduce((product, name) => product * valuesOf(trials, name).length, 1);
  return trials.length >= GRID_SHARE * combinations;
}

export interface Robustness {
  best: number;
  neighbours: number;
  are: Neighbours["are"];
  feasible: number;
  median: number | null;
  worst: number | null;
  /** The place of the median neighbour among all trials, from 0 (worst) to 1. */
  rank: number | null;
}

export function robustness(trials: readonly Trial[], best: Trial, direction: Direction): Robustness {
  const { trials: around, are } = neighbours(trials, best);
  const objectives = ascending(around.flatMap(({ objective }) => (objective === null ? [] : [objective])));
  const middle = median(objectives);
  const everyone = searched(trials, best.window).flatMap(({ objective }) => (objective === null ? [] : [objective]));
  const isWorse = (a: number, b: number) => (direction === "maximize" ? a < b : a > b);
  return {
    best: best.objective ?? NaN,
    neighbours: around.length,
    are,
    feasible: around.filter(({ feasible }) => feasible).length,
    median: middle,
    worst: (direction === "maximize" ? objectives[0] : objectives.at(-1)) ?? null,
    rank: middle === null || everyone.length === 0 ? null : everyone.filter((each) => isWorse(each, middle)).length / everyone.length,
  };
}

/** Whether a run has an account: the trials of a sweep have one each, a walk-forward has one of its own once its windows are tested. */
export const hasOwnAccount = ({ trials, metrics }: Pick<RunReport, "trials" | "metrics">): boolean => trials === 0 || metrics?.["final_value"] !== undefined;

/** What a return is called in metrics. */
const RETURN = "return_percent";

export const returnOf = ({ metrics }: Trial): number | null => metrics[RETURN] ?? null;

/** The name that results have for a metric of a spec: returnPercent is return_percent. */
export const resultName = (metric: string): string => metric.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** That all trials lost money, and how much at least; empty where one did not. */
export function lossText(trials: readonly Trial[]): string {
  const returns = trials.flatMap((trial) => returnOf(trial) ?? []);
  if (returns.length === 0 || returns.some((each) => each >= 0)) return "";
  const which = returns.length < trials.length ? "trials with a return" : "trials"; // a trial that failed has none
  return `All ${number(returns.length, 0)} ${which} lost money; the best ${percent(returns.reduce((most, each) => Math.max(most, each)))}`;
}

/** The value of a metric that is neither gain nor loss: of a value that of the start, of a return 0; null of any other. */
export function breakEven(metric: string, cash: number): number | null {
  if (metric === "final_value") return cash;
  return [RETURN, "cagr_percent", "annual_return_percent", "average_trade", "average_trade_percent"].includes(metric) ? 0 : null;
}

export interface Luck {
  deflated: number | null;
  sharpe: number | null;
  error: number | null;
  /** How many trials have a Sharpe ratio, of all, and what the others lack. */
  known: string;
  verdict: string;
}

const DAILY_RETURNS_MIN = 30;

function sharpesKnown({ trials, metrics }: Pick<RunReport, "trials" | "metrics">): string {
  const [known, days] = [metrics?.["trials_with_sharpe"] ?? null, metrics?.["daily_returns"] ?? null];
  if (known === null) return "";
  if (known > 0) return `best of ${number(known, 0)} trials`;
  const needed = days !== null && days < DAILY_RETURNS_MIN ? `; it needs ${DAILY_RETURNS_MIN} daily returns, this has ${number(days, 0)}` : "";
  return `0 of ${number(trials, 0)} trials have a Sharpe ratio${needed}`;
}

/** How likely the best trial is better than chance: see docs/guides/sweeps.md. */
export function luck(run: Pick<RunReport, "trials" | "metrics" | "undefined">): Luck {
  const figure = (name: string): number | null => run.metrics?.[name] ?? null;
  const deflated = figure("deflated_sharpe");
  const reason = run.undefined?.["deflated_sharpe"] ?? "it needs two trials or more with a Sharpe ratio";
  const verdict =
    deflated === null
      ? `unknown: ${reason}`
      : deflated >= 0.95
        ? "unlikely to be luck"
        : deflated >= 0.5
          ? "may be luck"
          : "probably luck";
  return { deflated, sharpe: figure("best_sharpe"), error: figure("best_sharpe_error"), known: sharpesKnown(run), verdict };
}

export interface WindowRow {
  window: number;
  params: Record<string, unknown>;
  start: number;
  end: number;
  inSample: number | null;
  outOfSample: number | null;
  returnPercent: number | null;
  trades: number | null;
}

export const windowRows = (windows: readonly WalkForwardWindow[]): WindowRow[] =>
  windows.map(({ window, params, in_sample, out_of_sample }) => ({
    window,
    params,
    start: out_of_sample.start,
    end: out_of_sample.end,
    inSample: in_sample?.objective ?? null,
    outOfSample: out_of_sample.objective,
    returnPercent: returnOf(out_of_sample),
    trades: out_of_sample.metrics["trades"] ?? null,
  }));

/** How many windows with both figures had a profit out-of-sample, and the median of both objectives. */
export function windowSummary(rows: readonly WindowRow[]): { windows: number; won: number; inSample: number | null; outOfSample: number | null } {
  const known = (pick: (row: WindowRow) => number | null) => rows.flatMap((row) => pick(row) ?? []);
  return {
    windows: rows.length,
    won: rows.filter(({ returnPercent }) => (returnPercent ?? 0) > 0).length,
    inSample: median(known(({ inSample }) => inSample)),
    outOfSample: median(known(({ outOfSample }) => outOfSample)),
  };
}

/** What the best trials of a walk-forward were worth: what they made in the time after that of their search. ``text``: of an objective. */
export function outOfSampleText(rows: readonly WindowRow[], text: (objective: number | null) => string): string {
  const { windows, won, inSample, outOfSample } = windowSummary(rows);
  const counted = `${number(won, 0)} of ${number(windows, 0)} windows had a profit out-of-sample, each with the best trial of the time before`;
  return `${counted}; median objective ${text(inSample)} in-sample, ${text(outOfSample)} out-of-sample`;
}

/** Where each value lies between the least and the greatest of all, 0 to 1; for a colour. */
export function sharesOf(all: readonly number[]): (value: number) => number {
  const [low, high] = all.reduce(([l, h], each) => [Math.min(l, each), Math.max(h, each)], [Infinity, -Infinity]);
  return (value) => (high > low ? (value - low) / (high - low) : 1);
}

export interface CellColour {
  tone: "up" | "down" | "heat";
  /** How strong it is, 0 to 1. */
  heat: number;
}

/** The colour of each value among all: of those with a border the two sides have two, else the better are stronger. */
export function colouring(all: readonly number[], border: number | null, lowIsGood: boolean): (value: number) => CellColour {
  if (border === null) {
    const share = sharesOf(all);
    return (value) => ({ tone: "heat", heat: lowIsGood ? 1 - share(value) : share(value) });
  }
  const furthest = all.reduce((most, each) => Math.max(most, Math.abs(each - border)), 0);
  return (value) => ({ tone: value < border ? "down" : "up", heat: furthest === 0 ? 0 : Math.abs(value - border) / furthest });
}

/** The lines of parallel coordinates: for each trial its place on each axis, 0 to 1, the objective last. */
export function coordinates(trials: readonly Trial[], names: readonly string[]): { trial: Trial; places: number[] }[] {
  const known = trials.filter(({ objective }) => objective !== null);
  const axes = names.map((name) => places(known, name));
  const share = sharesOf(known.map(({ objective }) => objective ?? 0));
  return known.map((trial) => ({
    trial,
    places: [...axes.map((place) => place(trial).share), share(trial.objective ?? 0)],
  }));
}
