// The trade that is chosen in a report. The chart of the Deck shows its entry and exit.
import { signal } from "@preact/signals";
import { navigate } from "../shell/router";
import type { Trade } from "./types";

export interface ChosenTrade {
  run: string;
  exchange: string;
  /** The uid of the run's replay; empty for a run of the store. */
  replay: string;
  trade: Trade;
}

export const chosenTrade = signal<ChosenTrade | null>(null);

/** The address of the Deck whose chart shows a trade: its run, its symbol, and its number. */
export function chartAddress({ run, exchange, replay, trade }: ChosenTrade): string {
  const symbol = `${replay === "" ? "" : `replay/${replay}/`}${exchange}:${trade.symbol}`;
  return `/?${new URLSearchParams({ run, symbol, trade: String(trade.seq) }).toString()}`;
}

export function ChartLink() {
  const chosen = chosenTrade.value;
  if (chosen === null) return null;
  const address = chartAddress(chosen);
  const follow = (event: MouseEvent) => {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    navigate(address);
  };
  return (
    <a href={address} onClick={follow}>
      {`Show trade ${chosen.trade.seq} on the chart`}
    </a>
  );
}
