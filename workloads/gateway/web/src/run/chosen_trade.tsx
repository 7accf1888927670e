// The trade that is chosen in a report. The chart of the Deck shows its entry and exit.
import { signal } from "@preact/signals";
import { AddressLink } from "../shell/router";
import type { RunSummary, Trade } from "./types";

export interface ChosenTrade {
  run: string;
  exchange: string;
  /** The uid of the run's replay; empty for a run of the store. */
  replay: string;
  trade: Trade;
}

/** In place of a number: the trade that is open. */
export const OPEN_TRADE = "open";

export const chosenTrade = signal<ChosenTrade | null>(null);

/** The address of the Deck whose chart shows a trade: its run, its symbol, and its number. */
export const chartAddress = ({ run, exchange, replay, trade }: ChosenTrade): string =>
  addressOf(run, exchange, replay, trade.symbol, String(trade.seq));

/** The same of the trade of a symbol that a run has open. */
export const openTradeAddress = (run: RunSummary, symbol: string): string =>
  addressOf(run.run_id, run.exchange, run.replay_uid, symbol, OPEN_TRADE);

function addressOf(run: string, exchange: string, replay: string, name: string, trade: string): string {
  const symbol = `${replay === "" ? "" : `replay/${replay}/`}${exchange}:${name}`;
  return `/?${new URLSearchParams({ run, symbol, trade }).toString()}`;
}

export function ChartLink() {
  const chosen = chosenTrade.value;
  if (chosen === null) return null;
  return <AddressLink address={chartAddress(chosen)}>{`Show trade ${chosen.trade.seq} on the chart`}</AddressLink>;
}
