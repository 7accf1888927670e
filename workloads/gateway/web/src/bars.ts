// Keeps the chart equal to the gateway: subscribe, load the past, then follow; anew after each jump and reconnect.
import { END_OF_TIME, history, symbolInfo } from "./api";
import type { Chart } from "./chart";
import type { Socket } from "./socket";
import type { Candle, History } from "./types";

const LOAD = 3_000;
export const WIDTHS: Record<string, number> = {
  "1": 60_000,
  "5": 300_000,
  "15": 900_000,
  "60": 3_600_000,
  "240": 14_400_000,
  "1D": 86_400_000,
};

export class Bars {
  symbol = "";
  resolution = "1";
  private round = 0; // answers to earlier questions are not for us
  private waiting: Candle[] | null = null;
  private oldest: number | null = null;
  private looking = false;

  constructor(
    private readonly socket: Socket,
    private readonly chart: Chart,
    private readonly failed: (error: unknown) => void,
  ) {}

  async choose(symbol: string, resolution: string): Promise<void> {
    if (symbol === this.symbol && resolution === this.resolution) return;
    if (this.symbol !== "") this.socket.unsubscribe({ symbol: this.symbol, resolution: this.resolution });
    this.symbol = symbol;
    this.resolution = resolution;
    const round = ++this.round;
    this.waiting = [];
    if (symbol === "") return this.chart.clear(60_000, 2);
    try {
      const info = await symbolInfo(symbol);
      if (round !== this.round) return;
      this.chart.clear(WIDTHS[resolution] ?? 60_000, Math.round(Math.log10(info.pricescale)));
      this.socket.subscribe({ symbol, resolution });
    } catch (error) {
      if (round === this.round) {
        this.symbol = "";
        this.failed(error);
      }
    }
  }

  concerns(message: { symbol: string; resolution: string }): boolean {
    return message.symbol === this.symbol && message.resolution === this.resolution;
  }

  /** All is to be loaded: the gateway subscribed us, or what it told no longer holds. */
  async reload(keepView: boolean): Promise<void> {
    const round = ++this.round;
    this.waiting = [];
    try {
      const answer = await history(this.symbol, this.resolution, END_OF_TIME, LOAD);
      if (round !== this.round) return;
      const bars = candles(answer);
      this.oldest = bars.length < LOAD ? (bars[0]?.[0] ?? null) : null;
      this.chart.load(bars, keepView);
      this.chart.update(this.waiting);
      this.waiting = null;
    } catch (error) {
      if (round === this.round) this.failed(error);
    }
  }

  follow(bars: Candle[]): void {
    if (this.waiting === null) this.chart.update(bars);
    else this.waiting.push(...bars);
  }

  async older(before: number): Promise<void> {
    if (this.looking || this.waiting !== null || this.oldest === before) return;
    const round = this.round;
    this.looking = true;
    try {
      const bars = candles(await history(this.symbol, this.resolution, before / 1000, LOAD));
      if (round !== this.round) return;
      if (bars.length === 0) this.oldest = before;
      else this.chart.prepend(bars);
    } catch (error) {
      this.failed(error);
    } finally {
      this.looking = false;
    }
  }
}

function candles(answer: History): Candle[] {
  if (answer.s === "error") throw new Error(answer.errmsg);
  if (answer.s === "no_data") return [];
  const { t, o, h, l, c, v } = answer;
  return t.map((at, i) => [at * 1000, o[i] ?? 0, h[i] ?? 0, l[i] ?? 0, c[i] ?? 0, v[i] ?? 0, true]);
}
