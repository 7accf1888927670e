// The chart: candles with volume and fills above, the run's equity below, on one time axis.
import {
  BaselineSeries,
  CandlestickSeries,
  ColorType,
  createChart,
  createSeriesMarkers,
  CrosshairMode,
  HistogramSeries,
  type IChartApi,
  type ISeriesApi,
  type ISeriesMarkersPluginApi,
  LineStyle,
  type SeriesMarker,
  type Time,
  type UTCTimestamp,
} from "lightweight-charts";
import { number } from "./format";
import type { Candle, EquityPoint, Fill } from "./types";

const UP = "#2fbf8f";
const DOWN = "#ef5b6e";
const EQUITY = "#f2a65a";
const GRID = "#171d28";
const BORDER = "#232b39";
const MUTED = "#8a94a6";
const MARGIN_BARS = 6;

const seconds = (ms: number) => Math.floor(ms / 1000) as UTCTimestamp;

/** What the legend shows of the bar under the crosshair, or of the last. */
export type Shown = { candle: Candle | null; equity: number | null };

export class Chart {
  private readonly chart: IChartApi;
  private readonly candles: ISeriesApi<"Candlestick">;
  private readonly volume: ISeriesApi<"Histogram">;
  private readonly markers: ISeriesMarkersPluginApi<Time>;
  private equity: ISeriesApi<"Baseline"> | null = null;
  private bars = new Map<number, Candle>();
  private first = Infinity;
  private last = -Infinity;
  private widthMs = 60_000;
  private fills: Fill[] = [];
  private points = new Map<number, number>();
  private rawPoints: EquityPoint[] = [];
  private lastPoint = -Infinity;

  constructor(
    private readonly container: HTMLElement,
    older: (before: number) => void,
    private readonly shown: (what: Shown) => void,
  ) {
    this.chart = createChart(container, {
      autoSize: true,
      layout: {
        background: { type: ColorType.Solid, color: "#0b0e14" },
        textColor: MUTED,
        fontFamily: getComputedStyle(document.body).fontFamily,
        fontSize: 11,
        panes: { separatorColor: BORDER, separatorHoverColor: "#2c3647", enableResize: true },
        attributionLogo: true,
      },
      grid: { vertLines: { color: GRID }, horzLines: { color: GRID } },
      crosshair: {
        mode: CrosshairMode.Normal,
        vertLine: { color: "#4a5568", style: LineStyle.Dashed, labelBackgroundColor: "#2c3647" },
        horzLine: { color: "#4a5568", style: LineStyle.Dashed, labelBackgroundColor: "#2c3647" },
      },
      rightPriceScale: { borderColor: BORDER, minimumWidth: 76 },
      timeScale: { borderColor: BORDER, timeVisible: true, secondsVisible: false, rightOffset: MARGIN_BARS, barSpacing: 7 },
      localization: { locale: "en-US" },
    });
    this.candles = this.chart.addSeries(CandlestickSeries, {
      upColor: UP,
      downColor: DOWN,
      borderVisible: false,
      wickUpColor: UP,
      wickDownColor: DOWN,
    });
    this.candles.priceScale().applyOptions({ scaleMargins: { top: 0.08, bottom: 0.24 } });
    this.volume = this.chart.addSeries(HistogramSeries, {
      priceScaleId: "",
      priceFormat: { type: "volume" },
      lastValueVisible: false,
      priceLineVisible: false,
    });
    this.volume.priceScale().applyOptions({ scaleMargins: { top: 0.84, bottom: 0 } });
    this.markers = createSeriesMarkers(this.candles, []);
    this.chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
      if (range !== null && range.from < 40 && this.bars.size > 0) older(this.first);
    });
    this.chart.subscribeCrosshairMove((move) => {
      const at = typeof move.time === "number" ? move.time * 1000 : this.last;
      this.shown({ candle: this.bars.get(at) ?? this.newest(), equity: this.points.get(at) ?? null });
    });
    this.tell();
  }

  newest(): Candle | null {
    return this.bars.get(this.last) ?? null;
  }

  /** Begin anew with another series. */
  clear(widthMs: number, decimals: number): void {
    this.widthMs = widthMs;
    this.bars.clear();
    this.first = Infinity;
    this.last = -Infinity;
    this.candles.applyOptions({ priceFormat: { type: "price", precision: decimals, minMove: 10 ** -decimals } });
    this.candles.setData([]);
    this.volume.setData([]);
    this.drawRun();
  }

  /** Replace all bars, as after a jump. */
  load(bars: Candle[], keepView: boolean): void {
    const view = keepView ? this.chart.timeScale().getVisibleRange() : null;
    this.bars = new Map(bars.map((bar) => [bar[0], bar]));
    this.drawAll();
    const scale = this.chart.timeScale();
    // Few bars fill the width too, as far as they stay slim.
    scale.applyOptions({ barSpacing: Math.min(18, Math.max(7, scale.width() / (bars.length + 2 * MARGIN_BARS))) });
    if (view !== null && (view.to as number) * 1000 <= this.last) scale.setVisibleRange(view);
    else scale.scrollToPosition(MARGIN_BARS, false);
    this.shown({ candle: this.newest(), equity: null });
  }

  /** Put older bars before those that are there; what is seen stays. */
  prepend(bars: Candle[]): void {
    const kept = this.bars;
    this.bars = new Map(bars.filter((bar) => bar[0] < this.first).map((bar) => [bar[0], bar]));
    for (const [ts, bar] of kept) this.bars.set(ts, bar);
    this.drawAll();
  }

  /** Add or correct bars as they come. */
  update(bars: Candle[]): void {
    const before = this.last;
    for (const bar of bars) {
      const behind = bar[0] < this.last;
      if (behind && !this.bars.has(bar[0])) continue; // history has what is older
      this.bars.set(bar[0], bar);
      this.first = Math.min(this.first, bar[0]);
      this.last = Math.max(this.last, bar[0]);
      this.candles.update(candle(bar), behind);
      this.volume.update(bulk(bar), behind);
    }
    if (this.last > before && this.fills.some((fill) => this.bucket(fill.ts) > before)) this.drawMarkers();
    this.tell();
  }

  /** Show a run's fills and equity; null for none. */
  showRun(run: { cash: number; fills: Fill[]; points: EquityPoint[] } | null): void {
    this.fills = run?.fills ?? [];
    this.rawPoints = run?.points ?? [];
    if (run === null) {
      if (this.equity !== null) this.chart.removeSeries(this.equity);
      this.equity = null;
    } else {
      this.equity ??= this.equityPane();
      this.equity.applyOptions({ baseValue: { type: "price", price: run.cash } });
    }
    this.drawRun();
  }

  addFills(fills: Fill[]): void {
    const known = this.fills.at(-1)?.seq ?? -1;
    const fresh = fills.filter((fill) => fill.seq > known);
    if (fresh.length === 0) return;
    this.fills.push(...fresh);
    this.drawMarkers();
    this.tell();
  }

  addEquity(points: EquityPoint[]): void {
    const known = this.rawPoints.at(-1)?.[0] ?? -1;
    for (const point of points.filter(([seq]) => seq > known)) {
      this.rawPoints.push(point);
      const at = this.bucket(point[1]);
      if (this.equity === null || at < this.lastPoint || at < this.first) continue;
      this.lastPoint = at;
      this.points.set(at, point[2]);
      this.equity.update({ time: seconds(at), value: point[2] });
    }
    this.tell();
  }

  /** Open of the bar in which something with this event time became known. */
  private bucket(ts: number): number {
    return Math.floor((ts - 1) / this.widthMs) * this.widthMs;
  }

  private equityPane(): ISeriesApi<"Baseline"> {
    const series = this.chart.addSeries(
      BaselineSeries,
      {
        topLineColor: EQUITY,
        topFillColor1: "rgba(242, 166, 90, 0.28)",
        topFillColor2: "rgba(242, 166, 90, 0.03)",
        bottomLineColor: DOWN,
        bottomFillColor1: "rgba(239, 91, 110, 0.03)",
        bottomFillColor2: "rgba(239, 91, 110, 0.25)",
        lineWidth: 2,
        priceFormat: { type: "custom", formatter: (value: number) => number(value, 0), minMove: 1 },
      },
      1,
    );
    const [above, below] = this.chart.panes();
    above?.setStretchFactor(0.72);
    below?.setStretchFactor(0.28);
    return series;
  }

  private drawAll(): void {
    const ordered = [...this.bars.values()];
    this.first = ordered[0]?.[0] ?? Infinity;
    this.last = ordered.at(-1)?.[0] ?? -Infinity;
    this.candles.setData(ordered.map(candle));
    this.volume.setData(ordered.map(bulk));
    this.drawRun();
  }

  private drawRun(): void {
    this.points = new Map();
    for (const [, ts, value] of this.rawPoints) {
      const at = this.bucket(ts);
      if (at >= this.first && this.bars.size > 0) this.points.set(at, value);
    }
    this.lastPoint = [...this.points.keys()].at(-1) ?? -Infinity;
    this.equity?.setData([...this.points].map(([ts, value]) => ({ time: seconds(ts), value })));
    this.drawMarkers();
    this.tell();
  }

  private drawMarkers(): void {
    const marks: SeriesMarker<Time>[] = this.fills
      .filter((fill) => this.bucket(fill.ts) >= this.first && this.bucket(fill.ts) <= this.last)
      .map((fill) => ({
        time: seconds(this.bucket(fill.ts)),
        position: fill.side === "buy" ? "belowBar" : "aboveBar",
        shape: fill.side === "buy" ? "arrowUp" : "arrowDown",
        color: fill.side === "buy" ? "#5fe0b5" : "#ff8793",
        size: 1.2,
      }));
    this.markers.setMarkers(marks);
  }

  /** For who can't see the canvas: tests, and whoever automates the page. */
  private tell(): void {
    Object.assign(this.container.dataset, {
      bars: String(this.bars.size),
      first: Number.isFinite(this.first) ? String(this.first) : "",
      last: Number.isFinite(this.last) ? String(this.last) : "",
      close: String(this.newest()?.[4] ?? ""),
      markers: String(this.markers.markers().length),
      equity: String(this.points.size),
    });
  }
}

const candle = ([ts, open, high, low, close]: Candle) => ({ time: seconds(ts), open, high, low, close });
const bulk = ([ts, open, , , close, volume]: Candle) => ({
  time: seconds(ts),
  value: volume,
  color: close >= open ? "rgba(47, 191, 143, 0.35)" : "rgba(239, 91, 110, 0.35)",
});
