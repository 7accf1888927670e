// Loads the coverage of many series, a few at once, and again while somebody looks.
import { type ReadonlySignal, signal } from "@preact/signals";
import { type Loadable, LOADING, Polled } from "../data/loadable";
import { get } from "../data/request";
import { type CoveredSeries, startOf } from "./coverage";
import type { SeriesCoverage } from "./types";

const DAYS_MAX = 10_000;
const PAGES_MAX = 5;
/** So many requests wait for an answer: each reads all bars of its series. */
const AT_ONCE = 4;
const AGAIN_MS = 60_000;
/** Of very many series each is loaded again less often. */
const AGAIN_MS_OF_SERIES = 500;
/** What arrives within this is drawn together; of very many series, which all have a place in the order, more. */
const [DRAWN_MS, DRAWN_MS_OF_SERIES] = [100, 1];

export async function coverageOf({ symbol, series }: CoveredSeries, days: string): Promise<SeriesCoverage> {
  const found: SeriesCoverage = { days: [], holes: [], next: null };
  const query = { symbol: symbol.symbol, interval: series.interval, from: startOf(series, days), limit: DAYS_MAX };
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const part = await get<SeriesCoverage>("/api/v1/coverage", { ...query, cursor: found.next ?? undefined });
    // A day that a page cuts is in the next one, too.
    const rest = found.days.filter(({ day }) => !part.days.some((again) => again.day === day));
    Object.assign(found, { days: [...rest, ...part.days], holes: [...found.holes, ...part.holes], next: part.next });
    if (part.next === null) break;
  }
  return found;
}

/** The coverage of some series by their number; ``load`` loads one. */
export class CoverageLoads {
  private readonly state = signal<readonly Loadable<SeriesCoverage>[]>([]);

  constructor(
    count: number,
    private readonly load: (at: number) => Promise<SeriesCoverage>,
  ) {
    this.state.value = Array.from({ length: count }, () => LOADING);
  }

  get found(): ReadonlySignal<readonly Loadable<SeriesCoverage>[]> {
    return this.state;
  }

  /** Load while somebody watches; what is returned ends that. */
  watch(): () => void {
    const gate = new Gate(AT_ONCE);
    const count = this.state.peek().length;
    const again = Math.max(AGAIN_MS, count * AGAIN_MS_OF_SERIES);
    const pause = Math.max(DRAWN_MS, count * DRAWN_MS_OF_SERIES);
    const polled = Array.from({ length: count }, (_, at) => new Polled(() => gate.pass(() => this.load(at)), again));
    let timer: ReturnType<typeof setTimeout> | undefined;
    const draw = () => {
      timer = undefined;
      this.state.value = polled.map((each) => each.signal.peek());
    };
    const ends = polled.flatMap((each) => [each.signal.subscribe(() => (timer ??= setTimeout(draw, pause))), each.watch()]);
    return () => {
      gate.close();
      clearTimeout(timer);
      for (const end of ends) end();
    };
  }
}

/** Lets no more than some work be under way at once; what waits when it closes is not begun. */
export class Gate {
  private free: number;
  private readonly waiting: (() => void)[] = [];
  private isClosed = false;

  constructor(most: number) {
    this.free = most;
  }

  async pass<T>(work: () => Promise<T>): Promise<T> {
    if (this.free > 0) this.free -= 1;
    else await new Promise<void>((enter) => this.waiting.push(enter));
    try {
      if (this.isClosed) throw new Error("nobody looks any more");
      return await work();
    } finally {
      const next = this.waiting.shift();
      if (next === undefined) this.free += 1;
      else next();
    }
  }

  close(): void {
    this.isClosed = true;
  }
}
