// A link to the chart of a symbol.
import type { ComponentChildren } from "preact";
import { AddressLink } from "../shell/router";

/** The address of the Deck whose chart shows a market of the store. */
export function marketChart(symbol: string, interval: string | null): string {
  const query = new URLSearchParams({ symbol, ...(interval === null ? {} : { interval }) });
  return `/?${query.toString()}`;
}

export function ChartLink(props: { symbol: string; interval?: string | null; children?: ComponentChildren }) {
  return <AddressLink address={marketChart(props.symbol, props.interval ?? null)}>{props.children ?? props.symbol}</AddressLink>;
}
