// Steps of one bar of the chart, from virtual time: how many intervals of the replay they are, or what time is sought.
import { closeOf, openOf } from "../chart/lengths";
import type { Resolution } from "../data/types";

/** The end of the bar that virtual time is in, or that follows it. */
export function nextClose(position: number, length: Resolution): number {
  return closeOf(openOf(position + 1, length), length);
}

/** How many intervals of ``base`` milliseconds end the next ``bars`` bars. */
export function intervalsAhead(position: number, length: Resolution, base: number, bars: number): number {
  return Math.max(1, Math.round((timeAhead(position, length, bars) - position) / base));
}

/** The end of the last of the next ``bars`` bars. */
function timeAhead(position: number, length: Resolution, bars: number): number {
  let close = position;
  for (let n = 0; n < bars; n += 1) close = nextClose(close, length);
  return close;
}

/** The time so many bars after another one, or before it, within a range; its ends for infinitely many. */
export function movedBy(ts: number, bars: number, length: Resolution, { from, to }: { from: number; to: number }): number {
  if (!Number.isFinite(bars)) return bars < 0 ? from : to;
  return bars < 0 ? timeBack(ts, length, -bars, from) : Math.min(to, timeAhead(ts, length, bars));
}

/** The time to seek to, so that the last ``bars`` bars are taken back: a bar that has begun counts as one. */
export function timeBack(position: number, length: Resolution, bars: number, rangeFrom: number): number {
  let opened = position;
  for (let n = 0; n < bars; n += 1) opened = openOf(opened, length);
  return Math.max(rangeFrom, opened);
}
