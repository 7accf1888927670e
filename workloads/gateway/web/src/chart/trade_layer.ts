// A trade on a chart: a line from its entry to its exit, neither of them right of the last bar; an open one has its entry alone.
import { type IChartApi, type ISeriesApi, LineSeries, LineStyle } from "lightweight-charts";
import type { Bar, Resolution } from "../data/types";
import type { DrawnTrade } from "../run/open_trade";
import type { Colors } from "../shell/theme";
import { seconds } from "./chart_options";
import { openOf } from "./lengths";
import type { Layer } from "./price_chart";

export class TradeLayer implements Layer {
  private readonly line: ISeriesApi<"Line">;
  private readonly ends: readonly (readonly [at: number, price: number])[];
  /** The opens of the bars at which its ends are drawn; one within a single bar. */
  drawnTimes: readonly number[] = [];

  constructor(
    private readonly chart: IChartApi,
    trade: DrawnTrade,
    length: Resolution,
    colors: Colors,
  ) {
    const entry = [openOf(trade.entry_ts, length), trade.entry_price] as const;
    const { exit_ts, exit_price } = trade;
    const exit = exit_ts === null || exit_price === null ? null : ([openOf(exit_ts, length), exit_price] as const);
    this.ends = exit === null || entry[0] === exit[0] ? [entry] : [entry, exit];
    const plain = { lastValueVisible: false, priceLineVisible: false, crosshairMarkerVisible: false } as const;
    const points = { pointMarkersVisible: true, pointMarkersRadius: 5 };
    this.line = chart.addSeries(LineSeries, { ...plain, ...points, lineWidth: 2, lineStyle: LineStyle.Dashed });
    this.recolor(colors);
  }

  apply(bars: readonly Bar[]): void {
    const [first, last] = [bars[0]?.ts ?? Infinity, bars.at(-1)?.ts ?? -Infinity];
    const shown = this.ends.filter(([at]) => at >= first && at <= last);
    if (shown.length === this.drawnTimes.length) return;
    this.drawnTimes = shown.map(([at]) => at);
    this.line.setData(shown.map(([at, value]) => ({ time: seconds(at), value })));
  }

  recolor(colors: Colors): void {
    this.line.applyOptions({ color: colors.accent });
  }

  dispose(): void {
    this.chart.removeSeries(this.line);
  }
}
