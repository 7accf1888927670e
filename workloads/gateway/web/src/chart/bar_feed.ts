// Keeps the bars of one chart: a snapshot and changes by the WebSocket, older bars by history. A series that is not pushed is
// polled from history.
import { type Message, subscribe } from "../data/gateway_socket";
import { get } from "../data/request";
import type { Bar, Resolution } from "../data/types";
import { type BarChange, BarSeries } from "./bar_series";

/** The bars that a chart begins with, and those of one request of history. */
export const SNAPSHOT_BARS = 1_000;
export const PAGE_BARS = 5_000;
/** With fewer bars than this, older ones are loaded without being asked for. */
const ENOUGH_BARS = 300;
/** Between two requests for older bars that could not be had. */
const RETRY_MS = 3_000;
/** Between two requests for the newest bars of a series that is not pushed. */
const POLL_MS = 5_000;
/** The last second that the gateway accepts as a time: the end of the year 9999. */
const MAX_SECONDS = 253_402_300_799;

export type History =
  | { s: "ok"; t: number[]; o: number[]; h: number[]; l: number[]; c: number[]; v: number[] }
  | { s: "no_data"; nextTime?: number };

export interface BarFeedEvents {
  onChange: (change: BarChange) => void;
  onError: (error: unknown) => void;
  /** Bars were loaded, perhaps after an error. */
  onLoaded: () => void;
  /** The series is not pushed, and the history has nothing of it either. */
  onRefused: (reason: string) => void;
}

/** ``symbol`` is as the gateway's routes take it. The feed ends by ``close``. */
export class BarFeed {
  readonly series = new BarSeries();
  /** Whether the gateway has said what there is. */
  isReady = false;
  private readonly end: () => void;
  private loading: number | null = null; // the generation that older bars are being loaded for
  private closed = false;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private isPolled = false;
  private poll: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly symbol: string,
    readonly length: Resolution,
    private readonly events: BarFeedEvents,
  ) {
    const request = { channel: "bars" as const, symbol, interval: length.interval, snapshot: SNAPSHOT_BARS };
    this.end = subscribe(request, (message) => this.receive(message), (reason) => this.beginPolling(reason));
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.retry);
    this.endPolling();
    this.end();
  }

  /** Load the bars before the first one, unless that is under way or there are none. */
  async loadOlder(): Promise<void> {
    const { series } = this;
    const { generation } = series;
    if (this.closed || !this.isReady || series.isComplete || this.loading === generation) return;
    this.loading = generation;
    const to = series.first === null ? MAX_SECONDS : series.first / 1_000;
    let bars: Bar[];
    try {
      bars = await this.history(to, PAGE_BARS);
    } catch (error) {
      if (this.closed || generation !== series.generation) return;
      this.events.onError(error);
      this.retry = setTimeout(() => void this.loadOlder(), RETRY_MS);
      return;
    } finally {
      if (this.loading === generation) this.loading = null;
    }
    if (this.closed) return;
    this.changed(series.addOlder(bars, generation)); // what fails here is no failed request
    this.events.onLoaded();
  }

  /** The last ``countback`` bars before a time, seconds. */
  private async history(to: number, countback: number): Promise<Bar[]> {
    const query = { symbol: this.symbol, resolution: this.length.resolution, to, countback };
    return barsOf(await get<History>("/history", query));
  }

  private receive(message: Message): void {
    const bars = (message["bars"] as Bar[] | undefined) ?? [];
    this.endPolling(); // it is pushed after all
    if (message.type === "reset") this.changed(this.series.reset());
    else if (message.type === "revise") this.changed(this.series.revise(bars));
    else if (message.type === "bars" && message["snapshot"] === true) this.begin(bars);
    else if (message.type === "bars") this.changed(this.series.push(bars));
  }

  /** Show a snapshot, also one without bars: the chart is no longer being loaded. What was loaded before it is loaded again. */
  private begin(bars: Bar[]): void {
    const before = this.series.first ?? Infinity;
    this.isReady = true;
    this.changed(this.series.snapshot(bars));
    if (bars.length < ENOUGH_BARS || before < (this.series.first ?? Infinity)) void this.loadOlder();
  }

  private beginPolling(reason: string): void {
    if (this.isPolled || this.closed) return;
    this.isPolled = true;
    void this.loadNewest(reason);
  }

  private endPolling(): void {
    this.isPolled = false;
    clearTimeout(this.poll);
  }

  private async loadNewest(reason: string): Promise<void> {
    let bars: Bar[] | null = null;
    try {
      bars = await this.history(MAX_SECONDS, SNAPSHOT_BARS);
    } catch (error) {
      if (!this.isPolled) return;
      if (this.series.bars.length > 0) this.events.onError(error);
      else this.events.onRefused(reason);
    }
    if (!this.isPolled) return;
    this.poll = setTimeout(() => void this.loadNewest(reason), POLL_MS);
    if (bars === null) return;
    this.takeNewest(bars);
    if (bars.length > 0) this.events.onLoaded();
    else this.events.onRefused(reason);
  }

  /** Bars that continue those that there are are added to them; others replace them. */
  private takeNewest(bars: Bar[]): void {
    const [last, first, newest] = [this.series.last, bars[0], bars.at(-1)];
    const continues = last !== null && first !== undefined && newest !== undefined && first.ts <= last.ts && newest.ts >= last.ts;
    if (continues) this.changed(this.series.push(bars));
    else if (bars.length > 0 || last !== null) this.begin(bars);
  }

  private changed(change: BarChange): void {
    if (change.kind !== "none") this.events.onChange(change);
  }
}

/** The bars of a UDF history, whose times are seconds. */
export function barsOf(history: History): Bar[] {
  if (history.s === "no_data") return [];
  const { t, o, h, l, c, v } = history;
  return t.map((seconds, n) => ({
    ts: seconds * 1_000,
    open: o[n] ?? 0,
    high: h[n] ?? 0,
    low: l[n] ?? 0,
    close: c[n] ?? 0,
    volume: v[n] ?? 0,
    closed: true,
  }));
}
