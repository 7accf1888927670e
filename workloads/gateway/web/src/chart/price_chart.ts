// One chart: candles with volume in the upper pane. Others add series and panes to it.
import {
  CandlestickSeries, createChart, HistogramSeries, type IChartApi, type ISeriesApi, type MouseEventParams, PriceScaleMode,
} from "lightweight-charts";
import type { Bar, Resolution } from "../data/types";
import type { Colors } from "../shell/theme";
import type { BarChange } from "./bar_series";
import { candle, candleOptions, chartOptions, MARGIN_BARS, seconds, volumeBar } from "./chart_options";

/** Older bars are asked for when fewer than this are left of what is in sight. */
const AHEAD_BARS = 100;

export interface ChartEvents {
  onNeedOlder: () => void;
  /** The bar under the crosshair; null beside the bars. */
  onCrosshair: (ts: number | null) => void;
  onShiftClick: (ts: number) => void;
}

/** What follows the bars of a chart. ``dispose`` takes it from the chart. */
export interface Layer {
  apply: (bars: readonly Bar[], change: BarChange) => void;
  recolor: (colors: Colors) => void;
  dispose: () => void;
}

export class PriceChart {
  readonly api: IChartApi;
  readonly candles: ISeriesApi<"Candlestick">;
  private readonly volume: ISeriesApi<"Histogram">;
  private readonly layers = new Set<Layer>();
  private bars: readonly Bar[] = [];
  private drawn = 0;

  constructor(
    readonly container: HTMLElement,
    private colors: Colors,
    zone: string,
    events: ChartEvents,
  ) {
    this.api = createChart(container, { autoSize: true, ...chartOptions(colors, zone) });
    this.api.applyOptions({ timeScale: { rightOffset: MARGIN_BARS } });
    this.candles = this.api.addSeries(CandlestickSeries, candleOptions(colors));
    this.candles.priceScale().applyOptions({ scaleMargins: { top: 0.08, bottom: 0.24 } });
    this.volume = this.api.addSeries(HistogramSeries, {
      priceScaleId: "",
      priceFormat: { type: "volume" },
      lastValueVisible: false,
      priceLineVisible: false,
    });
    this.volume.priceScale().applyOptions({ scaleMargins: { top: 0.84, bottom: 0 } });
    this.api.timeScale().subscribeVisibleLogicalRangeChange((range) => {
      if (range !== null && range.from < AHEAD_BARS && this.bars.length > 0) events.onNeedOlder();
    });
    this.api.subscribeCrosshairMove((move) => events.onCrosshair(timeOf(move)));
    this.api.subscribeClick((click) => {
      const ts = timeOf(click);
      if (ts !== null && click.sourceEvent?.shiftKey === true) events.onShiftClick(ts);
    });
  }

  dispose(): void {
    for (const layer of this.layers) layer.dispose();
    this.api.remove();
  }

  /** Show another series: its decimals, and no bars before they are applied. */
  begin(length: Resolution, decimals: number): void {
    this.setDecimals(decimals);
    this.api.applyOptions({ timeScale: { timeVisible: length.width_ms < 86_400_000 } });
    this.drawn = 0;
    this.apply([], { kind: "all" });
  }

  setDecimals(decimals: number): void {
    this.candles.applyOptions({ priceFormat: { type: "price", precision: decimals, minMove: 10 ** -decimals } });
  }

  add(layer: Layer): void {
    this.layers.add(layer);
    layer.apply(this.bars, { kind: "all" });
  }

  remove(layer: Layer): void {
    if (this.layers.delete(layer)) layer.dispose();
  }

  /** Draw what has changed of the bars. */
  apply(bars: readonly Bar[], change: BarChange): void {
    this.bars = bars;
    if (change.kind === "all") this.drawAll();
    else if (change.kind === "tail") this.drawFrom(change.from);
    for (const layer of this.layers) layer.apply(bars, change);
    this.drawn = bars.length;
  }

  recolor(colors: Colors, zone: string): void {
    this.colors = colors;
    this.api.applyOptions(chartOptions(colors, zone));
    this.candles.applyOptions(candleOptions(colors));
    this.volume.setData(this.bars.map((bar) => volumeBar(bar, colors)));
    for (const layer of this.layers) layer.recolor(colors);
  }

  setLogarithmic(logarithmic: boolean): void {
    const mode = logarithmic ? PriceScaleMode.Logarithmic : PriceScaleMode.Normal;
    this.candles.priceScale().applyOptions({ mode });
  }

  /** Show the newest bars. */
  scrollToEnd(): void {
    this.api.timeScale().scrollToPosition(MARGIN_BARS, false);
  }

  /** Bring a range of times into sight, with room around it. */
  showRange(from: number, to: number, margin: number): void {
    this.api.timeScale().setVisibleRange({ from: seconds(from - margin), to: seconds(to + margin) });
  }

  private drawAll(): void {
    this.candles.setData(this.bars.map(candle));
    this.volume.setData(this.bars.map((bar) => volumeBar(bar, this.colors)));
    if (this.drawn === 0 && this.bars.length > 0) this.scrollToEnd();
  }

  private drawFrom(from: number): void {
    for (let at = from; at < this.bars.length; at += 1) {
      const bar = this.bars[at];
      if (bar === undefined) continue;
      const isOlder = at < this.drawn - 1;
      this.candles.update(candle(bar), isOlder);
      this.volume.update(volumeBar(bar, this.colors), isOlder);
    }
  }
}

const timeOf = ({ time }: MouseEventParams): number | null => (typeof time === "number" ? time * 1_000 : null);
