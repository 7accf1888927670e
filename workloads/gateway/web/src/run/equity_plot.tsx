// Equity with buy-and-hold beside it, and the drawdown below, on one axis of time. A chosen trade is shaded in both.
import { useMemo } from "preact/hooks";
import uPlot from "uplot";
import { number, percent } from "../format";
import { colors, faded } from "../shell/theme";
import { type EquityColumns, equityText } from "./curves";
import { amountAxis, Plot, type PlotOptions, TIME, timeAxis, UTC } from "./plot";
import type { Trade } from "./types";

const SYNC = "equity";
const [EQUITY_HEIGHT, DRAWDOWN_HEIGHT] = [280, 120];

export function EquityPlot({ columns, trade }: { columns: EquityColumns; trade: Trade | null }) {
  const scheme = colors.value;
  const equity = useMemo<PlotOptions>(
    () => ({
      ...shared(scheme, trade),
      series: [
        TIME,
        { label: "Equity", stroke: scheme.accent, width: 1.5, value: (_, value) => number(value) },
        { label: "Buy and hold", stroke: scheme.series1, width: 1, dash: [4, 3], value: (_, value) => number(value) },
      ],
      axes: [timeAxis(scheme), amountAxis(scheme)],
    }),
    [scheme, trade],
  );
  const drawdown = useMemo<PlotOptions>(
    () => ({
      ...shared(scheme, trade),
      series: [
        TIME,
        {
          label: "Drawdown", stroke: scheme.down, width: 1, fill: faded(scheme.down, 0.2), fillTo: 0,
          value: (_, value) => percent(value),
        },
      ],
      axes: [timeAxis(scheme), amountAxis(scheme, " %")],
    }),
    [scheme, trade],
  );
  const equityData = useMemo<uPlot.AlignedData>(() => [columns.ts, columns.value, columns.hold], [columns]);
  const drawdownData = useMemo<uPlot.AlignedData>(() => [columns.ts, columns.drawdown], [columns]);
  return (
    <div class="equity">
      <Plot options={equity} data={equityData} height={EQUITY_HEIGHT} label={equityText(columns, number)} />
      <Plot options={drawdown} data={drawdownData} height={DRAWDOWN_HEIGHT} label="Drawdown in percent, 0 or below" />
    </div>
  );
}

function shared(scheme: typeof colors.value, trade: Trade | null): Omit<PlotOptions, "series"> {
  return {
    ...UTC,
    cursor: { sync: { key: SYNC }, drag: { x: true, y: false } },
    hooks: { drawAxes: trade === null ? [] : [(plot) => shade(plot, trade, faded(scheme.accent, 0.18))] },
  };
}

/** Shade the time of a trade, at least a line. */
function shade(plot: uPlot, trade: Trade, color: string): void {
  const from = plot.valToPos(trade.entry_ts, "x", true);
  const to = Math.max(plot.valToPos(trade.exit_ts, "x", true), from + 2);
  const { left, top, width, height } = plot.bbox;
  const [begin, end] = [Math.max(from, left), Math.min(to, left + width)];
  if (end <= begin) return;
  plot.ctx.save();
  plot.ctx.fillStyle = color;
  plot.ctx.fillRect(begin, top, end - begin, height);
  plot.ctx.restore();
}
