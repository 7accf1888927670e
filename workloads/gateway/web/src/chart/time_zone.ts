// Times of charts in UTC, in the reader's zone, or in that of the exchange.
import { signal } from "@preact/signals";

export const ZONES = ["utc", "local", "exchange"] as const;
export type Zone = (typeof ZONES)[number];

export const ZONE_LABELS: Readonly<Record<Zone, string>> = { utc: "UTC", local: "Local time", exchange: "Exchange time" };

export const parseZone = (text: string | null): Zone => ZONES.find((zone) => zone === text) ?? "utc";

/** The zone of the exchange whose symbol the first chart shows: what stands beside the charts has it as well. */
export const exchangeZone = signal("UTC");

/** The name of a zone as the browser knows it. An exchange without a zone that it knows trades in UTC. */
export function zoneName(zone: Zone, exchange: string): string {
  if (zone === "utc") return "UTC";
  if (zone === "local") return Intl.DateTimeFormat().resolvedOptions().timeZone;
  try {
    return new Intl.DateTimeFormat("en", { timeZone: exchange }).resolvedOptions().timeZone;
  } catch {
    return "UTC";
  }
}

const formatters = new Map<string, Intl.DateTimeFormat>();

/** The parts of a time in a zone, each with its digits. */
export function partsIn(ms: number, name: string): Record<string, string> {
  let formatter = formatters.get(name);
  if (formatter === undefined) {
    formatter = new Intl.DateTimeFormat("en-GB", {
      timeZone: name, hourCycle: "h23", weekday: "short", year: "numeric", month: "2-digit", day: "2-digit",
      hour: "2-digit", minute: "2-digit", second: "2-digit",
    });
    formatters.set(name, formatter);
  }
  return Object.fromEntries(formatter.formatToParts(ms).map(({ type, value }) => [type, value]));
}

/** Such as 2018-04-04 00:00. */
export function timeIn(ms: number | null, name: string): string {
  if (ms === null) return "–";
  const { year, month, day, hour, minute } = partsIn(ms, name);
  return `${year}-${month}-${day} ${hour}:${minute}`;
}

/** What the time axis shows of a time: the largest unit that begins there. */
export function tickIn(ms: number, name: string): string {
  const { year, month, day, hour, minute, second } = partsIn(ms, name);
  if (second !== "00") return `${hour}:${minute}:${second}`;
  if (hour !== "00" || minute !== "00") return `${hour}:${minute}`;
  if (day !== "01") return `${month}-${day}`;
  return month === "01" ? (year ?? "") : `${year}-${month}`;
}
