// The figures of a run up to a time, from what of it may be shown: of another replay's run the whole ones would tell what comes.
import type { EquityPoint, Fill } from "../data/types";
import { number, percent } from "../format";

export interface Figure {
  name: string;
  text: string;
  hint?: string;
  tone?: "up" | "down";
}

export const toneOf = (value: number): { tone?: "up" | "down" } => (value > 0 ? { tone: "up" } : value < 0 ? { tone: "down" } : {});

/** By the points of the equity and the fills up to the time; none before the first point. */
export function figuresSoFar(cash: number, equity: readonly EquityPoint[], fills: readonly Fill[]): Figure[] {
  const last = equity.at(-1);
  if (last === undefined) return [];
  const value = last[2];
  const returned = cash > 0 ? (value / cash - 1) * 100 : null;
  const deepest = equity.reduce((most, [, , , , , drawdown]) => Math.max(most, drawdown ?? 0), 0);
  return [
    { name: "Value", text: number(value) },
    { name: "Return", text: percent(returned, true), ...toneOf(returned ?? 0) },
    { name: "Max drawdown", text: percent(deepest) },
    { name: "Fills", text: number(fills.length, 0) },
  ];
}
