// Bars of a series by UDF: those of the past, and the newest ones again and again where nothing is pushed.
import type { Connection } from "./connection";
import type { Bar } from "./library";

/** Between two requests for the newest bars; longer after requests that failed. */
export const POLL_MS = 5_000;
const POLL_MAX_MS = 60_000;

/** An answer of the route. */
export interface History {
  s: string;
  t?: number[];
  o?: number[];
  h?: number[];
  l?: number[];
  c?: number[];
  v?: number[];
  nextTime?: number;
}

export interface HistoryRequest {
  symbol: string;
  resolution: string;
  from?: number;
  to: number;
  countback?: number | undefined;
}

export async function readHistory(connection: Connection, request: HistoryRequest): Promise<History> {
  return (await connection.get("/history", { ...request })) as History;
}

export function barsOf(history: History): Bar[] {
  const { t = [], o = [], h = [], l = [], c = [], v = [] } = history;
  return t.map((seconds, n) => ({
    time: seconds * 1_000,
    open: o[n] ?? NaN,
    high: h[n] ?? NaN,
    low: l[n] ?? NaN,
    close: c[n] ?? NaN,
    volume: v[n] ?? 0,
  }));
}

/** Asks for the newest bars from ``start`` until ``stop``. */
export class HistoryPoll {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private failures = 0;

  constructor(
    private readonly connection: Connection,
    private readonly request: HistoryRequest,
    private readonly onBars: (bars: Bar[]) => void,
  ) {}

  start(): void {
    this.timer ??= setTimeout(() => void this.ask(), Math.min(POLL_MS * 2 ** this.failures, POLL_MAX_MS));
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  private async ask(): Promise<void> {
    const asked = this.timer;
    let bars: Bar[] | null = null;
    try {
      bars = barsOf(await readHistory(this.connection, this.request));
      this.failures = 0;
    } catch {
      this.failures += 1;
    }
    if (this.timer !== asked) return;
    this.timer = undefined;
    this.start();
    if (bars !== null) this.onBars(bars);
  }
}
