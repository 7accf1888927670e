// The bar and the indicators under the crosshair, or those of the last bar in sight; and the last bar as a text.
import { marketOf } from "../deck/defaults";
import { parameter } from "../deck/selection";
import { number as formatted } from "../format";
import type { ChartModel } from "./chart_model";
import { missingText } from "./holes";
import { parseZone, timeIn, zoneName } from "./time_zone";

export function Legend({ number, model, hovered }: { number: number; model: ChartModel; hovered: number | null }) {
  void model.drawn.value;
  const shown = model.shown.value;
  const { bars } = model;
  const told = hovered ?? model.lastInSight.value;
  const found = told === null ? -1 : bars.findLastIndex(({ ts }) => ts <= told);
  const at = found >= 0 ? found : bars.length - 1;
  const bar = bars[at];
  if (shown === null || bar === undefined) return null;
  const price = (value: number) => formatted(value, shown.decimals);
  const time = timeIn(bar.ts, zoneName(parseZone(parameter("zone")), shown.info.timezone));
  const change = bar.close - bar.open;
  const missing = hovered === null ? 0 : (model.holes?.missingBefore(bar.ts) ?? 0);
  const equity = model.run?.equity.get(bar.ts)?.last;
  return (
    <div class="legend" id={number === 0 ? "legend" : undefined} data-tone={change >= 0 ? "up" : "down"}>
      <p>
        <strong>{`${marketOf(shown.symbol)} ${shown.length.interval}`}</strong>
        <span class={`values ${change >= 0 ? "up" : "down"}`}>
          {[time, `O ${price(bar.open)}`, `H ${price(bar.high)}`, `L ${price(bar.low)}`, `C ${price(bar.close)}`, `V ${formatted(bar.volume)}`].map(
            (text) => <span key={text}>{`${text} `}</span>,
          )}
        </span>
        {missing > 0 && <span class="missing">{`${missingText(missing)} before this bar`}</span>}
        {equity !== undefined && <span>{`Equity ${formatted(equity)}`}</span>}
      </p>
      {model.indicators.map((layer, n) => (
        <p key={n}>
          {layer
            .valuesAt(at)
            .map(([name, value]) => `${name} ${layer.text(value)}`)
            .join("  ")}
        </p>
      ))}
      <p class="visually-hidden" id={number === 0 ? "last-bar" : undefined}>
        {lastBarText(model, price)}
      </p>
    </div>
  );
}

/** What somebody who cannot see the chart is told of it. */
function lastBarText({ bars, shown }: ChartModel, price: (value: number) => string): string {
  const last = bars.at(-1);
  if (last === undefined || shown.value === null) return "No bars.";
  const { symbol, length } = shown.value;
  return (
    `Last bar of ${marketOf(symbol)}, ${length.interval}, opened ${timeIn(last.ts, "UTC")} UTC: open ${price(last.open)}, ` +
    `high ${price(last.high)}, low ${price(last.low)}, close ${price(last.close)}, volume ${formatted(last.volume)}.`
  );
}
