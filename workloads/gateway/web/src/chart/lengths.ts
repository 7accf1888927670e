// How long bars are, and when they open. Times are milliseconds UTC.
import type { Resolution } from "../data/types";

/** The length of the bars that charts are built from. */
export const MINUTE: Resolution = { resolution: "1", interval: "1m", width_ms: 60_000, origin_ms: 0 };

const UNITS_MS: Readonly<Record<string, number>> = {
  s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000, M: 2_678_400_000,
};

/** The length of a bar such as 15m; 0 of a name that is none. Of a month it is the longest. */
export function intervalMs(interval: string): number {
  const [, count, unit] = /^(\d+)([smhdwM])$/.exec(interval) ?? [];
  return Number(count ?? 0) * (UNITS_MS[unit ?? ""] ?? 0);
}

/** The open of the bar that ends at or after an event time: ``BarLength.open_of_event``, tested with the same table. */
export function openOf(ts: number, { interval, width_ms, origin_ms }: Resolution): number {
  if (interval.endsWith("M")) {
    const last = new Date(ts - 1);
    return Date.UTC(last.getUTCFullYear(), last.getUTCMonth());
  }
  return Math.floor((ts - 1 - origin_ms) / width_ms) * width_ms + origin_ms;
}

/** The close of the bar that opens at a time: of months that of the calendar. */
export function closeOf(opened: number, { interval, width_ms }: Pick<Resolution, "interval" | "width_ms">): number {
  if (!interval.endsWith("M")) return opened + width_ms;
  const date = new Date(opened);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + parseInt(interval, 10));
}

/** The resolution to show for a series that has these: the wanted one, else its finest. */
export function shownResolution(
  wanted: Resolution,
  supported: string[],
  resolutions: Resolution[],
): Resolution {
  if (supported.includes(wanted.resolution)) return wanted;
  return resolutions.find(({ resolution }) => supported.includes(resolution)) ?? wanted;
}
