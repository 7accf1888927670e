// Lines below the headline: the hour, the time without data and the trade in which a run lost most, and the ways to look at them.
import type { ComponentChildren } from "preact";
import { number, spanText, time } from "../format";
import { barOf } from "./bar_times";
import { duration, HOUR_MS } from "./lengths_of_time";
import type { TradeRow } from "./trades";
import { openWithin, type ValueChange, worstTrade } from "./worst";

interface WorstProps {
  hour: ValueChange | null;
  gap: ValueChange | null;
  rows: readonly TradeRow[];
  /** The length of the run's bars. */
  interval: string;
  /** Whether the points of the equity are not loaded yet that the hour and the time without data are found in. */
  isLoading: boolean;
  /** Whether points of the equity between those that are loaded may be worse. */
  isAbout: boolean;
  /** A note where not all trades are loaded. */
  note: string;
  play?: ((end: number, what: string) => ComponentChildren) | undefined;
  /** Why there is no such link; empty where that needs no reason. */
  noPlay?: string | undefined;
  chartOf?: ((trade: TradeRow, text: string) => ComponentChildren) | undefined;
}

export function WorstMoments({ hour, gap, rows, interval, isLoading, isAbout, note, play, noPlay, chartOf }: WorstProps) {
  const trade = worstTrade(rows);
  if (!isLoading && hour === null && gap === null && trade === null) return null;
  const ofHour = hour === null ? null : worstTrade(openWithin(rows, hour));
  return (
    <ul class="worst" aria-label="Where it lost most">
      {isLoading && <li class="note loading">Looking for the worst hour</li>}
      {!isLoading && hour !== null && (
        <li>
          <Moment name={hourName(hour)} about={isAbout} change={hour.change} at={spanText(time(hour.from), time(hour.to))} />
          {ofHour !== null && chartOf?.(ofHour, "Show its worst trade on the chart")}
          {play?.(hour.to, "Play") ?? (!!noPlay && <small>{noPlay}</small>)}
        </li>
      )}
      {!isLoading && gap !== null && (
        <li>
          <span>
            {`${duration(gap.to - gap.from)} without data, ${spanText(time(gap.from), time(gap.to))}: equity fell by ${isAbout ? "about " : ""}`}
            <b data-tone="down">{number(-gap.change)}</b>
            {" across it"}
          </span>
        </li>
      )}
      {trade !== null && (
        <li>
          <Moment name={`Worst trade: #${trade.seq}, `} change={trade.pnl_net} at={`exit bar ${time(barOf(trade.exit_ts, interval))}`} />
          {chartOf?.(trade, "Show on the chart")}
        </li>
      )}
      {note !== "" && <li class="note">{note}</li>}
    </ul>
  );
}

const hourName = ({ from, to }: ValueChange): string => (to - from <= HOUR_MS ? "Worst hour: " : "Worst bar: ");

function Moment({ name, change, at, about = false }: { name: string; change: number; at: string; about?: boolean }) {
  return (
    <span>
      {`${name}${about ? "about " : ""}`}
      <b data-tone="down">{number(change)}</b>
      {`, ${at}`}
    </span>
  );
}
