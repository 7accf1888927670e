// Marks the holes of a chart behind its bars: a hatched band between two of them, and how many are missing where there is room for it.
import type { IPrimitivePaneRenderer, IPrimitivePaneView, ISeriesApi, ISeriesPrimitive, Time } from "lightweight-charts";
import type { Bar, Resolution } from "../data/types";
import { type Colors, faded } from "../shell/theme";
import type { BarChange } from "./bar_series";
import type { BarWindow } from "./bar_window";
import { type ChartHole, holesBetween, missingText } from "./holes";
import type { Layer } from "./price_chart";
import type { Session } from "./session";

type Target = Parameters<IPrimitivePaneRenderer["draw"]>[0];

/** So many are marked at once, the longest: the minutes without a trade of a quiet market would cover it. */
export const MARKED_MAX = 40;
const [MARK_WIDTH, HATCH] = [5, 4];
/** A hole of fewer bars, such as a minute without a trade, is a dashed line alone. */
const HATCHED_MIN = 5;
const DASHES = [2, 4];
/** The values of a bar stand above the marks. */
const MARK_TOP = 36;
/** Of a text, in pixels: its height, the room around it, and how far it is above the columns of volume. */
const [TEXT_HEIGHT, TEXT_ROOM, ABOVE_VOLUME] = [16, 4, 0.17];

interface Mark {
  x: number;
  hole: ChartHole;
}

export class HoleLayer implements Layer {
  private holes: readonly ChartHole[] = [];
  private bars: readonly Bar[] = [];
  private requestUpdate: () => void = () => undefined;
  private readonly primitive: ISeriesPrimitive<Time>;

  /** ``placeBefore`` gives where the bar of a time begins, in pixels. */
  constructor(
    private readonly candles: ISeriesApi<"Candlestick">,
    private readonly length: Resolution,
    private readonly session: Session | null,
    private readonly placeBefore: (ts: number) => number | null,
    private colors: Colors,
  ) {
    const renderer: IPrimitivePaneRenderer = { draw: (target) => this.draw(target) };
    const views: IPrimitivePaneView[] = [{ renderer: () => renderer, zOrder: () => "bottom" }];
    this.primitive = {
      attached: ({ requestUpdate }) => (this.requestUpdate = requestUpdate),
      paneViews: () => views,
    };
    candles.attachPrimitive(this.primitive);
  }

  /** How many bars are missing before the bar that opens at a time; 0 for none. */
  missingBefore(ts: number): number {
    return this.holes.find(({ before }) => before === ts)?.missing ?? 0;
  }

  /** The holes of the bars that the chart draws. */
  get drawn(): readonly ChartHole[] {
    return this.holes;
  }

  apply(bars: readonly Bar[], change: BarChange, drawn: BarWindow): void {
    this.bars = bars;
    if (change.kind !== "tail") return this.redraw(drawn);
    const first = bars[Math.max(change.from, drawn.from)]?.ts ?? Infinity;
    const kept = this.holes.filter(({ before }) => before < first);
    this.show([...kept, ...this.holesOf({ from: Math.max(change.from - 1, drawn.from), to: drawn.to })]);
  }

  redraw(drawn: BarWindow): void {
    this.show(this.holesOf(drawn));
  }

  recolor(colors: Colors): void {
    this.colors = colors;
    this.requestUpdate();
  }

  dispose(): void {
    this.candles.detachPrimitive(this.primitive);
  }

  private holesOf({ from, to }: BarWindow): ChartHole[] {
    return holesBetween(this.bars.slice(from, to), this.length, this.session);
  }

  private show(holes: readonly ChartHole[]): void {
    this.holes = holes;
    this.requestUpdate();
  }

  private draw(target: Target): void {
    target.useMediaCoordinateSpace(({ context, mediaSize: { width, height } }) => {
      const marks = longest(this.marksWithin(width));
      const hatched = marks.filter(({ hole }) => hole.missing >= HATCHED_MIN);
      for (const { x } of marks.slice(hatched.length)) this.drawLine(context, x, height);
      for (const { x } of hatched) this.drawBand(context, x, height);
      const taken: [number, number][] = [];
      for (const mark of hatched) this.drawText(context, mark, { width, height }, taken);
    });
  }

  private marksWithin(width: number): Mark[] {
    return this.holes.flatMap((hole) => {
      const x = this.placeBefore(hole.before);
      return x === null || x < 0 || x > width ? [] : { x, hole };
    });
  }

  private drawLine(context: CanvasRenderingContext2D, x: number, height: number): void {
    context.save();
    context.strokeStyle = faded(this.colors.muted, 0.7);
    context.lineWidth = 1;
    context.setLineDash(DASHES);
    context.beginPath();
    context.moveTo(x, MARK_TOP);
    context.lineTo(x, height);
    context.stroke();
    context.restore();
  }

  /** A band of slanted strokes, as the seek strip has its gaps. */
  private drawBand(context: CanvasRenderingContext2D, x: number, height: number): void {
    const left = x - MARK_WIDTH / 2;
    context.fillStyle = faded(this.colors.muted, 0.12);
    context.fillRect(left, MARK_TOP, MARK_WIDTH, height - MARK_TOP);
    context.strokeStyle = faded(this.colors.muted, 0.8);
    context.lineWidth = 1;
    context.beginPath();
    for (let y = MARK_TOP; y < height; y += HATCH) {
      context.moveTo(left, y + MARK_WIDTH);
      context.lineTo(left + MARK_WIDTH, y);
    }
    context.stroke();
  }

  /** The longest holes have their text first; one that would cover another's is left out. */
  private drawText(
    context: CanvasRenderingContext2D,
    { x, hole }: Mark,
    { width, height }: { width: number; height: number },
    taken: [number, number][],
  ): void {
    const text = missingText(hole.missing);
    context.font = "11px system-ui, sans-serif";
    const room = context.measureText(text).width + 2 * TEXT_ROOM;
    const left = Math.max(0, Math.min(width - room, x - room / 2));
    if (taken.some(([from, to]) => left < to && left + room > from)) return;
    taken.push([left, left + room]);
    const top = height * (1 - ABOVE_VOLUME) - TEXT_HEIGHT;
    context.fillStyle = this.colors.panel;
    context.fillRect(left, top, room, TEXT_HEIGHT);
    context.fillStyle = this.colors.muted;
    context.textBaseline = "middle";
    context.fillText(text, left + TEXT_ROOM, top + TEXT_HEIGHT / 2);
  }
}

/** Those of the longest holes, the longest first. */
export const longest = (marks: readonly Mark[]): Mark[] =>
  [...marks].sort((one, other) => other.hole.missing - one.hole.missing).slice(0, MARKED_MAX);
