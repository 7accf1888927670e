// A plot of uPlot that fills the width of its place, with a text alternative.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { number, time } from "../format";
import { whenResized } from "../shell/resized";
import type { Colors } from "../shell/theme";
import { duration } from "./lengths_of_time";
import "uplot/dist/uPlot.min.css";

export type PlotOptions = Omit<uPlot.Options, "width" | "height">;

/** Room at the right for half of a date below the last tick. */
const ROOM: uPlot.Padding = [null, 40, null, null];

/** The same objects draw nothing new: keep `options` and `data` while they mean the same. */
export function Plot(props: { options: PlotOptions; data: uPlot.AlignedData; height: number; label: string }) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const drawn = useRef<uPlot.AlignedData | null>(null);
  useEffect(() => {
    const parent = place.current;
    if (parent === null) return;
    const size = () => ({ width: Math.max(parent.clientWidth, 120), height: props.height });
    const made = new uPlot({ padding: ROOM, ...props.options, ...size() }, props.data, parent);
    [plot.current, drawn.current] = [made, props.data];
    const end = whenResized([parent], () => made.setSize(size()));
    return () => {
      end();
      made.destroy();
      plot.current = null;
    };
  }, [props.options, props.height]);
  useEffect(() => {
    if (plot.current === null || drawn.current === props.data) return;
    drawn.current = props.data;
    plot.current.setData(props.data);
  }, [props.data]);
  return <div class="plot" ref={place} role="img" aria-label={props.label} />;
}

/** Times are milliseconds UTC. */
export const UTC: Pick<uPlot.Options, "ms" | "tzDate"> = {
  ms: 1,
  tzDate: (ts) => uPlot.tzDate(new Date(ts), "Etc/UTC"),
};

const axis = (scheme: Colors): uPlot.Axis => ({
  stroke: scheme.muted,
  grid: { stroke: scheme.grid, width: 1 },
  ticks: { stroke: scheme.grid, width: 1 },
});

const DAY_MS = 86_400_000;

/** Ticks of time on a clock of 24 hours: the date where a day begins, else hours and minutes. */
export function tickTexts(ticks: readonly number[], step: number): string[] {
  return ticks.map((ts) => {
    const text = new Date(ts).toISOString();
    return step >= DAY_MS || ts % DAY_MS === 0 ? text.slice(0, 10) : text.slice(11, step < 60_000 ? 19 : 16);
  });
}

/** Ticks of an amount, with as many decimals as tell two of them apart. */
export const amountTexts = (ticks: readonly number[], step: number): string[] =>
  ticks.map((tick) => number(tick, Math.max(0, -Math.floor(Math.log10(step)))));

/** ``space`` is the least height between two ticks, in pixels. */
export const amountAxis = (scheme: Colors, unit = "", space = 30): uPlot.Axis => ({
  ...axis(scheme),
  space,
  size: 76,
  values: (_, ticks, _axis, _space, step) => amountTexts(ticks, step).map((text) => text + unit),
});

export const timeAxis = (scheme: Colors): uPlot.Axis => ({
  ...axis(scheme),
  space: 84,
  values: (_, ticks, _axis, _space, step) => tickTexts(ticks, step),
});

/** The first series of each plot. */
export const TIME: uPlot.Series = { label: "Time", value: (_, ts) => time(ts) };

/** Lengths of time in days, which a scale without a calendar divides better than milliseconds. */
export const daysOf = (ms: number): number => ms / DAY_MS;

export const lengthAxis = (scheme: Colors): uPlot.Axis => ({
  ...axis(scheme),
  space: 84,
  values: (_, ticks, _axis, _space, step) => amountTexts(ticks, step).map((text) => `${text} d`),
});

/** The first series of a plot by the days since a start. */
export const SINCE_START: uPlot.Series = { label: "Since start", value: (_, days) => duration(days * DAY_MS) };
