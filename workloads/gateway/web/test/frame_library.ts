// A charting library that draws nothing, and counts as the real one does. It has one place for each time of any series, and keeps its
// position from the last one. A range becomes places when it is asked for. Ranges and positions are taken with the next frame, in
// the order in which they were asked for; a range makes those before it void.

interface Point {
  time: number;
}

type Asked = { from: number; to: number } | { position: number };

const WIDTH = 600;
const SPACING = 6;
/** The bars of a screen before a range is brought into sight. */
export const SCREEN = WIDTH / SPACING;

let due = new Map<number, () => void>();
let requests = 0;

export const requestFrame = (run: () => void): number => {
  due.set((requests += 1), run);
  return requests;
};
export const cancelFrame = (number: number): void => void due.delete(number);

/** Run what was requested before, in its order, unless something before it takes it back. */
export function frame(): void {
  const last = requests;
  for (const [number, run] of due) {
    if (number > last) return;
    due.delete(number);
    run();
  }
}

export const library = {
  position: 0,
  spacing: SPACING,
  series: [] as Point[][],
  places: new Map<number, number>(), // the times of all series, and how many of them have each
  sorted: null as number[] | null, // the same times in their order, until there are others
  given: 0, // points by setData
  options: {} as Record<string, unknown>, // of the candles
  lines: [] as { price: number }[],
  asked: [] as Asked[],
  isPlanned: false,
  moved: () => undefined as void,
  reset() {
    [this.position, this.spacing, this.series, this.given, this.lines] = [0, SPACING, [], 0, []];
    [this.asked, this.isPlanned, this.sorted] = [[], false, null];
    this.places.clear();
    due = new Map();
  },
  count(time: number, more: 1 | -1) {
    const count = (this.places.get(time) ?? 0) + more;
    if (count === 0) this.places.delete(time);
    else this.places.set(time, count);
    if (count === 0 || count === more) this.sorted = null;
  },
  /** The times that have a place, in minutes. */
  get minutes(): number[] {
    return (this.sorted ??= [...this.places.keys()].sort((one, other) => one - other).map((time) => time / 60));
  },
  /** The times in sight, in minutes. */
  inSight(): number[] {
    const end = this.places.size + Math.floor(this.position);
    return this.minutes.slice(Math.max(0, end - Math.round(WIDTH / this.spacing)), Math.max(0, end));
  },
  /** Two bars stay in sight. */
  goTo(position: number) {
    const few = Math.min(2, this.places.size);
    this.position = Math.min(WIDTH / this.spacing - few, Math.max(few - this.places.size, position));
  },
  pan(count: number) {
    this.goTo(this.position + count);
    this.moved();
  },
  ask(asked: Asked) {
    this.asked = "from" in asked ? [asked] : [...this.asked, asked];
    if (!this.isPlanned) requestFrame(() => this.draw());
    this.isPlanned = true;
  },
  draw() {
    this.isPlanned = false;
    for (const asked of this.asked.splice(0)) {
      if ("from" in asked) this.spacing = Math.min(WIDTH / 2, Math.max(0.5, WIDTH / (asked.to - asked.from + 1)));
      this.goTo("from" in asked ? asked.to - (this.places.size - 1) : asked.position);
    }
    this.moved();
  },
  /** Times that come at the right of what is in sight do not move it. */
  grow(count: number) {
    this.goTo(count > 0 && this.position <= -1 ? this.position - count : this.position);
    this.moved();
  },
};

function addSeries() {
  const number = library.series.push([]) - 1;
  return {
    applyOptions: (options: object) => number === 0 && Object.assign(library.options, options),
    attachPrimitive: () => undefined,
    detachPrimitive: () => undefined,
    createPriceLine: (options: { price: number }) => {
      const line = { ...options, applyOptions: (changed: object) => Object.assign(line, changed) };
      library.lines.push(line);
      return line;
    },
    removePriceLine: () => (library.lines = []),
    priceScale: () => ({ applyOptions: () => undefined }),
    setData: (data: Point[]) => {
      const [before, [first]] = [library.places.size, library.minutes];
      for (const { time } of library.series[number] ?? []) library.count(time, -1);
      for (const { time } of data) library.count(time, 1);
      library.given += data.length;
      library.series[number] = [...data];
      const isAtRight = first !== undefined && (library.minutes[0] ?? 0) >= first; // with earlier ones it moves
      library.grow(isAtRight ? library.places.size - before : 0);
    },
    update: (point: Point) => {
      const data = (library.series[number] ??= []);
      let at = data.length;
      while ((data[at - 1]?.time ?? -Infinity) >= point.time) at -= 1;
      const before = library.places.size;
      if (data[at] === undefined) library.count(point.time, 1);
      data[at] = point;
      library.grow(library.places.size - before);
    },
  };
}

/** The place of a time, or of the next one that there is; of the last for a later time. */
function placeOf(time: number): number {
  const { minutes } = library;
  if (minutes.length === 0) throw new Error("Value is null");
  const at = minutes.findIndex((minute) => minute * 60 >= time);
  return at === -1 ? minutes.length - 1 : at;
}

const timeScale = {
  subscribeVisibleLogicalRangeChange: (handler: (range: object) => void) => (library.moved = () => handler({})),
  scrollPosition: () => library.position,
  scrollToPosition: (position: number) => library.ask({ position }),
  setVisibleRange: ({ from, to }: { from: number; to: number }) => library.ask({ from: placeOf(from), to: placeOf(to) }),
  logicalToCoordinate: (logical: number) => logical * SPACING,
  width: () => WIDTH,
  options: () => ({ barSpacing: library.spacing }),
};

export const frameLibrary = {
  BaselineSeries: "Baseline",
  CandlestickSeries: "Candlestick",
  HistogramSeries: "Histogram",
  LineSeries: "Line",
  createSeriesMarkers: () => ({ setMarkers: () => undefined, markers: () => [], detach: () => undefined }),
  ColorType: {},
  CrosshairMode: {},
  LineStyle: {},
  PriceScaleMode: {},
  createChart: () => ({
    applyOptions: () => undefined,
    addSeries,
    removeSeries: () => undefined,
    panes: () => [],
    timeScale: () => timeScale,
    subscribeCrosshairMove: () => undefined,
    subscribeClick: () => undefined,
    remove: () => undefined,
  }),
};
