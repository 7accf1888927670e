// What runs were made of: all that differs in their specs, in their params, and in the bars that they read.
import { type Compared, differs } from "./compare";
import type { RunInputs } from "./types";

/** The params have rows of their own. What is about the resource and not about the run is left out. */
const LEFT_OUT = /^(strategy\.params|suspend|ttlSecondsAfterFinished)(\.|$)/;
const BARS = "bars read";

/** The params that differ, then the fields of the specs by their paths, such as broker.commissionPercent, then the bars. */
export function inputDifferences(params: readonly Compared[], inputs: readonly Pick<RunInputs, "spec" | "data">[]): Compared[] {
  const specs = inputs.map(({ spec }) => new Map(leavesOf(spec, "")));
  const paths = [...new Set(specs.flatMap((leaves) => [...leaves.keys()]))].filter((path) => !LEFT_OUT.test(path)).sort();
  const fields = paths.map((name): Compared => ({ name, values: specs.map((leaves) => leaves.get(name) ?? null) }));
  const bars: Compared = { name: BARS, values: inputs.map(({ data }) => data || null) };
  return [...params, ...[...fields, bars].filter(({ values }) => differs(values))];
}

/** Each value that is no object, with its path; a list is one value, and one that is empty is none. */
function leavesOf(value: unknown, path: string): [path: string, value: unknown][] {
  if (Array.isArray(value)) return value.length === 0 ? [] : [[path, value]];
  if (typeof value !== "object" || value === null) return value === null ? [] : [[path, value]];
  return Object.entries(value).flatMap(([name, each]) => leavesOf(each, path === "" ? name : `${path}.${name}`));
}

/** Why runs have no line of equity: each trial of a sweep has an account of its own. Empty where all have one. */
export function lineText(runs: readonly { label: string; trials: number; points: number }[]): string {
  const without = runs.filter(({ points }) => points === 0);
  const [sweeps, others] = [true, false].map((isSweep) => without.filter(({ trials }) => trials > 0 === isSweep).map(({ label }) => label));
  return [
    ...(sweeps?.length ? [`${sweeps.join(", ")}: a sweep has no line, as each of its trials has an account of its own`] : []),
    ...(others?.length ? [`${others.join(", ")}: no equity yet`] : []),
  ].join("; ");
}
