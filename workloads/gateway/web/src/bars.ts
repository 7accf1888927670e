// Loads a chart's bars and keeps them up to date: subscribe, load the history, then apply pushed bars.
import { history, MAX_SECONDS, symbolInfo } from "./api";
import { MINUTE, shownResolution } from "./lengths";
import type { Candle, History, Resolution, Subscription } from "./types";

/** The number of bars of one history request. */
export const PAGE_BARS = 3_000;

/** What the loader needs of a socket. */
export interface Subscriber {
  subscribe(subscription: Subscription): void;
  unsubscribe(subscription: Subscription): void;
}

/** What the loader needs of a chart. */
export interface BarChart {
  clear(length: Resolution, decimals: number): void;
  load(bars: Candle[], keepView: boolean): void;
  update(bars: Candle[]): void;
  prepend(bars: Candle[]): void;
}

export class BarLoader {
  private symbol = "";
  private wanted = ""; // the resolution that was selected
  private resolution = ""; // the one that is shown: the series may not have the selected one
  private generation = 0; // responses to requests of an earlier generation are ignored
  private pending: Candle[] | null = null; // bars that were pushed while the history is being loaded
  private oldest: number | null = null; // open time of the series' first bar, once it is known
  private loadingOlder = false;

  constructor(
    private readonly socket: Subscriber,
    private readonly chart: BarChart,
    private readonly onError: (error: unknown) => void,
    private readonly onShown: (shown: Resolution, supported: string[]) => void,
  ) {}

  /** Show a series with bars of the wanted length, or the finest that it has; an empty symbol shows nothing. */
  async select(symbol: string, wanted: Resolution, resolutions: Resolution[]): Promise<void> {
    if (symbol === this.symbol && wanted.resolution === this.wanted) return;
    if (this.resolution !== "") this.socket.unsubscribe({ symbol: this.symbol, resolution: this.resolution });
    this.symbol = symbol;
    this.wanted = wanted.resolution;
    this.resolution = "";
    const generation = ++this.generation;
    this.pending = [];
    if (symbol === "") {
      this.chart.clear(MINUTE, 2);
      return;
    }
    try {
      const info = await symbolInfo(symbol);
      if (generation !== this.generation) return;
      const shown = shownResolution(wanted, info.supported_resolutions, resolutions);
      this.resolution = shown.resolution;
      this.onShown(shown, info.supported_resolutions);
      this.chart.clear(shown, Math.round(Math.log10(info.pricescale)));
      this.socket.subscribe({ symbol, resolution: shown.resolution });
    } catch (error) {
      if (generation === this.generation) {
        this.symbol = "";
        this.onError(error);
      }
    }
  }

  /** Whether a message is about the series that is shown. */
  matches(message: { symbol: string; resolution: string }): boolean {
    return message.symbol === this.symbol && message.resolution === this.resolution;
  }

  /** Load the history again: after the gateway has confirmed a subscription, and after a reset. */
  async reload(keepView: boolean): Promise<void> {
    const generation = ++this.generation;
    this.pending = [];
    try {
      const bars = toCandles(await history(this.symbol, this.resolution, MAX_SECONDS, PAGE_BARS));
      if (generation !== this.generation) return;
      this.oldest = bars.length < PAGE_BARS ? (bars[0]?.[0] ?? null) : null;
      this.chart.load(bars, keepView);
      this.chart.update(this.pending);
      this.pending = null;
    } catch (error) {
      if (generation === this.generation) this.onError(error);
    }
  }

  /** Apply pushed bars. */
  push(bars: Candle[]): void {
    if (this.pending === null) this.chart.update(bars);
    else this.pending.push(...bars);
  }

  /** Load the bars before `before`, the open time of the oldest bar shown. */
  async loadOlder(before: number): Promise<void> {
    if (this.loadingOlder || this.pending !== null || this.oldest === before) return;
    const generation = this.generation;
    this.loadingOlder = true;
    try {
      const bars = toCandles(await history(this.symbol, this.resolution, before / 1000, PAGE_BARS));
      if (generation !== this.generation) return;
      if (bars.length === 0) this.oldest = before;
      else this.chart.prepend(bars);
    } catch (error) {
      this.onError(error);
    } finally {
      this.loadingOlder = false;
    }
  }
}

/** The bars of a UDF history, whose times are seconds. */
export function toCandles(response: History): Candle[] {
  if (response.s === "error") throw new Error(response.errmsg);
  if (response.s === "no_data") return [];
  const { t, o, h, l, c, v } = response;
  return t.map((seconds, i) => [seconds * 1000, o[i] ?? 0, h[i] ?? 0, l[i] ?? 0, c[i] ?? 0, v[i] ?? 0, true]);
}
