// The window of bars that a chart draws, and where the chart is scrolled to among all of them.
import type { ITimeScaleApi, Logical, Time } from "lightweight-charts";
import { type BarWindow, windowAround } from "./bar_window";

const NO_BARS: BarWindow = { from: 0, to: 0 };

export class DrawnWindow {
  range = NO_BARS;
  /** The library takes a position with its next frame: until then it tells the one before. */
  private wanted: number | null = null;
  private frame = 0;

  /** ``onSettled``: the library tells again where it is. */
  constructor(
    private readonly scale: ITimeScaleApi<Time>,
    private readonly onSettled: () => void,
  ) {}

  get isEmpty(): boolean {
    return this.range.to === 0;
  }

  get isSettled(): boolean {
    return this.wanted === null;
  }

  /** How many bars the right edge of the chart is right of the last bar of the window. */
  get position(): number {
    return this.wanted ?? this.scale.scrollPosition();
  }

  /** What is in sight, by indices of all bars; it may go beyond them. */
  get sight(): BarWindow {
    return this.sightUpTo(this.range.to + this.position);
  }

  sightUpTo(to: number): BarWindow {
    return { from: to - this.scale.width() / this.scale.options().barSpacing, to };
  }

  /** Where the bar of an index is, or would be, in pixels. */
  coordinateOf(index: number): number | null {
    return this.scale.logicalToCoordinate((index - this.range.from) as Logical);
  }

  /** The window for what is in sight; while the chart is held its last bar stays, from which the library counts. */
  fitting(count: number, isHeld: boolean): BarWindow {
    const fitting = windowAround(this.sight, count);
    return isHeld ? { from: Math.min(fitting.from, this.range.from), to: this.range.to } : fitting;
  }

  /**
   * Give the library other bars by ``draw``. ``end`` is then at the right edge of the chart, an index of all bars; null
   * leaves the chart where the library has it.
   */
  take(range: BarWindow, end: number | null, draw: () => void): void {
    const { wanted } = this;
    this.range = range;
    this.wanted = end === null ? this.position : end - range.to; // meanwhile the library counts from other bars
    draw();
    if (end === null) this.wanted = wanted;
    else this.scrollTo(end - range.to);
  }

  scrollTo(position: number): void {
    this.scale.scrollToPosition(position, false);
    this.willBeAt(position);
  }

  /** The library has been told of a position. */
  willBeAt(position: number): void {
    this.wanted = position;
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => {
      this.wanted = null;
      this.onSettled();
    });
  }

  dispose(): void {
    cancelAnimationFrame(this.frame);
  }
}
