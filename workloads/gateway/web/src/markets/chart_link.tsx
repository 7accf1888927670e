// A link to the chart of a symbol.
import type { ComponentChildren } from "preact";
import { navigate } from "../shell/router";

/** The address of the Deck whose chart shows a market of the store. */
export function marketChart(symbol: string, interval: string | null): string {
  const query = new URLSearchParams({ symbol, ...(interval === null ? {} : { interval }) });
  return `/?${query.toString()}`;
}

export function ChartLink(props: { symbol: string; interval?: string | null; children?: ComponentChildren }) {
  const address = marketChart(props.symbol, props.interval ?? null);
  const follow = (event: MouseEvent) => {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    navigate(address);
  };
  return (
    <a class="chart-link" href={address} title={`Open the chart of ${props.symbol}`} onClick={follow}>
      {props.children ?? props.symbol}
    </a>
  );
}
