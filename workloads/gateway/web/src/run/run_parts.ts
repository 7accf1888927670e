// The parts of a report as the API gives them: loaded again while the run or its replay goes on.
import { type Loadable, loaded, LOADING, Polled } from "../data/loadable";
import { get, RequestError } from "../data/request";
import type {
  EquityRow, Excursion, ExcursionList, FailedRun, HoldCurve, PodLog, RunDocument, RunInputs, RunReport, RunSummary, Trade, TradeList,
  Trial, TrialList,
} from "./types";

export const REPORT_MS = 3_000;
export const PARTS_MS = 10_000;
export const DRAWN_POINTS = 2_000;
const TRADES_MAX = 20_000;
export const TRIALS_MAX = 10_000;
const LOG_LINES = 200;

export const runPath = (id: string): string => `/api/v1/runs/${encodeURIComponent(id)}`;

export const reportOf = (id: string): Polled<RunReport> => new Polled(() => get<RunReport>(runPath(id)), REPORT_MS);

/** What cannot change any more has a name; a run that goes on, or is shown in part, has none. */
export const settledAs = (run: RunSummary | null): string =>
  run === null || run.state === "running" || run.shown_until !== null ? "" : `${run.state} ${run.ended_at}`;

/** The same of several runs. */
export const allSettledAs = (runs: readonly RunSummary[] | null): string => {
  const settled = (runs ?? []).map(settledAs);
  return settled.includes("") ? "" : settled.join(", ");
};

/** What belongs to runs: once they have ended and are shown whole, what was loaded after that stays. */
export function partOf<T>(settledNow: () => string, load: () => Promise<T>): Polled<T> {
  let kept: { value: T; settled: string } | null = null;
  return new Polled(async () => {
    const settled = settledNow();
    if (kept !== null && settled !== "" && kept.settled === settled) return kept.value;
    const value = await load();
    kept = { value, settled };
    return value;
  }, PARTS_MS);
}

export const inputsOf = (id: string) => get<RunInputs>(`${runPath(id)}/inputs`);
export const holdOf = (id: string) => get<HoldCurve>(`${runPath(id)}/buy-and-hold`, { points: DRAWN_POINTS });

export const equityOf = async (id: string): Promise<EquityRow[]> =>
  (await get<{ equity: EquityRow[] }>(`${runPath(id)}/equity`, { points: DRAWN_POINTS })).equity;

/** Of longer runs the drawn points have to do for the worst hour. */
const ALL_POINTS_MAX = 60_000;
const POINTS_OF_PAGE = 20_000;

/** Whether all points of a run's equity are loaded: it has ended, and has not too many. */
const hasAllPoints = (run: RunSummary): boolean => settledAs(run) !== "" && (run.bars ?? Infinity) <= ALL_POINTS_MAX;

/** All points of the equity of a run that has ended; none while it runs, or where it has too many. */
export async function allEquityOf(id: string, run: RunSummary): Promise<EquityRow[]> {
  if (!hasAllPoints(run)) return [];
  const points: EquityRow[] = [];
  let cursor: string | undefined;
  do {
    const query = { limit: POINTS_OF_PAGE, cursor };
    const found: { equity: EquityRow[]; next: string | null } = await get(`${runPath(id)}/equity`, query);
    points.push(...found.equity);
    cursor = found.next ?? undefined;
  } while (cursor !== undefined);
  return points;
}

/** The points, which are loading also where they were loaded before the run's end, of which there are some now. */
export function pointsOrLoading(run: RunSummary, points: Loadable<EquityRow[]>, drawn: Loadable<EquityRow[]>): Loadable<EquityRow[]> {
  const areComing = hasAllPoints(run) && points.error === null && points.value?.length === 0 && drawn.value?.length !== 0;
  return areComing ? LOADING : points;
}

export async function tradesOf(id: string): Promise<TradeList> {
  const found = await get<{ trades: Trade[]; next: string | null }>(`${runPath(id)}/trades`, { limit: TRADES_MAX });
  return { trades: found.trades, leftOut: found.next === null ? 0 : null };
}

/** One trade of a run. Raises where the run has none of this number, or not up to its replay's position. */
export async function tradeOf(id: string, seq: number): Promise<Trade> {
  let cursor: string | undefined;
  do {
    const query = { limit: TRADES_MAX, cursor };
    const found: { trades: Trade[]; next: string | null } = await get(`${runPath(id)}/trades`, query);
    const trade = found.trades.find((each) => each.seq === seq);
    if (trade !== undefined) return trade;
    cursor = found.next ?? undefined;
  } while (cursor !== undefined);
  throw new Error(`trade: got ${seq}, expected a trade that the run has closed`);
}

export const excursionsOf = async (id: string): Promise<ExcursionList> => {
  const found = await get<{ excursions: Excursion[]; missing: string }>(`${runPath(id)}/excursions`, { limit: TRADES_MAX });
  return { excursions: found.excursions, missing: found.missing };
};

export async function trialsOf(id: string): Promise<TrialList> {
  const found = await get<{ trials: Trial[]; next: string | null }>(`/api/v1/sweeps/${encodeURIComponent(id)}/trials`, { limit: TRIALS_MAX });
  return { trials: found.trials, isCut: found.next !== null };
}

/** The ends of the logs of a run's pods; none where its Backtest was deleted, and another one may have its name. */
export async function logOf(run: FailedRun): Promise<PodLog[]> {
  const path = `/api/v1/namespaces/${encodeURIComponent(run.namespace)}/backtests/${encodeURIComponent(run.name)}`;
  try {
    const { metadata } = await get<{ metadata: { uid: string } }>(path);
    if (metadata.uid !== run.run_id.split("@")[0]) return [];
    return (await get<{ pods: PodLog[] }>(`${path}/log`, { tail: LOG_LINES })).pods;
  } catch (error) {
    if (error instanceof RequestError && error.status === 404) return [];
    throw error;
  }
}

interface PartsInTime {
  equity: Loadable<EquityRow[]>;
  points: Loadable<EquityRow[]>;
  hold: Loadable<HoldCurve>;
  trades: Loadable<TradeList>;
}

/**
 * The same parts without what is after a time, null for all. The report says where a run's replay is more often than its parts
 * are loaded: after a seek back these would tell the future.
 */
export function partsUntil<Parts extends PartsInTime>(parts: Parts, until: number | null): Parts {
  if (until === null) return parts;
  return {
    ...parts,
    equity: mapped(parts.equity, (rows) => upTo(rows, ({ ts }) => ts <= until)),
    points: mapped(parts.points, (rows) => upTo(rows, ({ ts }) => ts <= until)),
    hold: mapped(parts.hold, (hold) => withItems(hold, "points", upTo(hold.points, ([ts]) => ts <= until))),
    trades: mapped(parts.trades, (list) => withItems(list, "trades", upTo(list.trades, ({ exit_ts }) => exit_ts <= until))),
  };
}

const mapped = <T>({ value, error }: Loadable<T>, change: (value: T) => T): Loadable<T> => ({
  value: value === null ? null : change(value),
  error,
});

/** What is the same stays the same object: nothing is computed again for it. */
const upTo = <T>(items: T[], isSeen: (item: T) => boolean): T[] => (items.every(isSeen) ? items : items.filter(isSeen));
const withItems = <T, Name extends keyof T>(of: T, name: Name, items: T[Name]): T =>
  of[name] === items ? of : { ...of, [name]: items };

/** The parts of a report that has all of them inside. */
export const partsOfDocument = (document: RunDocument) => ({
  report: loaded(document.report),
  inputs: loaded(document.inputs),
  equity: loaded(document.equity),
  points: loaded<EquityRow[]>([]),
  hold: loaded(document.hold),
  trades: loaded({ trades: document.trades, leftOut: document.trades_left_out }),
  excursions: loaded({ excursions: document.excursions, missing: document.excursions_missing }),
});

/** Two values that a panel needs both of. */
export function combined<A, B>(a: Loadable<A>, b: Loadable<B>): Loadable<[A, B]> {
  const error = a.error ?? b.error;
  return { value: a.value === null || b.value === null ? null : [a.value, b.value], error };
}
