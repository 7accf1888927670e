// What differs between runs: their curves on one scale, their figures and params, and trades that not all of them made.
import { PRICE_DECIMALS } from "../format";
import { lastBy } from "./curves";
import type { Decimals } from "./trade_table";
import type { EquityRow, RunInputs, RunSummary, Trade } from "./types";

export const RUNS_MIN = 2;
export const RUNS_MAX = 6;

/** A figure or a param of several runs, in their order. */
export interface Compared {
  name: string;
  values: unknown[];
}

export interface Comparison {
  runs: RunSummary[];
  params: Compared[];
  metrics: Compared[];
}

export interface NormalisedCurves {
  /** Milliseconds: UTC, or since the start of each run where the curves are aligned. */
  ts: number[];
  isAligned: boolean;
  /** For each run 100 at its start; null before its first point and after its last. */
  values: (number | null)[][];
}

/** Curves of times that are apart begin at one place: on one calendar each would be a sliver. */
export function normalised(runs: readonly { cash: number; curve: readonly EquityRow[] }[]): NormalisedCurves {
  const isAligned = areApart(runs.map(({ curve }) => curve));
  const startOf = (curve: readonly EquityRow[]) => (isAligned ? (curve[0]?.ts ?? 0) : 0);
  const ts = [...new Set(runs.flatMap(({ curve }) => curve.map((point) => point.ts - startOf(curve))))].sort((a, b) => a - b);
  const values = runs.map(({ cash, curve }) => {
    const start = startOf(curve);
    const end = (curve.at(-1)?.ts ?? -Infinity) - start;
    const points = curve.map((point): [number, number] => [point.ts - start, (point.value / cash) * 100]);
    return lastBy(ts, cash > 0 ? points : []).map((value, i) => ((ts[i] ?? 0) > end ? null : value));
  });
  return { ts, isAligned, values };
}

/** Whether there is a time between two curves at which none of them has points. */
function areApart(curves: readonly (readonly EquityRow[])[]): boolean {
  const ranges = curves.flatMap((curve) => (curve[0] === undefined ? [] : { from: curve[0].ts, to: curve.at(-1)?.ts ?? curve[0].ts }));
  ranges.sort((one, other) => one.from - other.from);
  let reached = Infinity;
  for (const { from, to } of ranges) {
    if (from >= reached) return true;
    reached = reached === Infinity ? to : Math.max(reached, to);
  }
  return false;
}

/** How far each value is from the first; null where one of both is no number. */
export const differences = (values: readonly unknown[]): (number | null)[] =>
  values.map((value) => (typeof value === "number" && typeof values[0] === "number" ? value - values[0] : null));

export const differs = (values: readonly unknown[]): boolean => new Set(values.map((value) => JSON.stringify(value))).size > 1;

/** A trade that not all runs made, or not at the same prices or size; null where a run lacks it. */
export interface TradeDifference {
  symbol: string;
  side: Trade["side"];
  entry_ts: number;
  exit_ts: number;
  trades: (Trade | null)[];
  is: "missing" | "changed";
}

/** Trades are the same ones by symbol, side and the times of entry and exit. In the order of their entries. */
export function tradeDifferences(lists: readonly (readonly Trade[])[]): TradeDifference[] {
  const found = new Map<string, (Trade | null)[]>();
  lists.forEach((trades, run) => {
    const times = new Map<string, number>();
    for (const trade of trades) {
      const key = [trade.symbol, trade.side, trade.entry_ts, trade.exit_ts].join("|");
      const again = times.get(key) ?? 0; // several of one kind are compared in their order
      times.set(key, again + 1);
      const row = found.get(`${key}|${again}`) ?? lists.map(() => null);
      row[run] = trade;
      found.set(`${key}|${again}`, row);
    }
  });
  return [...found.values()].flatMap(differenceOf).sort((a, b) => a.entry_ts - b.entry_ts || a.exit_ts - b.exit_ts);
}

function differenceOf(trades: (Trade | null)[]): TradeDifference[] {
  const first = trades.find((each) => each !== null);
  if (first === null || first === undefined) return [];
  const isMissing = trades.includes(null);
  const outcomes = trades.map((each) => each && [each.size, each.entry_price, each.exit_price, each.pnl_net]);
  if (!isMissing && !differs(outcomes)) return [];
  const { symbol, side, entry_ts, exit_ts } = first;
  return [{ symbol, side, entry_ts, exit_ts, trades, is: isMissing ? "missing" : "changed" }];
}

/** The runs to compare after one was added or taken away; there are never more than RUNS_MAX. */
export function toggled(ids: readonly string[], id: string): string[] {
  if (ids.includes(id)) return ids.filter((each) => each !== id);
  return ids.length < RUNS_MAX ? [...ids, id] : [...ids];
}

/** The scale of prices for all runs: the finest that one of them has of a symbol. */
export const commonDecimals =
  (inputs: readonly Pick<RunInputs, "decimals">[]): Decimals =>
  (symbol) => {
    const known = inputs.flatMap(({ decimals }) => decimals[symbol] ?? []);
    return known.length === 0 ? PRICE_DECIMALS : Math.max(...known);
  };

/** Names by which runs can be told apart: those of their Backtests, with what differs where two are alike. */
export function runLabels(runs: readonly RunSummary[]): string[] {
  return runs.map((run) => {
    const alike = runs.filter(({ name }) => name === run.name).length > 1;
    return alike ? `${run.name} (${run.run_id.slice(0, 8)})` : run.name;
  });
}
