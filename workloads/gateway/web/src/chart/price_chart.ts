// One chart: candles with volume in the upper pane. Others add series and panes to it.
import {
  CandlestickSeries, createChart, HistogramSeries, type IChartApi, type ISeriesApi, type MouseEventParams, PriceScaleMode,
} from "lightweight-charts";
import type { Bar, Resolution } from "../data/types";
import type { Sight } from "../deck/sights";
import type { Colors } from "../shell/theme";
import { type BarChange, firstAt } from "./bar_series";
import { type BarWindow, isOutgrown, windowAround } from "./bar_window";
import { ChartHold } from "./chart_hold";
import { candle, candleOptions, chartOptions, MARGIN_BARS, seconds, volumeColumn } from "./chart_options";
import { DrawnWindow } from "./drawn_window";
import { exposeSight } from "./exposed_state";
import { LastPrice } from "./last_price";

/** Older bars are asked for when fewer than this are left of what is in sight. */
const AHEAD_BARS = 100;

export interface ChartEvents {
  onNeedOlder: () => void;
  /** The bar under the crosshair; null beside the bars. */
  onCrosshair: (ts: number | null) => void;
  onShiftClick: (ts: number) => void;
  /** Other bars are in sight, or there are more. */
  onSight?: () => void;
}

/** What follows the bars of a chart. ``dispose`` takes it from the chart. */
export interface Layer {
  /** All bars, what has changed of them, and those of them that the chart draws. */
  apply: (bars: readonly Bar[], change: BarChange, drawn: BarWindow) => void;
  /** The chart draws others of the same bars. */
  redraw: (drawn: BarWindow) => void;
  recolor: (colors: Colors) => void;
  dispose: () => void;
}

export class PriceChart {
  readonly api: IChartApi;
  readonly candles: ISeriesApi<"Candlestick">;
  private readonly volume: ISeriesApi<"Histogram">;
  private readonly lastPrice: LastPrice;
  private readonly layers = new Set<Layer>();
  private readonly window: DrawnWindow;
  private readonly hold: ChartHold;
  private bars: readonly Bar[] = [];
  private count = 0; // of the bars when they were applied: they may have become more since
  private last = -Infinity; // the open of the last bar of the window
  private move: number | null = null;

  constructor(
    readonly container: HTMLElement,
    private colors: Colors,
    zone: string,
    private readonly events: ChartEvents,
  ) {
    this.api = createChart(container, { autoSize: true, ...chartOptions(colors, zone) });
    this.api.applyOptions({ timeScale: { rightOffset: MARGIN_BARS } });
    this.candles = this.api.addSeries(CandlestickSeries, candleOptions(colors));
    this.candles.priceScale().applyOptions({ scaleMargins: { top: 0.08, bottom: 0.24 } });
    this.lastPrice = new LastPrice(this.candles);
    this.volume = this.api.addSeries(HistogramSeries, {
      priceScaleId: "",
      priceFormat: { type: "volume" },
      lastValueVisible: false,
      priceLineVisible: false,
    });
    this.volume.priceScale().applyOptions({ scaleMargins: { top: 0.84, bottom: 0 } });
    this.window = new DrawnWindow(this.api.timeScale(), () => this.moved());
    this.hold = new ChartHold(container, () => this.lookAround());
    this.api.timeScale().subscribeVisibleLogicalRangeChange((range) => {
      if (range !== null) this.moved();
    });
    this.api.subscribeCrosshairMove((move) => events.onCrosshair(timeOf(move)));
    this.api.subscribeClick((click) => {
      const ts = timeOf(click);
      if (ts !== null && click.sourceEvent?.shiftKey === true) events.onShiftClick(ts);
    });
  }

  dispose(): void {
    if (this.move !== null) cancelAnimationFrame(this.move);
    this.hold.dispose();
    this.window.dispose();
    for (const layer of this.layers) layer.dispose();
    this.api.remove();
  }

  /** Show another series: its decimals, and no bars before they are applied. */
  begin(length: Resolution, decimals: number): void {
    this.setDecimals(decimals);
    this.api.applyOptions({ timeScale: { timeVisible: length.width_ms < 86_400_000 } });
    this.apply([], { kind: "all" });
  }

  setDecimals(decimals: number): void {
    this.candles.applyOptions({ priceFormat: { type: "price", precision: decimals, minMove: 10 ** -decimals } });
  }

  add(layer: Layer): void {
    this.layers.add(layer);
    layer.apply(this.bars, { kind: "all" }, this.window.range);
  }

  remove(layer: Layer): void {
    if (this.layers.delete(layer)) layer.dispose();
  }

  /** Draw what has changed of the bars. */
  apply(bars: readonly Bar[], change: BarChange): void {
    this.bars = bars;
    if (change.kind === "tail" && this.window.isSettled) this.follow(change);
    else if (change.kind === "older") this.takeOlder(change);
    else if (change.kind !== "none") this.replace();
    this.lookAround();
  }

  recolor(colors: Colors, zone: string): void {
    this.colors = colors;
    this.api.applyOptions(chartOptions(colors, zone));
    this.candles.applyOptions(candleOptions(colors));
    this.volume.setData(this.drawnBars.map(volumeColumn(colors)));
    this.showLastPrice();
    for (const layer of this.layers) layer.recolor(colors);
  }

  setLogarithmic(logarithmic: boolean): void {
    const mode = logarithmic ? PriceScaleMode.Logarithmic : PriceScaleMode.Normal;
    this.candles.priceScale().applyOptions({ mode });
  }

  /** Bring a range of times into sight, with room around it. */
  showRange(from: number, to: number, margin: number): void {
    const end = Math.min(firstAt(this.bars, to + margin) + 1, this.bars.length); // the library goes on to the next bar
    const sight = { from: firstAt(this.bars, from - margin), to: end };
    const { range } = this.window;
    if (sight.from < range.from || sight.to > range.to) {
      this.window.take(windowAround(sight, this.count), sight.to, () => this.draw());
      this.redrawLayers();
    }
    this.api.timeScale().setVisibleRange({ from: seconds(from - margin), to: seconds(to + margin) });
    this.window.willBeAt(sight.to - this.window.range.to);
  }

  /** Go to the last bar, and on with those that come after it. */
  showNewest(): void {
    const { window } = this;
    if (window.isEmpty) return;
    if (window.range.to === this.count) return window.scrollTo(MARGIN_BARS);
    const end = this.count + MARGIN_BARS;
    window.take(windowAround(window.sightUpTo(end), this.count), end, () => this.draw());
    this.redrawLayers();
  }

  /** What of the drawn bars is in sight; null for none. */
  get sight(): Sight | null {
    const { range, sight } = this.window;
    const first = this.bars[Math.max(range.from, Math.ceil(sight.from))];
    const last = this.bars[Math.min(range.to, Math.ceil(sight.to)) - 1];
    return first === undefined || last === undefined ? null : { from: first.ts, to: last.ts };
  }

  /** Whether the chart shows the last bar, and those that come after it. */
  get isFollowing(): boolean {
    return this.window.range.to === this.count && this.window.position > -1;
  }

  /** Where the bar that opens at a time is, in pixels, also out of sight; null without bars. */
  coordinateOf(ts: number): number | null {
    return this.window.coordinateOf(firstAt(this.bars, ts));
  }

  private get drawnBars(): readonly Bar[] {
    return this.bars.slice(this.window.range.from, this.window.range.to);
  }

  /** All bars may be others. What was in sight stays there: the end, or what is about the same time. */
  private replace(): void {
    const { window, bars } = this;
    const { position } = window;
    const reachesEnd = window.range.to === this.count;
    const hasGoneBack = (bars.at(-1)?.ts ?? -Infinity) < this.last;
    const begins = window.isEmpty || (hasGoneBack && !reachesEnd);
    const follows = begins || (reachesEnd && (hasGoneBack || position > -1));
    const end = follows ? bars.length : firstAt(bars, this.last + 1);
    const edge = end + (begins ? MARGIN_BARS : position);
    const range = windowAround(window.sightUpTo(edge), bars.length);
    // The library counts from the last bar. It does so from another one where bars come before it, or a position waits for its frame.
    const isCounted = reachesEnd && window.isSettled && (follows || end === window.range.to);
    const staysInPlace = bars.length === 0 || (isCounted && !begins && range.to === bars.length);
    this.count = bars.length;
    window.take(range, staysInPlace ? null : edge, () => this.draw());
    for (const layer of this.layers) layer.apply(bars, { kind: "all" }, range);
  }

  /** Older bars are drawn when what is in sight comes near them. */
  private takeOlder(change: BarChange & { kind: "older" }): void {
    const { window } = this;
    const { from, to } = window.range;
    window.range = { from: from + change.count, to: to + change.count };
    this.count = this.bars.length;
    const isFitted = window.isSettled && isOutgrown(window.range, window.sight, this.count) && this.fit();
    for (const layer of this.layers) layer.apply(this.bars, isFitted ? { kind: "all" } : change, window.range);
  }

  private follow(change: BarChange & { kind: "tail" }): void {
    const { window, bars } = this;
    const { from, to } = window.range;
    if (to === this.count) window.range = { from, to: bars.length };
    this.count = bars.length;
    for (let at = Math.max(change.from, from); at < window.range.to; at += 1) this.update(at, at < to - 1);
    this.last = bars[window.range.to - 1]?.ts ?? -Infinity;
    this.showLastPrice();
    for (const layer of this.layers) layer.apply(bars, change, window.range);
  }

  private update(at: number, isOlder: boolean): void {
    const bar = this.bars[at];
    if (bar === undefined) return;
    this.candles.update(candle(bar), isOlder);
    this.volume.update(volumeColumn(this.colors)(bar), isOlder);
  }

  /** Other bars are in sight. */
  private moved(): void {
    const { window } = this;
    if (!window.isEmpty && window.isSettled && window.sight.from < AHEAD_BARS) this.events.onNeedOlder();
    this.lookAround();
  }

  /** Tell what is in sight, and see to it that there are bars beside it. */
  private lookAround(): void {
    const { window } = this;
    if (!window.isSettled) return;
    exposeSight(this.container, this.sight);
    this.events.onSight?.();
    if (!window.isEmpty && isOutgrown(window.range, window.sight, this.count)) this.plan();
  }

  /** Draw the bars around what is in sight, before the next frame. */
  private plan(): void {
    this.move ??= requestAnimationFrame(() => {
      this.move = null;
      if (!this.window.isEmpty && this.window.isSettled && this.fit()) this.redrawLayers();
    });
  }

  /** Draw the bars around what is in sight, which stays where it is; returns whether they are others. */
  private fit(): boolean {
    const { window } = this;
    const { from, to } = window.range;
    const fitting = window.fitting(this.count, this.hold.isHeld);
    if (fitting.from === from && fitting.to === to) return false;
    window.take(fitting, fitting.to === to ? null : to + window.position, () => this.draw());
    return true;
  }

  private redrawLayers(): void {
    for (const layer of this.layers) layer.redraw(this.window.range);
  }

  private draw(): void {
    const bars = this.drawnBars;
    this.last = bars.at(-1)?.ts ?? -Infinity;
    this.candles.setData(bars.map(candle));
    this.volume.setData(bars.map(volumeColumn(this.colors)));
    this.showLastPrice();
  }

  private showLastPrice(): void {
    this.lastPrice.show(this.bars.at(-1), this.window.range.to === this.count, this.colors);
  }
}

const timeOf = ({ time }: MouseEventParams): number | null => (typeof time === "number" ? time * 1_000 : null);
