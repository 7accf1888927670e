// Results of a transform of the server, as an indicator: each bar has the last result within it.
import { type Message, subscribe } from "../data/gateway_socket";
import { get } from "../data/request";
import type { Bar, Resolution } from "../data/types";
import { barsOf, type History } from "../chart/bar_feed";
import { closeOf } from "../chart/lengths";
import { eachFrom, type Indicator } from "./indicator";

const SNAPSHOT_POINTS = 1_000;
const HISTORY_POINTS = 5_000;
const MAX_SECONDS = 253_402_300_799;
/** Between two requests for older results that could not be had. */
const RETRY_MS = 3_000;

interface Point {
  ts: number;
  value: number | null;
}

/** ``onChange`` has the first time that changed; ``onLoaded``: older results were loaded, perhaps after an error. */
interface TransformFeedEvents {
  onChange: (from: number) => void;
  onError: (error: unknown) => void;
  onLoaded: () => void;
}

/** The results of one transform by time. */
export class TransformFeed {
  private readonly values = new Map<number, number>();
  private sorted: number[] | null = null;
  private readonly end: () => void;
  private generation = 0;
  private closed = false;
  private retry: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly symbol: string,
    private readonly transform: string,
    private readonly length: Resolution,
    private readonly events: TransformFeedEvents,
  ) {
    const request = { channel: "points" as const, symbol, series: transform, snapshot: SNAPSHOT_POINTS };
    this.end = subscribe(request, (message) => this.receive(message));
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.retry);
    this.end();
  }

  /** The last result in [from, to); NaN without one. */
  within(from: number, to: number): number {
    const times = this.times();
    let [low, high] = [0, times.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((times[middle] ?? 0) < to) low = middle + 1;
      else high = middle;
    }
    const last = times[low - 1];
    return last === undefined || last < from ? NaN : (this.values.get(last) ?? NaN);
  }

  private receive(message: Message): void {
    if (message.type === "reset") this.clear();
    else if (message.type === "points") this.take(message);
  }

  private clear(): void {
    this.values.clear();
    this.sorted = null;
    this.generation += 1;
    clearTimeout(this.retry);
    this.events.onChange(-Infinity);
  }

  /** Results that continue those that there are. A snapshot replaces them: what was missed before it may have ended them. */
  private take(message: Message): void {
    const points = (message["points"] as Point[] | undefined) ?? [];
    const isSnapshot = message["snapshot"] === true;
    if (isSnapshot) this.clear();
    for (const { ts, value } of points) this.set(ts, value);
    if (isSnapshot) void this.loadOlder(points[0]?.ts ?? null);
    else if (points.length > 0) this.events.onChange(points.reduce((least, { ts }) => Math.min(least, ts), Infinity));
  }

  /** Most results are of a later time than all before: the order of times then only grows. */
  private set(ts: number, value: number | null): void {
    if (value !== null && this.sorted !== null && ts > (this.sorted.at(-1) ?? -Infinity)) this.sorted.push(ts);
    else if (value === null || !this.values.has(ts)) this.sorted = null;
    if (value === null) this.values.delete(ts);
    else this.values.set(ts, value);
  }

  /** What the store has before the snapshot. */
  private async loadOlder(before: number | null): Promise<void> {
    const { generation } = this;
    const to = before === null ? MAX_SECONDS : before / 1_000;
    const symbol = `${this.symbol}@${this.transform}`;
    try {
      const query = { symbol, resolution: this.length.resolution, to, countback: HISTORY_POINTS };
      const found = barsOf(await get<History>("/history", query));
      if (this.closed || generation !== this.generation) return;
      for (const { ts, close } of found) if (!this.values.has(ts)) this.values.set(ts, close);
      this.sorted = null;
      this.events.onChange(-Infinity);
      this.events.onLoaded();
    } catch (error) {
      if (this.closed || generation !== this.generation) return;
      this.events.onError(error);
      this.retry = setTimeout(() => void this.loadOlder(before), RETRY_MS);
    }
  }

  private times(): number[] {
    this.sorted ??= [...this.values.keys()].sort((one, other) => one - other);
    return this.sorted;
  }
}

export function transformIndicator(feed: TransformFeed, name: string, overlay: boolean, length: Resolution): Indicator {
  return {
    outputs: [{ name, kind: "line" }],
    overlay,
    columns: 1,
    extend: (bars: readonly Bar[], columns, from) =>
      eachFrom(bars, columns, from, (at) => {
        const opened = bars[at]?.ts ?? 0;
        return [feed.within(opened, bars[at + 1]?.ts ?? closeOf(opened, length))];
      }),
  };
}
