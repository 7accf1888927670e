// What a chart shows, as attributes of its element: a canvas can be read neither by a browser test nor by a script.
import type { Bar } from "../data/types";
import type { Sight } from "../deck/sights";
import type { IndicatorLayer } from "../indicators/indicator_layer";
import type { HoleLayer } from "./hole_layer";
import type { RunLayer } from "./run_layer";
import type { TradeLayer } from "./trade_layer";

const text = (value: number | null | undefined): string =>
  value === null || value === undefined || !Number.isFinite(value) ? "" : String(value);

/**
 * ``last`` is the open of the last bar, and ``latest`` that of the latest thing in any pane: nothing may be right of the
 * last bar.
 */
export function exposeState(
  element: HTMLElement,
  bars: readonly Bar[],
  indicators: readonly IndicatorLayer[],
  run: RunLayer | null,
  trade: TradeLayer | null,
  holes: HoleLayer | null,
): void {
  const markers = run?.markerTimes ?? [];
  const equity = run?.equity ?? new Map<number, { low: number }>();
  const ends = trade?.drawnTimes ?? [];
  const last = bars.at(-1);
  const latest = [
    last?.ts ?? -Infinity,
    ...indicators.map(({ lastTime }) => lastTime ?? -Infinity),
    markers.at(-1) ?? -Infinity,
    [...equity.keys()].at(-1) ?? -Infinity,
    ends.at(-1) ?? -Infinity,
  ];
  Object.assign(element.dataset, {
    bars: String(bars.length),
    first: text(bars[0]?.ts),
    last: text(last?.ts),
    close: text(last?.close),
    latest: text(Math.max(...latest)),
    markers: String(markers.length),
    equity: String(equity.size),
    lowestEquity: text([...equity.values()].reduce((lowest, { low }) => Math.min(lowest, low), Infinity)),
    indicators: String(indicators.length),
    trade: ends.join(" "),
    holes: String(holes?.drawn.length ?? 0),
  });
}

/** The opens of the first and the last bar in sight, of those that the chart draws. */
export function exposeSight(element: HTMLElement, sight: Sight | null): void {
  Object.assign(element.dataset, { sightFirst: text(sight?.from), sightLast: text(sight?.to) });
}
