// Formatting of numbers and times for people. All times are UTC.

/** Stands for a value that is missing. */
export const MISSING = "–";

export function time(ms: number | null): string {
  if (ms === null) return MISSING;
  return new Date(ms).toISOString().slice(0, 16).replace("T", " ");
}

export function number(value: number | null | undefined, decimals = 2): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return MISSING;
  return value.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

export function percent(value: number | null | undefined, signed = false): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return MISSING;
  return `${signed && value > 0 ? "+" : ""}${number(value)} %`;
}
