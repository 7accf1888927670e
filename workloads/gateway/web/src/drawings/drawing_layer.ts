// Draws the drawings of a chart's market, and makes new ones by clicks.
import { effect, signal } from "@preact/signals";
import type { IPrimitivePaneRenderer, IPrimitivePaneView, ISeriesPrimitive, MouseEventParams, Time } from "lightweight-charts";
import type { ChartModel } from "../chart/chart_model";
import { seconds } from "../chart/chart_options";
import { marketOf } from "../deck/defaults";
import { type Colors, faded } from "../shell/theme";
import { type Drawing, drawingsOf, keepDrawings, type Kind, measureText, type Point, POINTS } from "./drawings";

type Target = Parameters<IPrimitivePaneRenderer["draw"]>[0];

export class DrawingLayer {
  /** What the next clicks draw; null for nothing. */
  readonly tool = signal<Kind | null>(null);
  readonly drawings = signal<readonly Drawing[]>([]);
  private started: Point[] = [];
  private pointer: Point | null = null;
  private market = "";
  private colors: Colors | null = null;
  private requestUpdate: () => void = () => undefined;
  private readonly primitive: ISeriesPrimitive<Time>;
  private readonly stop: () => void;

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
    this.stop = effect(() => this.showMarket(marketOf(model.shown.value?.symbol ?? "")));
  }

  dispose(): void {
    this.stop();
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
    this.keep(this.drawings.peek().slice(0, -1));
  }

  removeAll(): void {
    this.keep([]);
  }

  private showMarket(market: string): void {
    this.market = market;
    this.started = [];
    this.drawings.value = market === "" ? [] : drawingsOf(localStorage, market);
    this.requestUpdate();
  }

  private keep(drawings: readonly Drawing[]): void {
    this.drawings.value = drawings;
    keepDrawings(localStorage, this.market, drawings);
    this.requestUpdate();
  }

  private click(click: MouseEventParams): void {
    const kind = this.tool.peek();
    const point = this.pointOf(click);
    if (kind === null || point === null || click.sourceEvent?.shiftKey === true) return;
    this.started.push(point);
    if (this.started.length < POINTS[kind]) return;
    this.keep([...this.drawings.peek(), { kind, points: this.started }]);
    this.started = [];
    this.pointer = null;
    this.tool.value = null;
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
    if (kind === "level" && from?.y !== undefined) line(context, 0, from.y, width, from.y);
    if (from?.x === undefined || from.y === undefined || to?.x === undefined || to.y === undefined) return;
    if (kind === "measure") {
      context.fillStyle = faded(color, 0.15);
      context.fillRect(from.x, from.y, to.x - from.x, to.y - from.y);
      context.fillStyle = this.colors?.text ?? color;
      context.font = "12px system-ui";
      const decimals = this.model.shown.peek()?.decimals ?? 2;
      context.fillText(measureText(points, decimals), Math.min(from.x, to.x) + 4, Math.min(from.y, to.y) - 6);
    } else line(context, from.x, from.y, to.x, to.y);
  }

  /** Where a point is; undefined beside the bars. A time between two bars is at the one before it. */
  private placeOf({ ts, price }: Point): { x: number | undefined; y: number | undefined } {
    const { api, candles } = this.model.chart;
    const bar = this.model.barAt(ts);
    const x = bar === undefined ? null : api.timeScale().timeToCoordinate(seconds(bar.ts));
    return { x: x ?? undefined, y: candles.priceToCoordinate(price) ?? undefined };
  }
}

function line(context: CanvasRenderingContext2D, x1: number, y1: number, x2: number, y2: number): void {
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
}
