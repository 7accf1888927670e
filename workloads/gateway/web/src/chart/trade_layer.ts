// A trade on a chart: a line from its entry to its exit, neither of them right of the last bar; an open one has its entry alone.
// An end at a time without a bar is at the bar before. Of an end that the chart does not draw there is the line towards it.
import { type IChartApi, type ISeriesApi, LineSeries, LineStyle } from "lightweight-charts";
import type { Bar, Resolution } from "../data/types";
import type { DrawnTrade } from "../run/open_trade";
import type { Colors } from "../shell/theme";
import { type BarChange, firstAt, lastOpen } from "./bar_series";
import type { BarWindow } from "./bar_window";
import { seconds } from "./chart_options";
import { openOf } from "./lengths";
import type { Layer } from "./price_chart";

type End = readonly [at: number, price: number];

export class TradeLayer implements Layer {
  private readonly line: ISeriesApi<"Line">;
  /** When the bars of its ends would open, and when those do at which they are drawn. */
  private readonly wanted: readonly End[];
  private ends: readonly End[] = [];
  private bars: readonly Bar[] = [];
  private drawn: readonly End[] = [];

  constructor(
    private readonly chart: IChartApi,
    trade: DrawnTrade,
    length: Resolution,
    colors: Colors,
  ) {
    const entry: End = [openOf(trade.entry_ts, length), trade.entry_price];
    const { exit_ts, exit_price } = trade;
    const exit = exit_ts === null || exit_price === null ? null : ([openOf(exit_ts, length), exit_price] satisfies End);
    this.wanted = exit === null ? [entry] : [entry, exit];
    const plain = { lastValueVisible: false, priceLineVisible: false, crosshairMarkerVisible: false } as const;
    const points = { pointMarkersVisible: true, pointMarkersRadius: 5 };
    this.line = chart.addSeries(LineSeries, { ...plain, ...points, lineWidth: 2, lineStyle: LineStyle.Dashed });
    this.recolor(colors);
  }

  /** The opens of the bars at which its ends are drawn; one within a single bar. */
  get drawnTimes(): readonly number[] {
    return this.drawn.filter((end) => this.ends.includes(end)).map(([at]) => at);
  }

  apply(bars: readonly Bar[], _change: BarChange, drawn: BarWindow): void {
    this.bars = bars;
    this.ends = this.endsAtBars();
    this.redraw(drawn);
  }

  redraw({ from, to }: BarWindow): void {
    const shown = this.within(this.bars[from]?.ts ?? Infinity, this.bars[to - 1]?.ts ?? -Infinity);
    const isSame = shown.join() === this.drawn.join();
    this.drawn = shown;
    if (!isSame) this.line.setData(shown.map(([at, value]) => ({ time: seconds(at), value })));
  }

  recolor(colors: Colors): void {
    this.line.applyOptions({ color: colors.accent });
  }

  dispose(): void {
    this.chart.removeSeries(this.line);
  }

  /** Its ends as far as they are within the bars; one where both are at the same bar. */
  private endsAtBars(): End[] {
    const last = this.bars.at(-1)?.ts ?? -Infinity;
    const known = this.wanted.flatMap(([opened, price]): End[] => {
      const at = opened > last ? undefined : lastOpen(this.bars, opened);
      return at === undefined ? [] : [[at, price]];
    });
    const [entry, exit] = known;
    return entry !== undefined && entry[0] === exit?.[0] ? [entry] : known;
  }

  /** Its line between two times. */
  private within(from: number, to: number): End[] {
    const shown = this.ends.filter(([at]) => at >= from && at <= to);
    const [entry, exit] = this.ends;
    if (entry === undefined || exit === undefined) return shown;
    if (entry[0] < from && exit[0] > from) shown.unshift(this.between(entry, exit, from));
    if (entry[0] < to && exit[0] > to) shown.push(this.between(entry, exit, to));
    return shown;
  }

  /** Where its line is at a bar: bars are equally far from each other, whatever is between their times. */
  private between(entry: End, exit: End, at: number): End {
    const [from, to, index] = [entry[0], exit[0], at].map((ts) => firstAt(this.bars, ts)) as [number, number, number];
    return [at, entry[1] + ((exit[1] - entry[1]) * (index - from)) / (to - from)];
  }
}
