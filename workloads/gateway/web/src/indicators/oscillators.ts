// Indicators in panes of their own: RSI, MACD, ATR.
import { closeOf, eachFrom, type Indicator, smoothed, valueOf } from "./indicator";
import type { Bar } from "../data/types";

/** By Wilder: averages of rises and falls that begin with a mean of ``period`` changes. */
export function rsi(period: number): Indicator {
  const change = (bars: readonly Bar[], at: number) => closeOf(bars, at) - closeOf(bars, at - 1);
  return {
    outputs: [{ name: `RSI ${period}`, kind: "line" }],
    overlay: false,
    columns: 3,
    decimals: 2,
    extend: (bars, columns, from) =>
      eachFrom(bars, columns, from, (at) => {
        const average = (column: number, of: (change: number) => number) =>
          smoothed(valueOf(columns[column], at - 1), (i) => of(change(bars, i)), at, period, 1 / period);
        const rise = average(1, (each) => Math.max(each, 0));
        const fall = average(2, (each) => Math.max(-each, 0));
        return [Number.isNaN(rise) ? NaN : fall === 0 ? 100 : 100 - 100 / (1 + rise / fall), rise, fall];
      }),
  };
}

/** The difference of two exponential averages, its own average, and how far it is from that. */
export function macd(fast: number, slow: number, signal: number): Indicator {
  return {
    outputs: [
      { name: `MACD ${fast} ${slow} ${signal}`, kind: "line" },
      { name: "signal", kind: "line" },
      { name: "histogram", kind: "histogram" },
    ],
    overlay: false,
    columns: 5,
    extend: (bars, columns, from) =>
      eachFrom(bars, columns, from, (at) => {
        const average = (column: number, period: number) =>
          smoothed(valueOf(columns[column], at - 1), (i) => closeOf(bars, i), at, period, 2 / (period + 1));
        const [quick, steady] = [average(3, fast), average(4, slow)];
        const difference = quick - steady;
        const known = (i: number) => (i === at ? difference : valueOf(columns[0], i));
        const own = smoothed(valueOf(columns[1], at - 1), known, at, signal, 2 / (signal + 1));
        return [difference, own, difference - own, quick, steady];
      }),
  };
}

/** By Wilder: the average of the true range, which begins with the mean of ``period`` ranges. */
export function atr(period: number): Indicator {
  const range = (bars: readonly Bar[], at: number) => {
    const { high = NaN, low = NaN } = bars[at] ?? {};
    const before = at === 0 ? NaN : closeOf(bars, at - 1);
    if (Number.isNaN(before)) return high - low;
    return Math.max(high - low, Math.abs(high - before), Math.abs(low - before));
  };
  return {
    outputs: [{ name: `ATR ${period}`, kind: "line" }],
    overlay: false,
    columns: 1,
    extend: (bars, columns, from) =>
      eachFrom(bars, columns, from, (at) => [
        smoothed(valueOf(columns[0], at - 1), (i) => range(bars, i), at, period, 1 / period),
      ]),
  };
}
