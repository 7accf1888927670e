// When a market trades, by UDF's text of its session, and how many bars it expects between two times. Times are milliseconds UTC.
import type { Resolution, SymbolInfo } from "../data/types";
import { closeOf } from "./lengths";
import { partsIn, zoneName } from "./time_zone";

const [MINUTE_MS, DAY_MS] = [60_000, 86_400_000];

/** Local minutes from the midnight of a trading day, the open below 0 where it is on the evening before; days count from Sunday, 1. */
export interface Session {
  opens: number;
  closes: number;
  days: string;
  zone: string;
}

/** Such as 0930-1600:23456; null of a market that never closes, which is 24x7. */
export function parseSession(text: string, zone: string): Session | null {
  const [, open, close, days] = /^(\d{4})-(\d{4}):([1-7]+)$/.exec(text) ?? [];
  if (open === undefined || close === undefined || days === undefined) return null;
  const minutes = (hours: string) => Number(hours.slice(0, 2)) * 60 + Number(hours.slice(2));
  const closes = minutes(close) || DAY_MS / MINUTE_MS; // 0000 is the end of the day
  const opens = minutes(open);
  return { opens: opens < closes ? opens : opens - DAY_MS / MINUTE_MS, closes, days, zone: zoneName("exchange", zone) };
}

/** Whether it is known when a market trades. Without a session one of crypto never closes, and of another nobody has said when it does. */
export const hasKnownHours = ({ type, session, timezone }: Pick<SymbolInfo, "type" | "session" | "timezone">): boolean =>
  type === "crypto" || parseSession(session, timezone) !== null;

/** How many bars open from one time on, before another, while the market trades: as the gateway's coverage counts them. */
export function expectedBars(from: number, to: number, length: Resolution, session: Session | null): number {
  const { width_ms, interval } = length;
  if (interval.endsWith("M")) return monthsFrom(from, to, length);
  if (session === null || width_ms > DAY_MS) return opensIn(from, to, length);
  const days = daysOf(from, to, session.zone).filter((day) => session.days.includes(String(new Date(day).getUTCDay() + 1)));
  if (width_ms === DAY_MS) return days.filter((day) => day >= from && day < to).length;
  return days.reduce((sum, day) => {
    const [opens, closes] = [session.opens, session.closes].map((minutes) => utcOf(day + minutes * MINUTE_MS, session.zone)) as [number, number];
    return sum + opensIn(Math.max(from, before(opens, length)), Math.min(to, closes), length);
  }, 0);
}

function monthsFrom(from: number, to: number, length: Resolution): number {
  let bars = 0;
  for (let open = from; open < to; open = closeOf(open, length)) bars += 1;
  return bars;
}

const countBefore = (ts: number, { width_ms, origin_ms }: Resolution): number => Math.ceil((ts - origin_ms) / width_ms);
const opensIn = (from: number, to: number, length: Resolution): number => Math.max(0, countBefore(to, length) - countBefore(from, length));
/** The open of the bar that a time is in. */
const before = (ts: number, { width_ms, origin_ms }: Resolution): number => Math.floor((ts - origin_ms) / width_ms) * width_ms + origin_ms;

/** The dates, as midnights of UTC, whose sessions may be within two times. */
function daysOf(from: number, to: number, zone: string): number[] {
  const first = midnightOf(from, zone) - DAY_MS;
  const count = (midnightOf(to, zone) - first) / DAY_MS + 2;
  return Array.from({ length: count }, (_, n) => first + n * DAY_MS);
}

const midnightOf = (ts: number, zone: string): number => Math.floor(localOf(ts, zone) / DAY_MS) * DAY_MS;

/** A time as the clock of a zone has it, as if that were UTC. */
function localOf(ts: number, zone: string): number {
  const [year, month, day, hour, minute] = ["year", "month", "day", "hour", "minute"].map((part) => Number(partsIn(ts, zone)[part]));
  return Date.UTC(year ?? 0, (month ?? 1) - 1, day, hour, minute);
}

/** When the clock of a zone has a time: its offset may be another one there than at the same time of UTC. */
function utcOf(local: number, zone: string): number {
  const near = local - (localOf(local, zone) - local);
  return near - (localOf(near, zone) - local);
}
