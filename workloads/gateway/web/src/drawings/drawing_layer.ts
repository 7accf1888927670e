// Draws the drawings of a chart's market, and makes new ones by clicks.
import { computed, effect, signal } from "@preact/signals";
import type { IPrimitivePaneRenderer, IPrimitivePaneView, ISeriesPrimitive, MouseEventParams, Time } from "lightweight-charts";
import type { ChartModel } from "../chart/chart_model";
import { marketOf } from "../deck/defaults";
import { type Colors, faded } from "../shell/theme";
import { type Drawing, drawingBook, type Kind, measureText, type Point, POINTS } from "./drawings";

type Target = Parameters<IPrimitivePaneRenderer["draw"]>[0];

export class DrawingLayer {
  /** What the next clicks draw; null for nothing. */
  readonly tool = signal<Kind | null>(null);
  readonly drawings = computed<readonly Drawing[]>(() => {
    void drawingBook.changes.value;
    return this.market.value === "" ? [] : drawingBook.of(this.market.value);
  });
  private readonly market = computed(() => marketOf(this.model.shown.value?.symbol ?? ""));
  private started: Point[] = [];
  private pointer: Point | null = null;
  private colors: Colors | null = null;
  private requestUpdate: () => void = () => undefined;
  private readonly primitive: ISeriesPrimitive<Time>;
  private readonly ends: (() => void)[];

  constructor(private readonly model: ChartModel) {
    const renderer: IPrimitivePaneRenderer = { draw: (target) => this.draw(target) };
    const view: IPrimitivePaneView = { renderer: () => renderer };
    const views = [view];
    this.primitive = {
      attached: ({ requestUpdate }) => (this.requestUpdate = requestUpdate),
      paneViews: () => views,
    };
    model.chart.candles.attachPrimitive(this.primitive);
    model.chart.api.subscribeClick((click) => this.click(click));
    model.chart.api.subscribeCrosshairMove((move) => this.move(move));
    this.ends = [
      drawingBook.follow(),
      effect(() => {
        void this.market.value;
        this.started = [];
        this.pointer = null;
      }),
      effect(() => {
        void this.drawings.value;
        this.requestUpdate();
      }),
    ];
  }

  dispose(): void {
    for (const end of this.ends) end();
    this.model.chart.candles.detachPrimitive(this.primitive);
  }

  recolor(colors: Colors): void {
    this.colors = colors;
    this.requestUpdate();
  }

  /** Choose what to draw; the same again for nothing. */
  choose(tool: Kind): void {
    this.started = [];
    this.pointer = null;
    this.tool.value = this.tool.peek() === tool ? null : tool;
  }

  removeLast(): void {
    drawingBook.change(this.market.peek(), (drawings) => drawings.slice(0, -1));
  }

  removeAll(): void {
    drawingBook.change(this.market.peek(), () => []);
  }

  private click(click: MouseEventParams): void {
    const kind = this.tool.peek();
    const point = this.pointOf(click);
    if (kind === null || point === null || click.sourceEvent?.shiftKey === true) return;
    this.started.push(point);
    if (this.started.length < POINTS[kind]) return;
    const drawn: Drawing = { kind, points: this.started };
    this.started = [];
    this.pointer = null;
    this.tool.value = null;
    drawingBook.change(this.market.peek(), (drawings) => [...drawings, drawn]);
  }

  private move(move: MouseEventParams): void {
    if (this.started.length === 0) return;
    this.pointer = this.pointOf(move);
    this.requestUpdate();
  }

  private pointOf({ time, point, paneIndex }: MouseEventParams): Point | null {
    if (typeof time !== "number" || point === undefined || (paneIndex ?? 0) !== 0) return null;
    const price = this.model.chart.candles.coordinateToPrice(point.y);
    return price === null ? null : { ts: time * 1_000, price };
  }

  private draw(target: Target): void {
    const kind = this.tool.peek();
    const unfinished = kind !== null && this.pointer !== null ? [{ kind, points: [...this.started, this.pointer] }] : [];
    target.useMediaCoordinateSpace(({ context, mediaSize }) => {
      for (const each of [...this.drawings.peek(), ...unfinished]) this.drawOne(context, mediaSize.width, each);
    });
  }

  private drawOne(context: CanvasRenderingContext2D, width: number, { kind, points }: Drawing): void {
    const places = points.map((point) => this.placeOf(point));
    const [from, to] = places;
    const color = this.colors?.accent ?? "#888888";
    context.strokeStyle = color;
    context.fillStyle = color;
    context.lineWidth = 1.5;
    if (kind === "level" && from?.y !== undefined && !from.isLater) line(context, 0, from.y, width, from.y);
    if (from?.x === undefined || from.y === undefined || to?.x === undefined || to.y === undefined) return;
    if (kind === "measure") {
      if (from.isLater || to.isLater) return; // its text has a price that is not yet known
      context.fillStyle = faded(color, 0.15);
      context.fillRect(from.x, from.y, to.x - from.x, to.y - from.y);
      context.fillStyle = this.colors?.text ?? color;
      context.font = "12px system-ui";
      const decimals = this.model.shown.peek()?.decimals ?? 2;
      context.fillText(measureText(points, decimals), Math.min(from.x, to.x) + 4, Math.min(from.y, to.y) - 6);
    } else this.drawUpToLastBar(context, () => line(context, from.x ?? 0, from.y ?? 0, to.x ?? 0, to.y ?? 0));
  }

  /** What a drawing has beyond the last bar is left out: after a seek back it is of a time that is not yet known. */
  private drawUpToLastBar(context: CanvasRenderingContext2D, draw: () => void): void {
    const last = this.model.bars.at(-1);
    const end = last === undefined ? undefined : this.placeOf({ ts: last.ts, price: last.close }).x;
    if (end === undefined) return;
    context.save();
    context.beginPath();
    context.rect(0, 0, end, context.canvas.height);
    context.clip();
    draw();
    context.restore();
  }

  /**
   * Where a point is; undefined without bars. A time between two bars is at the one before it; beside the bars it is so many
   * bars away as fit between.
   */
  private placeOf({ ts, price }: Point): Place {
    const { bars, chart, shown } = this.model;
    const { api, candles } = chart;
    const bar = this.model.barAt(ts);
    const width = shown.peek()?.length.width_ms ?? 1;
    const at = bar === undefined ? null : chart.coordinateOf(bar.ts);
    const isLater = bar !== undefined && bar === bars.at(-1) && ts >= bar.ts + width;
    const isEarlier = bar !== undefined && ts < bar.ts;
    const away = bar !== undefined && (isLater || isEarlier) ? Math.floor((ts - bar.ts) / width) : 0;
    const x = at === null ? undefined : at + away * api.timeScale().options().barSpacing;
    return { x, y: candles.priceToCoordinate(price) ?? undefined, isLater };
  }
}

interface Place {
  x: number | undefined;
  y: number | undefined;
  /** After the last bar. */
  isLater: boolean;
}

function line(context: CanvasRenderingContext2D, x1: number, y1: number, x2: number, y2: number): void {
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
}
