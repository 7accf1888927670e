// A run on a chart: its fills at their bars, and its equity in a pane below, of the bars that the chart draws. What is of a time
// without a bar is at the bar before: the library has one place for each time of any series, and the chart counts places by bars.
import {
  BaselineSeries, CandlestickSeries, createSeriesMarkers, type IChartApi, type ISeriesApi, type ISeriesMarkersPluginApi,
  type SeriesMarker, type Time,
} from "lightweight-charts";
import type { Bar, EquityPoint, Fill, Resolution } from "../data/types";
import { number } from "../format";
import { type Colors, faded } from "../shell/theme";
import { type BarChange, lastOpen } from "./bar_series";
import type { BarWindow } from "./bar_window";
import { seconds } from "./chart_options";
import { addPoint, type EquityBar } from "./equity";
import { openOf } from "./lengths";
import type { Layer } from "./price_chart";

/** The line of a bar's last values, and the range of a bar with several. */
interface EquitySeries {
  line: ISeriesApi<"Baseline">;
  ranges: ISeriesApi<"Candlestick">;
}

export interface ShownRun {
  cash: number;
  exchange: string;
  fills: readonly Fill[];
  equity: readonly EquityPoint[];
}

export class RunLayer implements Layer {
  private readonly markers: ISeriesMarkersPluginApi<Time>;
  private readonly series: EquitySeries | null;
  private bars: readonly Bar[] = [];
  /** The opens of the first and the last bar that is drawn. */
  private first = Infinity;
  private last = -Infinity;
  private marksLast = true; // the value at the scale is that of the last bar, or none
  private shown: ShownRun = { cash: 0, exchange: "", fills: [], equity: [] };
  /** The equity by bar, as it is drawn: that of the first ``drawnPoints`` points. */
  equity = new Map<number, EquityBar>();
  private drawnPoints = 0;
  private drawnFills = -1;

  /** ``market`` is the symbol with its exchange whose fills are shown; ``pane`` that of the equity, null where another chart has it. */
  constructor(
    private readonly chart: IChartApi,
    candles: ISeriesApi<"Candlestick">,
    private readonly length: Resolution,
    private readonly market: string,
    pane: number | null,
    private colors: Colors,
  ) {
    this.markers = createSeriesMarkers(candles, []);
    this.series = pane === null ? null : this.equityPane(pane);
    this.recolor(colors);
  }

  /** Show what a run has so far. */
  show(run: ShownRun): void {
    const { equity } = this.shown;
    const continues = run.equity.length >= equity.length && run.equity[equity.length - 1] === equity.at(-1);
    this.shown = run;
    this.series?.line.applyOptions({ baseValue: { type: "price", price: run.cash } });
    if (continues) this.continueEquity();
    else this.drawEquity();
    this.drawnFills = -1;
    this.drawMarkers();
  }

  apply(bars: readonly Bar[], change: BarChange, drawn: BarWindow): void {
    this.bars = bars;
    if (change.kind === "all") return this.redraw(drawn);
    this.take(drawn);
    if (change.kind === "tail") this.continueEquity();
    this.drawMarkers();
  }

  redraw(drawn: BarWindow): void {
    this.take(drawn);
    this.drawnFills = -1;
    this.drawEquity();
    this.drawMarkers();
  }

  recolor(colors: Colors): void {
    this.colors = colors;
    this.series?.line.applyOptions({
      topLineColor: colors.accent,
      topFillColor1: faded(colors.accent, 0.28),
      topFillColor2: faded(colors.accent, 0.03),
      bottomLineColor: colors.down,
      bottomFillColor1: faded(colors.down, 0.03),
      bottomFillColor2: faded(colors.down, 0.25),
    });
    const range = faded(colors.accent, 0.6);
    this.series?.ranges.applyOptions({ wickUpColor: range, wickDownColor: range });
    this.drawnFills = -1;
    this.drawMarkers();
  }

  dispose(): void {
    this.markers.detach();
    if (this.series === null) return;
    this.chart.removeSeries(this.series.line);
    this.chart.removeSeries(this.series.ranges);
  }

  /** The markers that are drawn, for what reads the chart's own data. */
  get markerTimes(): number[] {
    return this.markers.markers().map(({ time }) => (time as number) * 1_000);
  }

  private take({ from, to }: BarWindow): void {
    this.first = this.bars[from]?.ts ?? Infinity;
    this.last = this.bars[to - 1]?.ts ?? -Infinity;
    if ((to === this.bars.length) === this.marksLast) return;
    this.marksLast = !this.marksLast;
    this.series?.line.applyOptions({ lastValueVisible: this.marksLast });
  }

  private equityPane(pane: number): EquitySeries {
    const priceFormat = { type: "custom", formatter: (value: number) => number(value, 0), minMove: 1 } as const;
    const plain = { lastValueVisible: false, priceLineVisible: false, priceFormat };
    const ranges = this.chart.addSeries(CandlestickSeries, { ...plain, borderVisible: false }, pane);
    const line = this.chart.addSeries(BaselineSeries, { lineWidth: 2, priceFormat }, pane);
    return { line, ranges };
  }

  private drawEquity(): void {
    this.equity = new Map();
    this.drawnPoints = 0;
    this.series?.line.setData([]);
    this.series?.ranges.setData([]);
    this.takePoints();
    const bars = [...this.equity];
    this.series?.line.setData(bars.map(equityPoint));
    this.series?.ranges.setData(bars.map(equityRange));
  }

  /** Draw the points that follow those which are drawn, up to the last bar that is. */
  private continueEquity(): void {
    for (const each of this.takePoints()) {
      this.series?.line.update(equityPoint(each));
      this.series?.ranges.update(equityRange(each));
    }
  }

  /** Take the points up to the last bar that is drawn; returns the bars that they changed. */
  private takePoints(): Map<number, EquityBar> {
    const { first, last } = this;
    const changed = new Map<number, EquityBar>();
    for (; this.drawnPoints < this.shown.equity.length; this.drawnPoints += 1) {
      const [, ts, value] = this.shown.equity[this.drawnPoints] as EquityPoint;
      const opened = openOf(ts, this.length);
      if (opened > last) break;
      const at = opened < first ? undefined : lastOpen(this.bars, opened);
      if (at !== undefined) changed.set(at, addPoint(this.equity, at, value));
    }
    return changed;
  }

  private drawMarkers(): void {
    const { up, down } = this.colors;
    const { exchange } = this.shown;
    const fills = this.shown.fills
      .filter(({ symbol }) => `${exchange}:${symbol}` === this.market)
      .map((fill) => ({ ...fill, opened: openOf(fill.ts, this.length) }))
      .filter(({ opened }) => opened >= this.first && opened <= this.last);
    if (fills.length === this.drawnFills) return;
    this.drawnFills = fills.length;
    const markers = fills.map(
      ({ opened, side, size, price, seq }): SeriesMarker<Time> => ({
        time: seconds(lastOpen(this.bars, opened) ?? opened),
        id: `fill ${seq}: ${side} ${size} at ${price}`,
        position: side === "buy" ? "belowBar" : "aboveBar",
        shape: side === "buy" ? "arrowUp" : "arrowDown",
        color: side === "buy" ? up : down,
        size: 1.2,
      }),
    );
    this.markers.setMarkers(markers.sort((one, other) => (one.time as number) - (other.time as number)));
  }
}

const equityPoint = ([at, { last }]: [number, EquityBar]) => ({ time: seconds(at), value: last });
/** A candle without a body: only its wick, from the lowest to the highest value of the bar, is drawn. */
const equityRange = ([at, { low, high, last }]: [number, EquityBar]) => ({
  time: seconds(at), open: last, close: last, low, high,
});
