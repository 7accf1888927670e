// The toolbar of a chart: symbol, bar length, indicators, scale, drawings, screenshot.
import { useRef } from "preact/hooks";
import { resolutions } from "../data/resources";
import { marketOf } from "../deck/defaults";
import { choose, noSight, parameter, parameterName, symbolOf } from "../deck/selection";
import type { DrawingLayer } from "../drawings/drawing_layer";
import { DrawingTools } from "../drawings/drawing_tools";
import { IndicatorMenu } from "../indicators/indicator_menu";
import { useScrollHint } from "../shell/scroll_box";
import { dialog, searchedChart } from "../transport/actions";
import { Icon } from "../transport/icons";
import type { ChartModel } from "./chart_model";

interface ChartToolbarProps {
  number: number;
  model: ChartModel;
  drawings: DrawingLayer | null;
}

export function ChartToolbar({ number, model, drawings }: ChartToolbarProps) {
  const tools = useRef<HTMLDivElement>(null);
  useScrollHint(tools);
  const isLog = parameter("scale", number) === "log";
  const search = () => {
    searchedChart.value = number;
    dialog.value = "search";
  };
  const setScale = () => choose({ [parameterName("scale", number)]: isLog ? null : "log" });
  return (
    <div class="toolbar" ref={tools} role="toolbar" aria-label={`Tools of chart ${number + 1}`}>
      <button id={number === 0 ? "symbol" : undefined} class="symbol" onClick={search} title="Search a symbol (/)">
        {marketOf(symbolOf(number)) || "Symbol"}
      </button>
      <Intervals number={number} model={model} />
      <IndicatorMenu number={number} model={model} />
      <button onClick={setScale} aria-pressed={isLog} title="Logarithmic scale of prices">
        log
      </button>
      {drawings !== null && <DrawingTools layer={drawings} />}
      <button onClick={() => save(model)} title="Save a picture of the chart" aria-label="Save a picture">
        <Icon name="camera" />
      </button>
    </div>
  );
}

/** The bar lengths; those that the series does not have are disabled. */
function Intervals({ number, model }: { number: number; model: ChartModel }) {
  const shown = model.shown.value;
  const take = (interval: string) => choose({ ...noSight(number), [parameterName("interval", number)]: interval });
  return (
    <div class="intervals" role="radiogroup" aria-label="Bar length">
      {(resolutions.value ?? []).map(({ resolution, interval }) => (
        <button
          key={interval}
          role="radio"
          aria-checked={shown?.length.interval === interval}
          disabled={shown !== null && !shown.info.supported_resolutions.includes(resolution)}
          onClick={() => take(interval)}
        >
          {interval}
        </button>
      ))}
    </div>
  );
}

function save(model: ChartModel): void {
  model.chart.api.takeScreenshot(true).toBlob((blob) => {
    if (blob === null) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${marketOf(model.shown.peek()?.symbol ?? "chart").replace(/[^\w.-]+/g, "-")}.png`;
    link.click();
    URL.revokeObjectURL(link.href);
  });
}
