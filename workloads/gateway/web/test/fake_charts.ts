// A charting library that draws nothing: happy-dom has no canvas. It keeps what its series are given.

export interface FakeSeries {
  kind: unknown;
  data: { time: number }[];
}

/** One for all instances of this module: a test that imports the page again has several. */
export const drawn: FakeSeries[] = ((globalThis as { drawnSeries?: FakeSeries[] }).drawnSeries ??= []);

/** For each chart, the options that it was given after it was made. */
export const applied: unknown[][] = ((globalThis as { appliedOptions?: unknown[][] }).appliedOptions ??= []);

/** The ranges that were brought into sight, in seconds. */
export const brought: { from: number; to: number }[] = ((globalThis as { broughtRanges?: { from: number; to: number }[] }).broughtRanges ??= []);

const nothing = () => undefined;

function series(kind: unknown) {
  const made: FakeSeries = { kind, data: [] };
  drawn.push(made);
  return {
    made,
    applyOptions: nothing,
    attachPrimitive: nothing,
    detachPrimitive: nothing,
    priceScale: () => ({ applyOptions: nothing }),
    setData: (data: { time: number }[]) => (made.data = [...data]),
    update: (each: { time: number }) => {
      made.data = [...made.data.filter(({ time }) => time !== each.time), each];
    },
  };
}

const timeScale = {
  subscribeVisibleLogicalRangeChange: nothing,
  scrollToPosition: nothing,
  setVisibleRange: (range: { from: number; to: number }) => {
    if (drawn.every(({ data }) => data.length === 0)) throw new Error("Value is null");
    brought.push(range);
  },
  scrollPosition: () => 0,
  logicalToCoordinate: () => null,
  width: () => 600,
  options: () => ({ barSpacing: 6 }),
};

export const fakeCharts = {
  CandlestickSeries: "Candlestick",
  HistogramSeries: "Histogram",
  LineSeries: "Line",
  BaselineSeries: "Baseline",
  ColorType: { Solid: "solid" },
  CrosshairMode: { Normal: 0 },
  LineStyle: { Dashed: 2 },
  PriceScaleMode: { Normal: 0, Logarithmic: 1 },
  createSeriesMarkers: () => ({ setMarkers: nothing, markers: () => [], detach: nothing }),
  createChart: () => ({
    options: applied.push([]),
    addSeries: series,
    removeSeries: ({ made }: { made: FakeSeries }) => drawn.splice(drawn.indexOf(made), 1),
    applyOptions(options: unknown) {
      applied[this.options - 1]?.push(options);
    },
    panes: () => [],
    remove: nothing,
    timeScale: () => timeScale,
    subscribeCrosshairMove: nothing,
    subscribeClick: nothing,
  }),
};
