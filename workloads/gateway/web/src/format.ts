// Numbers and times as people read them; all times UTC.

const NONE = "–";

export function time(ms: number | null): string {
  if (ms === null) return NONE;
  return new Date(ms).toISOString().slice(0, 16).replace("T", " ");
}

export function number(value: number | null | undefined, decimals = 2): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  return value.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

export function percent(value: number | null | undefined, signed = false): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  return `${signed && value > 0 ? "+" : ""}${number(value)} %`;
}
