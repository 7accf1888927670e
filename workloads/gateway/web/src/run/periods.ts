// Results by month and year as a table with a row for each year.
import type { Period } from "./types";

export interface YearRow {
  year: string;
  /** January first; null where the run has no such month. */
  months: (Period | null)[];
  total: Period | null;
}

export function yearRows(periods: readonly Period[]): YearRow[] {
  const byName = new Map(periods.map((period) => [period.period, period]));
  const years = [...new Set(periods.map(({ period }) => period.slice(0, 4)))].sort();
  return years.map((year) => ({
    year,
    months: Array.from({ length: 12 }, (_, i) => byName.get(`${year}-${String(i + 1).padStart(2, "0")}`) ?? null),
    total: byName.get(year) ?? null,
  }));
}

/** How strong a cell's colour is, 0 to 1: its return beside the greatest of all. */
export function strength(period: Period, rows: readonly YearRow[]): number {
  const returns = rows.flatMap(({ months }) => months.map((month) => Math.abs(month?.return_percent ?? 0)));
  const greatest = Math.max(...returns, 0);
  return greatest === 0 ? 0 : Math.min(1, Math.abs(period.return_percent ?? 0) / greatest);
}
