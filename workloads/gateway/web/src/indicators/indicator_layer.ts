// An indicator on a chart: a series for each of its outputs, continued with each bar.
import {
  HistogramSeries, type IChartApi, type ISeriesApi, LineSeries, type SeriesType, type Time, type WhitespaceData,
} from "lightweight-charts";
import type { BarChange } from "../chart/bar_series";
import { seconds } from "../chart/chart_options";
import type { BarWindow } from "../chart/bar_window";
import type { Layer } from "../chart/price_chart";
import type { Bar } from "../data/types";
import { number, PRICE_DECIMALS } from "../format";
import { type ColorName, type Colors, faded } from "../shell/theme";
import { printable } from "../text";
import { type Column, emptyColumns, type Indicator } from "./indicator";

/** Of the marks of a pane's scale. */
const FINEST_DECIMALS = 8;
const LINE_COLORS: readonly ColorName[] = ["series1", "series2", "series3", "series4"];

export class IndicatorLayer implements Layer {
  private readonly series: ISeriesApi<SeriesType>[];
  private readonly columns: Column[];
  private bars: readonly Bar[] = [];
  private drawn: BarWindow = { from: 0, to: 0 };
  private marksLast = true;

  /** ``place`` chooses the first colour, ``pane`` is where it is drawn; ``priceDecimals`` is the scale of the candles. */
  constructor(
    private readonly chart: IChartApi,
    readonly indicator: Indicator,
    private readonly place: number,
    pane: number,
    private priceDecimals: number,
  ) {
    this.columns = emptyColumns(indicator);
    const common = { priceLineVisible: false, priceFormat: this.priceFormat, lastValueVisible: true };
    this.series = indicator.outputs.map(({ name, kind }) =>
      kind === "histogram"
        ? chart.addSeries(HistogramSeries, { ...common, lastValueVisible: false }, pane)
        : chart.addSeries(LineSeries, { ...common, title: printable(name), lineWidth: 1 }, pane),
    );
  }

  setPriceDecimals(decimals: number): void {
    this.priceDecimals = decimals;
    for (const series of this.series) series.applyOptions({ priceFormat: this.priceFormat });
  }

  /** A value by the scale of its pane: differences of prices have two decimals at least, and digits that tell something. */
  text(value: number): string {
    return number(value, this.decimals);
  }

  /** Older bars change values, too: an average begins with the first bar. */
  apply(bars: readonly Bar[], change: BarChange, drawn: BarWindow): void {
    this.bars = bars;
    if (change.kind === "none") return;
    this.indicator.extend(bars, this.columns, change.kind === "tail" ? change.from : 0);
    if (change.kind === "tail") this.follow(change.from, drawn);
    else this.redraw(drawn);
  }

  redraw(drawn: BarWindow): void {
    const { from, to } = (this.drawn = drawn);
    this.markLast();
    this.series.forEach((series, output) => series.setData(this.bars.slice(from, to).map((_, n) => this.point(output, from + n))));
  }

  private follow(changed: number, drawn: BarWindow): void {
    const last = this.drawn.to - 1;
    this.series.forEach((series, output) => {
      for (let at = Math.max(changed, drawn.from); at < drawn.to; at += 1) series.update(this.point(output, at), at < last);
    });
    this.drawn = drawn;
    this.markLast();
  }

  /** The value at the scale is that of the last bar, or none. */
  private markLast(): void {
    const isDrawn = this.drawn.to === this.bars.length;
    if (isDrawn === this.marksLast) return;
    this.marksLast = isDrawn;
    this.series.forEach((series, output) =>
      series.applyOptions({ lastValueVisible: isDrawn && this.indicator.outputs[output]?.kind === "line" }),
    );
  }

  recolor(colors: Colors): void {
    this.series.forEach((series, output) => series.applyOptions({ color: this.color(colors, output) }));
  }

  dispose(): void {
    for (const series of this.series) this.chart.removeSeries(series);
  }

  /** The values of a bar, by the names of the outputs. */
  valuesAt(at: number): [name: string, value: number][] {
    return this.indicator.outputs.map(({ name }, output) => [name, this.columns[output]?.[at] ?? NaN]);
  }

  /** The last time that has a value; null without one. */
  get lastTime(): number | null {
    const at = this.columns[0]?.findLastIndex((value) => !Number.isNaN(value)) ?? -1;
    return this.bars[at]?.ts ?? null;
  }

  private get decimals(): number {
    const { overlay, decimals } = this.indicator;
    return decimals ?? (overlay ? this.priceDecimals : Math.max(this.priceDecimals, PRICE_DECIMALS));
  }

  /** The scale of a pane of its own may be far below that of prices. */
  private get priceFormat() {
    const { overlay } = this.indicator;
    const minMove = 10 ** -(overlay ? this.decimals : Math.max(this.decimals, FINEST_DECIMALS));
    if (!overlay) return { type: "custom" as const, minMove, formatter: (value: number) => this.text(value) };
    return { type: "price" as const, precision: this.decimals, minMove };
  }

  private point(output: number, at: number): { time: Time; value: number } | WhitespaceData {
    const value = this.columns[output]?.[at] ?? NaN;
    const time = seconds(this.bars[at]?.ts ?? 0);
    return Number.isNaN(value) ? { time } : { time, value };
  }

  private color(colors: Colors, output: number): string {
    const name = LINE_COLORS[(this.place + output) % LINE_COLORS.length] ?? "series1";
    const isHistogram = this.indicator.outputs[output]?.kind === "histogram";
    return isHistogram ? faded(colors.muted, 0.5) : colors[name];
  }
}
