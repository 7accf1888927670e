// The trial of a sweep that is opened: which one it is, and what belongs to it.
import { parameter } from "../shell/parameters";
import { choose } from "./selection";
import { type Direction, ranked, searched } from "./sweep";
import type { Trial, WalkForwardWindow } from "./types";

/** The number of the opened trial in its window; null for none. */
export const trialNumber = (): number | null => (/^\d{1,9}$/.test(parameter("trial")) ? Number(parameter("trial")) : null);

export const openTrial = ({ trial, window }: Trial): void => choose({ trial: String(trial), window: window === 0 ? "" : String(window) });

/** A name for what a trial has of a param. */
const valueName = (value: unknown): string => JSON.stringify(value) ?? "";
const paramsName = (params: Record<string, unknown>): string =>
  JSON.stringify(Object.entries(params).sort(([one], [other]) => one.localeCompare(other)));

export const cellName = (x: unknown, y: unknown): string => `${valueName(x)} ${valueName(y)}`;

/** Of each cell of a heat map the trial to open: the best of those with its values, and where none is feasible the first. */
export function trialsOfCells(trials: readonly Trial[], x: string, y: string, direction: Direction): ReadonlyMap<string, Trial> {
  const found = new Map<string, Trial>();
  for (const trial of [...ranked(trials, direction), ...searched(trials)]) {
    if (!(x in trial.params) || !(y in trial.params)) continue;
    const name = cellName(trial.params[x], trial.params[y]);
    if (!found.has(name)) found.set(name, trial);
  }
  return found;
}

/** Where a trial is among those that are ranked, from 1; null where it is not ranked. */
export function rankOf(trials: readonly Trial[], trial: Trial, direction: Direction): { place: number; of: number } | null {
  const order = ranked(searched(trials, trial.window), direction);
  const at = order.findIndex((each) => each.trial === trial.trial);
  return at < 0 ? null : { place: at + 1, of: order.length };
}

export interface TrialTests {
  /** The windows that its params were traded in. */
  traded: number;
  of: number;
  /** Those, and what was traded after its own window. */
  windows: WalkForwardWindow[];
}

/** The test windows of a trial of a walk-forward. */
export function testsOf(windows: readonly WalkForwardWindow[], trial: Trial): TrialTests {
  const name = paramsName(trial.params);
  const isIts = ({ params }: WalkForwardWindow) => paramsName(params) === name;
  return {
    traded: windows.filter(isIts).length,
    of: windows.length,
    windows: windows.filter((each) => isIts(each) || each.window === trial.window),
  };
}

/** The line of parallel coordinates that is nearest to a point, if it is near enough; places are from 0 to 1 on each axis. */
export function nearestLine(lines: readonly { trial: Trial; places: number[] }[], axis: number, place: number, most: number): Trial | null {
  const [at, part] = [Math.floor(axis), axis - Math.floor(axis)];
  let nearest: { trial: Trial | null; distance: number } = { trial: null, distance: most };
  for (const { trial, places } of lines) {
    const [left, right = left] = [places[at], places[at + 1]];
    if (left === undefined || right === undefined) continue;
    const distance = Math.abs(left + (right - left) * part - place);
    if (distance <= nearest.distance) nearest = { trial, distance }; // of equals the last one lies on top
  }
  return nearest.trial;
}
