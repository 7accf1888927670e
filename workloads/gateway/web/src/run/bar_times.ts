// The bar on which a chart draws a fill or an end of a trade: a fill is known when its bar closes, and the bar is named by its open.
import { intervalMs, openOf } from "../chart/lengths";

/** The first Monday of 1970: weeks begin on Mondays. */
const WEEKS_FROM = 345_600_000;

/** The open of the bar of an interval, such as 1m, that ends at or after an event time. */
export const barOf = (ts: number, interval: string): number =>
  openOf(ts, { resolution: "", interval, width_ms: intervalMs(interval), origin_ms: interval.endsWith("w") ? WEEKS_FROM : 0 });
