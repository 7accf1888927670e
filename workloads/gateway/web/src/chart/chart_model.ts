// One chart of the Deck: its bars, and the indicators, the run and the drawings on them.
import { signal } from "@preact/signals";
import { get, messageOf } from "../data/request";
import type { Bar, Resolution, SymbolInfo } from "../data/types";
import { marketOf } from "../deck/defaults";
import type { Sight } from "../deck/sights";
import { decimalsOf, decimalsOfPrices, PRICE_DECIMALS } from "../format";
import { type Added, CATALOGUE, formatOne } from "../indicators/catalogue";
import { IndicatorLayer } from "../indicators/indicator_layer";
import { TransformFeed, transformIndicator } from "../indicators/transform";
import type { DrawnTrade } from "../run/open_trade";
import type { Colors } from "../shell/theme";
import { BarFeed } from "./bar_feed";
import type { BarChange } from "./bar_series";
import { exposeState } from "./exposed_state";
import { FrameBatch } from "./frame_batch";
import { HoleLayer } from "./hole_layer";
import { closeOf, shownResolution } from "./lengths";
import { type ChartEvents, PriceChart } from "./price_chart";
import { RunLayer, type ShownRun } from "./run_layer";
import { hasKnownHours, parseSession } from "./session";
import { TradeLayer } from "./trade_layer";

/** Between two requests for a series that could not be had. */
const RETRY_MS = 3_000;
/** The newest bars that tell the decimals of prices, as many as the gateway takes. */
const SAMPLED_BARS = 200;
/** At least so many bars are in sight before and after a trade. */
const AROUND_TRADE_BARS = 20;
/** A range of more bars, of which an address may have any, is not brought into sight: all of them would be loaded. */
const MAX_SIGHT_BARS = 20_000;

/** ``refused``: the gateway serves no bars of the series. */
export type ChartState = "none" | "loading" | "ready" | "unreachable" | "refused";

export interface ShownSeries {
  symbol: string;
  length: Resolution;
  decimals: number;
  info: SymbolInfo;
}

export interface ChartModelEvents extends Omit<ChartEvents, "onNeedOlder" | "onSight"> {
  onBar: (symbol: string, bar: Bar, closes: number) => void;
  onReset: () => void;
}

/** A trade, and the exchange of its run. */
export interface ShownTrade {
  exchange: string;
  trade: DrawnTrade;
}

export class ChartModel {
  readonly chart: PriceChart;
  readonly shown = signal<ShownSeries | null>(null);
  readonly state = signal<ChartState>("none");
  readonly error = signal<string | null>(null);
  /** Whether the last bar is out of sight, and bars that come are, too. */
  readonly isOffTip = signal(false);
  /** The open of the last bar in sight where the newest is not; null where it is. */
  readonly lastInSight = signal<number | null>(null);
  /** Counts drawings, for what is shown of the last bar. */
  readonly drawn = signal(0);
  indicators: IndicatorLayer[] = [];
  run: RunLayer | null = null;
  trade: TradeLayer | null = null;
  holes: HoleLayer | null = null;
  private feed: BarFeed | null = null;
  private transforms: TransformFeed[] = [];
  private added: readonly Added[] = [];
  private shownRun: { run: ShownRun; withEquity: boolean } | null = null;
  private shownTrade: ShownTrade | null = null;
  private wantedSight: Sight | null = null;
  // What is to be brought into sight when its bars are loaded: a wanted range, or where there is none a trade.
  private soughtSight: Sight | null = null;
  private sought: DrawnTrade | null = null;
  private wanted = ""; // the series that was asked for
  private newest = -Infinity; // the open of the last bar that was given
  private retry: ReturnType<typeof setTimeout> | undefined;
  private readonly batch = new FrameBatch((change) => this.draw(change));

  constructor(
    container: HTMLElement,
    private colors: Colors,
    zone: string,
    private readonly events: ChartModelEvents,
  ) {
    this.chart = new PriceChart(container, colors, zone, {
      ...events,
      onNeedOlder: () => void this.feed?.loadOlder(),
      onSight: () => {
        this.isOffTip.value = this.bars.length > 0 && !this.chart.isFollowing;
        this.lastInSight.value = this.isOffTip.value ? (this.chart.sight?.to ?? null) : null;
      },
    });
  }

  get bars(): readonly Bar[] {
    return this.feed?.series.bars ?? [];
  }

  /** The bar that opens at a time, or the last before it; before the first one that. */
  barAt(ts: number): Bar | undefined {
    const { series } = this.feed ?? {};
    return series?.bars[Math.max(0, series.indexAt(ts + 1) - 1)];
  }

  dispose(): void {
    this.stop();
    this.chart.dispose();
  }

  /** Show a series with bars of the wanted length, or the shortest that it has; an empty symbol shows nothing. */
  async select(symbol: string, wanted: Resolution, known: readonly Resolution[]): Promise<void> {
    const key = `${symbol} ${wanted.interval}`;
    if (key === this.wanted) return;
    const isUnreachable = this.state.peek() === "unreachable";
    this.stop();
    this.wanted = key;
    this.state.value = symbol === "" ? "none" : isUnreachable ? "unreachable" : "loading";
    if (symbol === "") return;
    try {
      const info = await get<SymbolInfo>("/symbols", { symbol });
      if (key === this.wanted) this.begin(symbol, info, shownResolution(wanted, info.supported_resolutions, [...known]));
    } catch (error) {
      if (key !== this.wanted) return;
      this.fail(error);
      this.retry = setTimeout(() => {
        this.wanted = "";
        void this.select(symbol, wanted, known);
      }, RETRY_MS);
    }
  }

  setIndicators(added: readonly Added[]): void {
    if (added.map(formatOne).join() === this.added.map(formatOne).join()) return;
    this.added = added;
    if (this.shown.value !== null) this.addLayers();
  }

  /** Show a run; null for none. Its equity is drawn by one chart alone. */
  setRun(run: ShownRun | null, withEquity: boolean): void {
    const isOther = (run === null) !== (this.shownRun === null) || this.shownRun?.withEquity !== withEquity;
    this.shownRun = run === null ? null : { run, withEquity };
    if (this.shown.value === null) return;
    if (isOther) this.addLayers();
    else if (run !== null) this.run?.show(run);
    this.expose();
  }

  /** Bring a range of times into sight, of each series that is shown from now on, in place of a trade; null for none. */
  setSight(sight: Sight | null): void {
    if (sight?.from === this.wantedSight?.from && sight?.to === this.wantedSight?.to) return;
    this.wantedSight = sight;
    this.soughtSight = sight;
    if (sight !== null) this.sought = null;
    this.showSought();
  }

  /** Show a trade of the run, and bring it into sight; null for none. */
  setTrade(shown: ShownTrade | null): void {
    if (shown?.trade === this.shownTrade?.trade && shown?.exchange === this.shownTrade?.exchange) return;
    this.shownTrade = shown;
    this.sought = this.wantedSight === null ? (shown?.trade ?? null) : null;
    if (this.shown.value === null) return;
    this.addLayers();
    this.showSought();
  }

  /** Go to the last bar, in place of what is sought. */
  showNewest(): void {
    this.soughtSight = null;
    this.sought = null;
    this.chart.showNewest();
  }

  recolor(colors: Colors, zone: string): void {
    this.colors = colors;
    this.chart.recolor(colors, zone);
  }

  private begin(symbol: string, info: SymbolInfo, length: Resolution): void {
    this.error.value = null;
    const decimals = decimalsOf(1 / info.pricescale);
    this.shown.value = { symbol, length, decimals, info };
    this.soughtSight = this.wantedSight;
    this.sought = this.wantedSight === null ? (this.shownTrade?.trade ?? null) : null;
    this.chart.begin(length, decimals);
    this.addLayers();
    this.feed = new BarFeed(symbol, length, {
      onChange: (change) => {
        const last = this.bars.at(-1)?.ts ?? -Infinity;
        if (last < this.newest) this.events.onReset();
        this.newest = last;
        this.state.value = "ready";
        this.batch.add(change);
      },
      onError: (error) => this.fail(error),
      onRefused: (reason) => {
        this.error.value = reason;
        this.state.value = "refused";
      },
      onLoaded: () => {
        this.error.value = null;
        if (this.feed?.series.isComplete === true) this.showSought();
      },
    });
  }

  private stop(): void {
    this.batch.cancel();
    this.feed?.close();
    this.feed = null;
    this.newest = -Infinity;
    this.removeLayers();
    if (this.shown.value !== null) this.chart.apply([], { kind: "all" });
    this.shown.value = null;
    this.wanted = "";
    clearTimeout(this.retry);
    this.expose();
  }

  private fail(error: unknown): void {
    this.error.value = messageOf(error);
    if (this.bars.length === 0) this.state.value = "unreachable";
  }

  private draw(change: Parameters<PriceChart["apply"]>[1]): void {
    const shown = this.shown.value;
    if (shown === null) return;
    this.widenScale(shown, change);
    this.chart.apply(this.bars, change);
    const last = this.bars.at(-1);
    if (last !== undefined) this.events.onBar(shown.symbol, last, closeOf(last.ts, shown.length));
    this.drawn.value += 1;
    this.loadNeeded();
    this.showSought();
    this.expose();
  }

  /** The layers in the order of their panes: overlays, then each other indicator, then the run's equity. */
  private addLayers(): void {
    this.removeLayers();
    const shown = this.shown.value;
    if (shown === null) return;
    this.addHoles(shown);
    let panes = 1;
    this.added.forEach((each, number) => {
      const indicator = "series" in each ? this.transform(shown, each) : CATALOGUE[each.kind]?.make(each.values);
      if (indicator === undefined) return;
      const layer = new IndicatorLayer(this.chart.api, indicator, number, indicator.overlay ? 0 : panes++, shown.decimals);
      layer.recolor(this.colors);
      this.indicators.push(layer);
      this.chart.add(layer);
    });
    if (this.shownRun !== null) this.addRun(shown, this.shownRun.run, this.shownRun.withEquity ? panes++ : null);
    if (this.shownTrade !== null) this.addTrade(shown, this.shownTrade);
    this.shareHeight();
    this.loadNeeded();
    this.expose();
  }

  /** Load the bars that an indicator needs before the first one; what is under way or complete is not asked for again. */
  private loadNeeded(): void {
    if (this.indicators.some(({ indicator }) => indicator.lacksOlder?.(this.bars) === true)) void this.feed?.loadOlder();
  }

  /** Bars may use more decimals than those that the gateway has seen: a replay begins with its first bar alone. */
  private widenScale(shown: ShownSeries, change: BarChange): void {
    if (change.kind === "none" || shown.info.minmove2 > 0) return; // a scale in pips is known
    const newest = this.bars.slice(Math.max(change.kind === "tail" ? change.from : 0, this.bars.length - SAMPLED_BARS));
    const decimals = decimalsOfPrices(newest.flatMap(({ open, high, low, close }) => [open, high, low, close]));
    if (decimals <= Math.max(shown.decimals, PRICE_DECIMALS)) return;
    this.shown.value = { ...shown, decimals };
    this.chart.setDecimals(decimals);
    for (const layer of this.indicators) layer.setPriceDecimals(decimals);
  }

  private addHoles({ length, info }: ShownSeries): void {
    if (!hasKnownHours(info)) return; // each night and weekend would be marked
    const { chart } = this;
    const placeBefore = (ts: number) => {
      const middle = chart.coordinateOf(ts);
      return middle === null ? null : middle - chart.api.timeScale().options().barSpacing / 2;
    };
    this.holes = new HoleLayer(chart.candles, length, parseSession(info.session, info.timezone), placeBefore, this.colors);
    chart.add(this.holes);
  }

  private addRun(shown: ShownSeries, run: ShownRun, pane: number | null): void {
    this.run = new RunLayer(this.chart.api, this.chart.candles, shown.length, marketOf(shown.symbol), pane, this.colors);
    this.chart.add(this.run);
    this.run.show(run);
  }

  private addTrade(shown: ShownSeries, { exchange, trade }: ShownTrade): void {
    if (`${exchange}:${trade.symbol}` !== marketOf(shown.symbol)) return;
    this.trade = new TradeLayer(this.chart.api, trade, shown.length, this.colors);
    this.chart.add(this.trade);
  }

  /** What is loaded and not drawn is not the chart's yet: its next drawing looks for it again. */
  private showSought(): void {
    if (this.batch.isWaiting) return;
    if (this.soughtSight === null) this.showTrade();
    else this.showSight(this.soughtSight);
  }

  /** Bring the range into sight, once its bars are loaded. A chart that nobody has moved waits until they are played. */
  private showSight({ from, to }: Sight): void {
    const [shown, first, last] = [this.shown.peek(), this.bars[0], this.bars.at(-1)];
    if (shown === null || first === undefined || last === undefined) return;
    if (to - from > MAX_SIGHT_BARS * shown.length.width_ms) return void (this.soughtSight = null);
    if (first.ts > from && this.feed?.series.isComplete === false) return void this.feed.loadOlder();
    const isPlayed = closeOf(last.ts, shown.length) > to;
    if (!isPlayed && this.chart.isFollowing) return;
    this.soughtSight = null;
    if (isPlayed) this.chart.showRange(from, to, 0);
  }

  /** Bring the trade into sight, once the bars from its entry on are loaded. */
  private showTrade(): void {
    const [trade, shown, first] = [this.sought, this.shown.peek(), this.bars[0]];
    if (trade === null || this.trade === null || shown === null || first === undefined) return;
    const { entry_ts } = trade;
    const exit_ts = trade.exit_ts ?? entry_ts;
    if (first.ts >= entry_ts && this.feed?.series.isComplete === false) return void this.feed.loadOlder();
    this.sought = null;
    const margin = Math.max(AROUND_TRADE_BARS * shown.length.width_ms, (exit_ts - entry_ts) / 2);
    this.chart.showRange(entry_ts, exit_ts, margin);
  }

  private transform(shown: ShownSeries, { series, overlay }: { series: string; overlay: boolean }) {
    const feed = new TransformFeed(shown.symbol, series, shown.length, {
      onChange: (from) => {
        const at = this.feed?.series.indexAt(from) ?? 0;
        this.batch.add(from === -Infinity ? { kind: "all" } : { kind: "tail", from: Math.max(0, at - 1) });
      },
      onError: (error) => this.fail(error),
      onLoaded: () => (this.error.value = null),
    });
    this.transforms.push(feed);
    return transformIndicator(feed, series, overlay, shown.length);
  }

  private removeLayers(): void {
    for (const feed of this.transforms) feed.close();
    for (const layer of [...this.indicators, this.run, this.trade, this.holes]) if (layer !== null) this.chart.remove(layer);
    this.transforms = [];
    this.indicators = [];
    this.run = null;
    this.trade = null;
    this.holes = null;
  }

  private shareHeight(): void {
    const panes = this.chart.api.panes();
    panes.forEach((pane, n) => pane.setStretchFactor(n === 0 ? 3 : 1));
  }

  private expose(): void {
    exposeState(this.chart.container, this.bars, this.indicators, this.run, this.trade, this.holes);
  }
}
