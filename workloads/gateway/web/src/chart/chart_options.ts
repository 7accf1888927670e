// How charts look: options of lightweight-charts for the colours of the present scheme.
import {
  type CandlestickSeriesPartialOptions, type ChartOptions, ColorType, CrosshairMode, type DeepPartial, LineStyle, type UTCTimestamp,
} from "lightweight-charts";
import type { Bar } from "../data/types";
import { type Colors, faded } from "../shell/theme";
import { tickIn, timeIn } from "./time_zone";

/** Free bars right of the last one. */
export const MARGIN_BARS = 6;

export const seconds = (ms: number) => Math.floor(ms / 1_000) as UTCTimestamp;

/** What follows the colours and the zone. An offset of the bars is no part of it: to apply one scrolls the chart. */
export function chartOptions(colors: Colors, zone: string): DeepPartial<ChartOptions> {
  const crosshair = { color: colors.muted, style: LineStyle.Dashed, labelBackgroundColor: colors.muted };
  return {
    layout: {
      background: { type: ColorType.Solid, color: colors.ground },
      textColor: colors.muted,
      fontSize: 11,
      panes: { separatorColor: colors.line, separatorHoverColor: colors.raised, enableResize: true },
      attributionLogo: true,
    },
    grid: { vertLines: { color: colors.grid }, horzLines: { color: colors.grid } },
    crosshair: { mode: CrosshairMode.Normal, vertLine: crosshair, horzLine: crosshair },
    rightPriceScale: { borderColor: colors.line, minimumWidth: 76 },
    timeScale: {
      borderColor: colors.line,
      timeVisible: true,
      secondsVisible: false,
      tickMarkFormatter: (time: unknown) => (typeof time === "number" ? tickIn(time * 1_000, zone) : null),
    },
    localization: {
      locale: "en-US",
      timeFormatter: (time: unknown) => (typeof time === "number" ? timeIn(time * 1_000, zone) : ""),
    },
  };
}

export const candleOptions = (colors: Colors): CandlestickSeriesPartialOptions => ({
  upColor: colors.up,
  downColor: colors.down,
  borderVisible: false,
  wickUpColor: colors.up,
  wickDownColor: colors.down,
});

export const candle = ({ ts, open, high, low, close }: Bar) => ({ time: seconds(ts), open, high, low, close });

/** Makes the columns of volume of bars. */
export function volumeColumn(colors: Colors) {
  const [up, down] = [faded(colors.up, 0.35), faded(colors.down, 0.35)];
  return ({ ts, open, close, volume }: Bar) => ({ time: seconds(ts), value: volume, color: close >= open ? up : down });
}
