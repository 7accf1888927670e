// What a hole of the strip says of itself: No bars 04 Apr 16:48 – 05 Apr 00:00 (7.2 h).
import { duration } from "../run/lengths_of_time";
import type { Hole } from "./strip_data";

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** ``format`` gives times of the chosen zone, such as 2018-04-04 16:48. */
export function holeText({ from, to }: Hole, format: (ts: number) => string): string {
  return `No bars ${dayTime(format(from))} – ${dayTime(format(to))} (${duration(to - from)})`;
}

function dayTime(text: string): string {
  const [, month, day, time] = /^\d+-(\d\d)-(\d\d) (.*)$/.exec(text) ?? [];
  return month === undefined ? text : `${day} ${MONTHS[Number(month) - 1] ?? month} ${time}`;
}

/** The hole at a time, or as near to it as ``distance``: a narrow one is drawn wider than it is. */
export const holeAt = (holes: readonly Hole[], ts: number, distance: number): Hole | undefined =>
  holes.find(({ from, to }) => ts >= from - distance && ts <= to + distance);
