// Formatting of numbers and times for people. All times are UTC.

/** Stands for a value that is missing. */
export const MISSING = "–";

export function time(ms: number | null): string {
  if (ms === null) return MISSING;
  return new Date(ms).toISOString().slice(0, 16).replace("T", " ");
}

/** Significant digits that a number below 1 keeps, whatever its decimals: a price of 0.0000123 is not 0.00. */
const SIGNIFICANT_DIGITS = 3;

export function number(value: number | null | undefined, decimals = 2): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return MISSING;
  const magnitude = value === 0 ? 0 : Math.floor(Math.log10(Math.abs(value)));
  const needed = magnitude < 0 ? Math.min(SIGNIFICANT_DIGITS - 1 - magnitude, 100) : 0;
  return value.toLocaleString("en-US", {
    minimumFractionDigits: decimals,
    maximumFractionDigits: Math.max(decimals, needed),
  });
}

export function percent(value: number | null | undefined, signed = false): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return MISSING;
  return `${signed && value > 0 ? "+" : ""}${number(value)} %`;
}
