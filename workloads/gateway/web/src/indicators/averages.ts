// Indicators over the candles: moving averages, Bollinger bands, and the price weighted by volume.
import type { Bar } from "../data/types";
import { closeOf, eachFrom, type Indicator, meanOf, smoothed, valueOf } from "./indicator";

const DAY_MS = 86_400_000;
const line = (name: string) => ({ name, kind: "line" as const });

export function sma(period: number): Indicator {
  return {
    outputs: [line(`SMA ${period}`)],
    overlay: true,
    columns: 1,
    extend: (bars, columns, from) =>
      eachFrom(bars, columns, from, (at) => [meanOf((i) => closeOf(bars, i), at, period)]),
  };
}

/** It begins with the mean of its first ``period`` closes. */
export function ema(period: number): Indicator {
  return {
    outputs: [line(`EMA ${period}`)],
    overlay: true,
    columns: 1,
    extend: (bars, columns, from) =>
      eachFrom(bars, columns, from, (at) => [
        smoothed(valueOf(columns[0], at - 1), (i) => closeOf(bars, i), at, period, 2 / (period + 1)),
      ]),
  };
}

/** The mean of ``period`` closes, and ``width`` of their standard deviations (of the population) above and below. */
export function bollinger(period: number, width: number): Indicator {
  return {
    outputs: [line(`BB ${period} middle`), line("upper"), line("lower")],
    overlay: true,
    columns: 3,
    extend: (bars, columns, from) =>
      eachFrom(bars, columns, from, (at) => {
        const middle = meanOf((i) => closeOf(bars, i), at, period);
        const deviation = Math.sqrt(meanOf((i) => (closeOf(bars, i) - middle) ** 2, at, period));
        return [middle, middle + width * deviation, middle - width * deviation];
      }),
  };
}

const dayOf = ({ ts }: Bar): number => Math.floor(ts / DAY_MS);
const isMidnight = ({ ts }: Bar): boolean => ts % DAY_MS === 0;

/**
 * The mean of (high + low + close) / 3 since midnight UTC, weighted by volume. The first day has values only if its first
 * bar opens at midnight: what was traded before that bar is not known.
 */
export function vwap(): Indicator {
  return {
    outputs: [line("VWAP")],
    overlay: true,
    columns: 3,
    lacksOlder: (bars) => {
      const [first, last] = [bars[0], bars.at(-1)];
      return first !== undefined && last !== undefined && !isMidnight(first) && dayOf(first) === dayOf(last);
    },
    extend: (bars, columns, from) =>
      eachFrom(bars, columns, from, (at) => {
        const [bar, before] = [bars[at], bars[at - 1]];
        if (bar === undefined) return [];
        const isFirst = before === undefined ? isMidnight(bar) : dayOf(before) !== dayOf(bar);
        const [traded, total] = isFirst ? [0, 0] : [valueOf(columns[1], at - 1), valueOf(columns[2], at - 1)];
        const [sum, volumes] = [traded + ((bar.high + bar.low + bar.close) / 3) * bar.volume, total + bar.volume];
        return [volumes > 0 ? sum / volumes : NaN, sum, volumes];
      }),
  };
}
