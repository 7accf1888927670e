// lightweight-charts has no datafeed of its own: this reads the newest bars, and follows their updates.
import { CandlestickSeries, type UTCTimestamp, createChart } from "lightweight-charts";
import type { Bar, LibraryDatafeed, SymbolInfo } from "../src/library";

const BARS = 1_000;
const LISTENER = "example";

export class LightChart {
  private readonly series;
  private shown = { bars: 0, last: 0 };

  constructor(
    place: HTMLElement,
    private readonly datafeed: LibraryDatafeed,
    private readonly onStatus: (text: string) => void,
  ) {
    const chart = createChart(place, {
      autoSize: true,
      localization: { locale: "en" }, // the browser's may be none that dates can be written in: WebKit has "C"
      timeScale: { timeVisible: true, secondsVisible: false },
    });
    this.series = chart.addSeries(CandlestickSeries);
  }

  /** Draw the newest bars of a symbol, and each later one. After a seek, a loop or a correction all are read again. */
  async show(symbol: string, resolution: string): Promise<void> {
    this.onStatus(`${symbol}: loading`);
    const info = await new Promise<SymbolInfo | string>((resolve) => {
      this.datafeed.resolveSymbol(symbol, resolve, resolve);
    });
    if (typeof info === "string") {
      this.onStatus(info);
      return;
    }
    await this.read(symbol, info, resolution);
    this.datafeed.subscribeBars(
      info,
      resolution,
      (bar) => {
        this.series.update(candle(bar));
        if (bar.time > this.shown.last) this.tell(symbol, { bars: this.shown.bars + 1, last: bar.time });
      },
      LISTENER,
      () => void this.read(symbol, info, resolution),
    );
  }

  private tell(symbol: string, shown: { bars: number; last: number }): void {
    this.shown = shown;
    this.onStatus(`${symbol}: ${shown.bars} bars`);
  }

  private read(symbol: string, info: SymbolInfo, resolution: string): Promise<void> {
    const period = { from: 0, to: Math.ceil(Date.now() / 1000), countBack: BARS, firstDataRequest: true };
    return new Promise((resolve) => {
      this.datafeed.getBars(
        info,
        resolution,
        period,
        (bars) => {
          this.series.setData(bars.map(candle));
          this.tell(symbol, { bars: bars.length, last: bars.at(-1)?.time ?? 0 });
          resolve();
        },
        (reason) => {
          this.onStatus(reason);
          resolve();
        },
      );
    });
  }
}

/** A bar as lightweight-charts takes it: its times are seconds. */
function candle(bar: Bar) {
  return { time: (bar.time / 1000) as UTCTimestamp, open: bar.open, high: bar.high, low: bar.low, close: bar.close };
}
