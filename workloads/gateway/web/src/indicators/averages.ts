// Indicators over the candles: moving averages, Bollinger bands, and the price weighted by volume.
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

/** The mean of (high + low + close) / 3 since midnight UTC, weighted by volume. */
export function vwap(): Indicator {
  return {
    outputs: [line("VWAP")],
    overlay: true,
    columns: 3,
    extend: (bars, columns, from) =>
      eachFrom(bars, columns, from, (at) => {
        const { ts = 0, high = NaN, low = NaN, close = NaN, volume = 0 } = bars[at] ?? {};
        const before = bars[at - 1];
        const isFirst = before === undefined || Math.floor(before.ts / DAY_MS) !== Math.floor(ts / DAY_MS);
        const [traded, total] = isFirst ? [0, 0] : [valueOf(columns[1], at - 1), valueOf(columns[2], at - 1)];
        const [sum, volumes] = [traded + ((high + low + close) / 3) * volume, total + volume];
        return [volumes > 0 ? sum / volumes : NaN, sum, volumes];
      }),
  };
}
