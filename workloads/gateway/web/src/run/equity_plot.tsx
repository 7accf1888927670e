// Equity with buy-and-hold beside it, and the drawdown below, on one axis of time. The worst hour and a chosen trade are shaded in both.
import { useMemo } from "preact/hooks";
import uPlot from "uplot";
import { number, percent } from "../format";
import { colors, faded } from "../shell/theme";
import { type EquityColumns, equityText } from "./curves";
import { amountAxis, Plot, type PlotOptions, TIME, timeAxis, UTC } from "./plot";
import type { Trade } from "./types";
import type { ValueChange } from "./worst";

const SYNC = "equity";
const [EQUITY_HEIGHT, DRAWDOWN_HEIGHT] = [280, 120];
/** The low plot has several ticks all the same. */
const DRAWDOWN_SPACE = 16;

interface EquityProps {
  columns: EquityColumns;
  trade: Trade | null;
  worst: ValueChange | null;
}

export function EquityPlot({ columns, trade, worst }: EquityProps) {
  const scheme = colors.value;
  const equity = useMemo<PlotOptions>(
    () => ({
      ...shared(scheme, trade, worst),
      series: [
        TIME,
        { label: "Equity", stroke: scheme.accent, width: 1.5, value: (_, value) => number(value) },
        { label: "Buy and hold", stroke: scheme.series1, width: 1, dash: [4, 3], value: (_, value) => number(value) },
      ],
      axes: [timeAxis(scheme), amountAxis(scheme)],
    }),
    [scheme, trade, worst],
  );
  const drawdown = useMemo<PlotOptions>(
    () => ({
      ...shared(scheme, trade, worst),
      series: [
        TIME,
        {
          label: "Drawdown", stroke: scheme.down, width: 1, fill: faded(scheme.down, 0.2), fillTo: 0,
          value: (_, value) => percent(value),
        },
      ],
      axes: [timeAxis(scheme), amountAxis(scheme, " %", DRAWDOWN_SPACE)],
    }),
    [scheme, trade, worst],
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

function shared(scheme: typeof colors.value, trade: Trade | null, worst: ValueChange | null): Omit<PlotOptions, "series"> {
  const drawAxes = [
    ...(worst === null ? [] : [(plot: uPlot) => shade(plot, worst, faded(scheme.down, 0.18))]),
    ...(trade === null ? [] : [(plot: uPlot) => shade(plot, { from: trade.entry_ts, to: trade.exit_ts }, faded(scheme.accent, 0.18))]),
  ];
  return {
    ...UTC,
    cursor: { sync: { key: SYNC }, drag: { x: true, y: false } },
    hooks: { drawAxes },
  };
}

/** Shade a time, at least as a line. */
function shade(plot: uPlot, time: Pick<ValueChange, "from" | "to">, color: string): void {
  const from = plot.valToPos(time.from, "x", true);
  const to = Math.max(plot.valToPos(time.to, "x", true), from + 2);
  const { left, top, width, height } = plot.bbox;
  const [begin, end] = [Math.max(from, left), Math.min(to, left + width)];
  if (end <= begin) return;
  plot.ctx.save();
  plot.ctx.fillStyle = color;
  plot.ctx.fillRect(begin, top, end - begin, height);
  plot.ctx.restore();
}
