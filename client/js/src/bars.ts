// What a chart hears of one series: each bar in order and once, after the history that it has read.
import type { Bar } from "./library";
import type { Message } from "./socket";

/** Bars that wait until the chart has read its history, at most. */
const HELD_MAX = 1_000;
export const NO_BAR = -Infinity;

interface WireBar {
  ts: number;
  open: number;
  high: number;
  low: number;
  close: number;
  volume: number;
}

/**
 * ``newest`` is the time of the last bar that the chart has, NO_BAR where it has none, null until it has read its history
 * again. A chart can draw nothing before its last bar: what changes there resets it, and bars wait until it has read.
 */
export class BarListener {
  private held: Bar[] = [];
  private last: Bar | null = null;
  private begun = false;

  constructor(
    private newest: number | null,
    private readonly onTick: (bar: Bar) => void,
    private readonly onReset: () => void,
  ) {}

  receive(message: Message): void {
    const bars = ((message["bars"] as WireBar[] | undefined) ?? []).map(toBar);
    if (message.type === "reset") this.reset();
    else if (message.type === "revise") this.revise(bars);
    else if (message.type === "bars" && message["snapshot"] === true) this.restore(bars);
    else if (message.type === "bars") this.pass(bars);
  }

  /** The chart has read its history again, up to a bar at this time. */
  historyRead(newest: number): void {
    if (this.newest !== null) return;
    this.newest = newest;
    const held = this.held;
    this.held = [];
    this.pass(held);
  }

  /** The gateway's present bars: those since the chart's last one, if it is among them. */
  restore(bars: Bar[]): void {
    if (this.newest !== null && this.newest !== NO_BAR && this.hasChanged(bars, this.newest)) this.reset();
    this.begun = true;
    if (this.newest === null) this.held = [];
    this.pass(bars);
  }

  private reset(): void {
    this.newest = this.last = null;
    this.held = [];
    this.onReset();
  }

  private revise(bars: Bar[]): void {
    const newest = this.newest;
    if (newest !== null && bars.some((bar) => bar.time < newest)) this.reset();
    this.pass(bars);
  }

  /** Whether bars are missing before these, or the replay went back while nothing was heard of it. */
  private hasChanged(bars: Bar[], newest: number): boolean {
    const [first, last] = [bars.at(0), bars.at(-1)];
    if (first === undefined || last === undefined) return this.begun;
    return first.time > newest || (this.begun && last.time < newest);
  }

  private pass(bars: Bar[]): void {
    if (this.newest === null) this.held = [...this.held, ...bars].slice(-HELD_MAX);
    else bars.forEach((bar) => this.tick(bar));
  }

  private tick(bar: Bar): void {
    if (bar.time < (this.newest ?? NO_BAR) || (this.last !== null && isSame(bar, this.last))) return;
    this.last = bar;
    this.newest = bar.time;
    this.onTick(bar);
  }
}

function toBar(wire: WireBar): Bar {
  const { ts, open, high, low, close, volume } = wire;
  return { time: ts, open, high, low, close, volume };
}

function isSame(one: Bar, other: Bar): boolean {
  return (["time", "open", "high", "low", "close", "volume"] as const).every((name) => one[name] === other[name]);
}
