// Two lines below the headline: the hour and the trade in which a run lost most, and the ways to look at them.
import type { ComponentChildren } from "preact";
import { number, spanText, time } from "../format";
import type { TradeRow } from "./trades";
import { isWithinHour, openWithin, type ValueChange, worstTrade } from "./worst";

interface WorstProps {
  hour: ValueChange | null;
  rows: readonly TradeRow[];
  /** A note where not all points or trades are loaded. */
  note: string;
  play?: ((end: number, what: string) => ComponentChildren) | undefined;
  chartOf?: ((trade: TradeRow, text: string) => ComponentChildren) | undefined;
}

export function WorstMoments({ hour, rows, note, play, chartOf }: WorstProps) {
  const trade = worstTrade(rows);
  if (hour === null && trade === null) return null;
  const ofHour = hour === null ? null : worstTrade(openWithin(rows, hour));
  return (
    <ul class="worst" aria-label="Where it lost most">
      {hour !== null && (
        <li>
          <Moment name={isWithinHour(hour) ? "Worst hour: " : "Worst step: "} change={hour.change} at={spanText(time(hour.from), time(hour.to))} />
          {ofHour !== null && chartOf?.(ofHour, "Show its worst trade on the chart")}
          {play?.(hour.to, isWithinHour(hour) ? "Play" : "Play its last hour")}
        </li>
      )}
      {trade !== null && (
        <li>
          <Moment name={`Worst trade: #${trade.seq}, `} change={trade.pnl_net} at={time(trade.exit_ts)} />
          {chartOf?.(trade, "Show on the chart")}
        </li>
      )}
      {note !== "" && <li class="note">{note}</li>}
    </ul>
  );
}

function Moment({ name, change, at }: { name: string; change: number; at: string }) {
  return (
    <span>
      {name}
      <b data-tone="down">{number(change)}</b>
      {`, ${at}`}
    </span>
  );
}
