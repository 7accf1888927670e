// Lengths of time as people say them: 45 min, 3.5 h, 12 d.
import { MISSING } from "../format";

export const HOUR_MS = 3_600_000;

const UNITS: [ms: number, name: string][] = [
  [86_400_000, "d"],
  [HOUR_MS, "h"],
  [60_000, "min"],
  [1_000, "s"],
];

/** In the largest unit that it has at least one of, with three digits at most. */
export function duration(ms: number | null): string {
  if (ms === null || !Number.isFinite(ms)) return MISSING;
  const [unit, name] = UNITS.find(([length]) => Math.abs(ms) >= length) ?? [1, "ms"];
  const value = ms / unit;
  const decimals = Math.abs(value) >= 100 || Number.isInteger(value) ? 0 : 1;
  return `${value.toLocaleString("en-US", { maximumFractionDigits: decimals })} ${name}`;
}
