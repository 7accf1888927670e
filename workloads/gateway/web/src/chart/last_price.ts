// The line of the last price. The library draws it at the last bar that it has, which may not be the last one.
import type { IPriceLine, ISeriesApi } from "lightweight-charts";
import type { Bar } from "../data/types";
import type { Colors } from "../shell/theme";

export class LastPrice {
  private line: IPriceLine | null = null;

  constructor(private readonly candles: ISeriesApi<"Candlestick">) {}

  /** ``bar`` is the last of all; ``isDrawn``: the library has it. */
  show(bar: Bar | undefined, isDrawn: boolean, colors: Colors): void {
    if (isDrawn !== (this.line === null)) this.candles.applyOptions({ lastValueVisible: isDrawn, priceLineVisible: isDrawn });
    if (isDrawn || bar === undefined) return this.remove();
    const options = { price: bar.close, color: bar.close >= bar.open ? colors.up : colors.down };
    if (this.line === null) this.line = this.candles.createPriceLine({ ...options, lineWidth: 1, axisLabelVisible: true, title: "" });
    else this.line.applyOptions(options);
  }

  private remove(): void {
    if (this.line !== null) this.candles.removePriceLine(this.line);
    this.line = null;
  }
}
