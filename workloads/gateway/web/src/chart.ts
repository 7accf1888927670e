// The chart: candles with volume and fills in the upper pane, the run's equity in the lower, on one time axis.
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
import { addPoint, type EquityBar } from "./equity";
import { number } from "./format";
import { MINUTE, openOf } from "./lengths";
import type { Candle, EquityPoint, Fill, Resolution } from "./types";

const UP = "#2fbf8f";
const DOWN = "#ef5b6e";
const EQUITY = "#f2a65a";
const EQUITY_RANGE = "rgba(242, 166, 90, 0.6)";
const GRID = "#171d28";
const BORDER = "#232b39";
const MUTED = "#8a94a6";
const MARGIN_BARS = 6;

const seconds = (ms: number) => Math.floor(ms / 1000) as UTCTimestamp;

/** The bar and the equity under the crosshair, or of the newest bar. */
export type LegendValues = { candle: Candle | null; equity: number | null };

/** The line of a bar's last values, and the range of a bar with several. */
interface EquitySeries {
  line: ISeriesApi<"Baseline">;
  ranges: ISeriesApi<"Candlestick">;
}

export class Chart {
  private readonly chart: IChartApi;
  private readonly candles: ISeriesApi<"Candlestick">;
  private readonly volume: ISeriesApi<"Histogram">;
  private readonly markers: ISeriesMarkersPluginApi<Time>;
  private equity: EquitySeries | null = null;
  private bars = new Map<number, Candle>();
  private first = Infinity;
  private last = -Infinity;
  private length: Resolution = MINUTE;
  private fills: Fill[] = [];
  private equityByBar = new Map<number, EquityBar>();
  private equityPoints: EquityPoint[] = [];
  private lastPoint = -Infinity;
  /** Decimals of the prices of the series that is shown. */
  decimals = 2;

  constructor(
    private readonly container: HTMLElement,
    onNeedOlder: (before: number) => void,
    private readonly onLegend: (values: LegendValues) => void,
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
      if (range !== null && range.from < 40 && this.bars.size > 0) onNeedOlder(this.first);
    });
    this.chart.subscribeCrosshairMove((move) => {
      const at = typeof move.time === "number" ? move.time * 1000 : this.last;
      this.onLegend({ candle: this.bars.get(at) ?? this.newest(), equity: this.equityByBar.get(at)?.last ?? null });
    });
    this.exposeState();
  }

  newest(): Candle | null {
    return this.bars.get(this.last) ?? null;
  }

  /** Remove all bars, before another series is loaded. */
  clear(length: Resolution, decimals: number): void {
    this.length = length;
    this.decimals = decimals;
    this.bars.clear();
    this.first = Infinity;
    this.last = -Infinity;
    this.candles.applyOptions({ priceFormat: { type: "price", precision: decimals, minMove: 10 ** -decimals } });
    this.candles.setData([]);
    this.volume.setData([]);
    this.drawRun();
  }

  /** Replace all bars; with `keepView`, show the same range as before if it still has bars. */
  load(bars: Candle[], keepView: boolean): void {
    const view = keepView ? this.chart.timeScale().getVisibleRange() : null;
    this.bars = new Map(bars.map((bar) => [bar[0], bar]));
    this.drawAll();
    const scale = this.chart.timeScale();
    // Widen few bars to fill the chart, up to a limit.
    scale.applyOptions({ barSpacing: Math.min(18, Math.max(7, scale.width() / (bars.length + 2 * MARGIN_BARS))) });
    if (view !== null && (view.to as number) * 1000 <= this.last) scale.setVisibleRange(view);
    else scale.scrollToPosition(MARGIN_BARS, false);
    this.onLegend({ candle: this.newest(), equity: null });
  }

  /** Insert older bars; the visible range stays. */
  prepend(bars: Candle[]): void {
    const newer = this.bars;
    this.bars = new Map(bars.filter((bar) => bar[0] < this.first).map((bar) => [bar[0], bar]));
    for (const [ts, bar] of newer) this.bars.set(ts, bar);
    this.drawAll();
  }

  /** Add or replace bars. */
  update(bars: Candle[]): void {
    const before = this.last;
    for (const bar of bars) {
      const late = bar[0] < this.last;
      if (late && !this.bars.has(bar[0])) continue; // older than the loaded history
      this.bars.set(bar[0], bar);
      this.first = Math.min(this.first, bar[0]);
      this.last = Math.max(this.last, bar[0]);
      this.candles.update(candle(bar), late);
      this.volume.update(volumeBar(bar), late);
    }
    if (this.last > before && this.fills.some((fill) => openOf(fill.ts, this.length) > before)) this.drawMarkers();
    this.exposeState();
  }

  /** Show a run's fills and equity; null for none. */
  showRun(run: { cash: number; fills: Fill[]; points: EquityPoint[] } | null): void {
    this.fills = run?.fills ?? [];
    this.equityPoints = run?.points ?? [];
    if (run === null) {
      if (this.equity !== null) {
        this.chart.removeSeries(this.equity.line);
        this.chart.removeSeries(this.equity.ranges);
      }
      this.equity = null;
    } else {
      this.equity ??= this.equityPane();
      this.equity.line.applyOptions({ baseValue: { type: "price", price: run.cash } });
    }
    this.drawRun();
  }

  addFills(fills: Fill[]): void {
    const last = this.fills.at(-1)?.seq ?? -1;
    const added = fills.filter((fill) => fill.seq > last);
    if (added.length === 0) return;
    this.fills.push(...added);
    this.drawMarkers();
    this.exposeState();
  }

  addEquity(points: EquityPoint[]): void {
    const last = this.equityPoints.at(-1)?.[0] ?? -1;
    for (const point of points.filter(([seq]) => seq > last)) {
      this.equityPoints.push(point);
      const at = openOf(point[1], this.length);
      if (this.equity === null || at < this.lastPoint || at < this.first) continue;
      this.lastPoint = at;
      const bar = addPoint(this.equityByBar, at, point[2]);
      this.equity.line.update({ time: seconds(at), value: bar.last });
      this.equity.ranges.update(equityRange(at, bar));
    }
    this.exposeState();
  }

  private equityPane(): EquitySeries {
    const priceFormat = { type: "custom", formatter: (value: number) => number(value, 0), minMove: 1 } as const;
    const ranges = this.chart.addSeries(
      CandlestickSeries,
      {
        wickUpColor: EQUITY_RANGE,
        wickDownColor: EQUITY_RANGE,
        borderVisible: false,
        lastValueVisible: false,
        priceLineVisible: false,
        priceFormat,
      },
      1,
    );
    const line = this.chart.addSeries(
      BaselineSeries,
      {
        topLineColor: EQUITY,
        topFillColor1: "rgba(242, 166, 90, 0.28)",
        topFillColor2: "rgba(242, 166, 90, 0.03)",
        bottomLineColor: DOWN,
        bottomFillColor1: "rgba(239, 91, 110, 0.03)",
        bottomFillColor2: "rgba(239, 91, 110, 0.25)",
        lineWidth: 2,
        priceFormat,
      },
      1,
    );
    const [upper, lower] = this.chart.panes();
    upper?.setStretchFactor(0.72);
    lower?.setStretchFactor(0.28);
    return { line, ranges };
  }

  private drawAll(): void {
    const ordered = [...this.bars.values()];
    this.first = ordered[0]?.[0] ?? Infinity;
    this.last = ordered.at(-1)?.[0] ?? -Infinity;
    this.candles.setData(ordered.map(candle));
    this.volume.setData(ordered.map(volumeBar));
    this.drawRun();
  }

  private drawRun(): void {
    this.equityByBar = new Map();
    for (const [, ts, value] of this.equityPoints) {
      const at = openOf(ts, this.length);
      if (at >= this.first && this.bars.size > 0) addPoint(this.equityByBar, at, value);
    }
    this.lastPoint = [...this.equityByBar.keys()].at(-1) ?? -Infinity;
    const bars = [...this.equityByBar];
    this.equity?.line.setData(bars.map(([at, bar]) => ({ time: seconds(at), value: bar.last })));
    this.equity?.ranges.setData(bars.map(([at, bar]) => equityRange(at, bar)));
    this.drawMarkers();
    this.exposeState();
  }

  private drawMarkers(): void {
    const markers: SeriesMarker<Time>[] = this.fills
      .filter((fill) => openOf(fill.ts, this.length) >= this.first && openOf(fill.ts, this.length) <= this.last)
      .map((fill) => ({
        time: seconds(openOf(fill.ts, this.length)),
        position: fill.side === "buy" ? "belowBar" : "aboveBar",
        shape: fill.side === "buy" ? "arrowUp" : "arrowDown",
        color: fill.side === "buy" ? "#5fe0b5" : "#ff8793",
        size: 1.2,
      }));
    this.markers.setMarkers(markers);
  }

  /** Write the chart's state to data attributes, for browser tests: a canvas can't be read. */
  private exposeState(): void {
    Object.assign(this.container.dataset, {
      bars: String(this.bars.size),
      first: Number.isFinite(this.first) ? String(this.first) : "",
      last: Number.isFinite(this.last) ? String(this.last) : "",
      close: String(this.newest()?.[4] ?? ""),
      markers: String(this.markers.markers().length),
      equity: String(this.equityByBar.size),
      lowestEquity: String([...this.equityByBar.values()].reduce((lowest, { low }) => Math.min(lowest, low), Infinity)),
    });
  }
}

const candle = ([ts, open, high, low, close]: Candle) => ({ time: seconds(ts), open, high, low, close });
const volumeBar = ([ts, open, , , close, volume]: Candle) => ({
  time: seconds(ts),
  value: volume,
  color: close >= open ? "rgba(47, 191, 143, 0.35)" : "rgba(239, 91, 110, 0.35)",
});
/** A candle without a body: only its wick, from the lowest to the highest value of the bar, is drawn. */
const equityRange = (at: number, { low, high, last }: EquityBar) => ({
  time: seconds(at),
  open: last,
  close: last,
  low,
  high,
});
