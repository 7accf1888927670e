// The indicators that people can add, and how one is written in an address: sma:20, bb:20:2.
import { bollinger, ema, sma, vwap } from "./averages";
import type { Indicator } from "./indicator";
import { atr, macd, rsi } from "./oscillators";

export interface Param {
  name: string;
  default: number;
  min: number;
  max: number;
  /** Whether it may have decimals. */
  fractional?: boolean;
}

interface Entry {
  label: string;
  params: readonly Param[];
  make: (values: number[]) => Indicator;
}

const period = (count: number, name = "Period"): Param => ({ name, default: count, min: 1, max: 1_000 });

export const CATALOGUE: Readonly<Record<string, Entry>> = {
  sma: { label: "Moving average (SMA)", params: [period(20)], make: ([count = 20]) => sma(count) },
  ema: { label: "Exponential average (EMA)", params: [period(20)], make: ([count = 20]) => ema(count) },
  bb: {
    label: "Bollinger bands",
    params: [period(20), { name: "Deviations", default: 2, min: 0.1, max: 10, fractional: true }],
    make: ([count = 20, width = 2]) => bollinger(count, width),
  },
  vwap: { label: "VWAP (since midnight UTC)", params: [], make: () => vwap() },
  rsi: { label: "RSI", params: [period(14)], make: ([count = 14]) => rsi(count) },
  macd: {
    label: "MACD",
    params: [period(12, "Fast"), period(26, "Slow"), period(9, "Signal")],
    make: ([fast = 12, slow = 26, signal = 9]) => macd(fast, slow, signal),
  },
  atr: { label: "ATR", params: [period(14)], make: ([count = 14]) => atr(count) },
};

/** An indicator that somebody has added: one of the catalogue with its params, or a transform of the server. */
export type Added = { kind: string; values: number[] } | { kind: "transform"; series: string; overlay: boolean };

const TRANSFORM = /^@([a-z][a-z0-9_]{0,39})(:pane)?$/;

/** Those of an address; what it has no meaning for is left out. */
export function parseIndicators(text: string | null): Added[] {
  return (text ?? "").split(",").flatMap((each): Added[] => {
    const [, series, pane] = TRANSFORM.exec(each) ?? [];
    if (series !== undefined) return [{ kind: "transform", series, overlay: pane === undefined }];
    const [kind = "", ...written] = each.split(":");
    const entry = Object.hasOwn(CATALOGUE, kind) ? CATALOGUE[kind] : undefined;
    return entry === undefined ? [] : [{ kind, values: valuesOf(entry.params, written.map(Number)) }];
  });
}

export const formatIndicators = (added: readonly Added[]): string => added.map(formatOne).join(",");

export const formatOne = (each: Added): string =>
  "series" in each ? `@${each.series}${each.overlay ? "" : ":pane"}` : [each.kind, ...each.values].join(":");

/** The values of params, within their limits; the default of one that is missing or none. */
export function valuesOf(params: readonly Param[], given: readonly number[]): number[] {
  return params.map((param, n) => {
    const value = given[n];
    if (value === undefined || !Number.isFinite(value)) return param.default;
    const within = Math.min(param.max, Math.max(param.min, value));
    return param.fractional === true ? within : Math.round(within);
  });
}
