// A page with a chart of any gateway: TradingView's charting library where its folder lies beside this page, else
// lightweight-charts. Its address says what it shows: ?gateway=http://127.0.0.1:8750&symbol=coinbase:BTC/USD&resolution=1
import { Datafeed } from "../src/index";
import { LightChart } from "./light_chart";

const LIBRARY = "charting_library/";
const DEFAULT_RESOLUTION = "1";

interface ChartingLibrary {
  widget: new (options: Record<string, unknown>) => { activeChart(): { resetData(): void } };
}

declare global {
  interface Window {
    TradingView?: ChartingLibrary;
  }
}

const chosen = new URLSearchParams(location.search);
const form = element("choice", HTMLFormElement);
const status = element("status", HTMLElement);
const gateway = chosen.get("gateway");
const token = chosen.get("token");
let readAgain = (): void => undefined;
const datafeed = new Datafeed({
  ...(gateway === null ? {} : { url: gateway }),
  ...(token === null ? {} : { token }),
  onReset: () => readAgain(),
});

status.textContent = "Waiting for the gateway";
datafeed.onReady(() => void show());

async function show(): Promise<void> {
  const symbol = chosen.get("symbol") ?? (await firstSymbol());
  const resolution = chosen.get("resolution") ?? DEFAULT_RESOLUTION;
  if (symbol === undefined) {
    status.textContent = "The gateway has no symbol: import a file, or start a replay.";
    return;
  }
  const library = await chartingLibrary();
  if (library === undefined) await drawLight(symbol, resolution);
  else drawLibrary(library, symbol, resolution);
}

function drawLibrary(library: ChartingLibrary, symbol: string, interval: string): void {
  form.hidden = true; // the library has its own
  const place = { container: "chart", library_path: LIBRARY, autosize: true };
  const widget = new library.widget({ ...place, symbol, interval, datafeed, locale: "en" });
  readAgain = () => widget.activeChart().resetData();
}

async function drawLight(symbol: string, resolution: string): Promise<void> {
  const resolutions = form.elements.namedItem("resolution") as HTMLSelectElement;
  const input = form.elements.namedItem("symbol") as HTMLInputElement;
  datafeed.onReady(({ supported_resolutions }) => {
    resolutions.replaceChildren(...supported_resolutions.map((each) => new Option(each, each, false, each === resolution)));
  });
  input.value = symbol;
  input.addEventListener("input", () => {
    datafeed.searchSymbols(input.value, "", "", (found) => {
      element("found", HTMLDataListElement).replaceChildren(...found.map(({ ticker }) => new Option(ticker, ticker)));
    });
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    chosen.set("symbol", input.value);
    chosen.set("resolution", resolutions.value);
    location.search = chosen.toString();
  });
  const chart = new LightChart(element("chart", HTMLElement), datafeed, (text) => (status.textContent = text));
  await chart.show(symbol, resolution);
}

function firstSymbol(): Promise<string | undefined> {
  return new Promise((resolve) => {
    datafeed.searchSymbols("", "", "", (found) => resolve(found[0]?.ticker));
  });
}

/** TradingView's library, which its users get from TradingView, as a folder beside this page. */
async function chartingLibrary(): Promise<ChartingLibrary | undefined> {
  const script = document.createElement("script");
  script.src = `${LIBRARY}charting_library.standalone.js`;
  const ended = new Promise<void>((resolve) => {
    script.onload = script.onerror = () => resolve();
  });
  document.head.append(script);
  await ended;
  return window.TradingView;
}

function element<T extends HTMLElement>(id: string, type: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`#${id}: got ${found?.tagName ?? "nothing"}, expected ${type.name}`);
  return found;
}
