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

/** `max_drawdown_percent` → Max drawdown */
export function label(name: string): string {
  const words = name.replace(/_percent$/, "").replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
