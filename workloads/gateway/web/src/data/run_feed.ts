// The results of one run as they arrive: its figures, fills and equity, none of them beyond its replay's position, nor beyond
// that of another replay on which it is shown.
import { computed, type ReadonlySignal, signal } from "@preact/signals";
import { type Message, subscribe } from "./gateway_socket";
import { get, messageOf } from "./request";
import type { EquityPoint, Fill, RunFigures } from "./types";

/** As many points as a chart shows of a long curve: its extremes are among them. */
const EQUITY_POINTS = 5_000;
const FILLS_MAX = 50_000;
/** Between two requests for what could not be had. */
const RETRY_MS = 3_000;

export class RunFeed {
  /** Of the whole run: null where it is shown up to a time. */
  readonly figures = computed(() => (this.limit.value === Infinity ? this.told.value : null));
  /** By seq, as the run numbers them. */
  readonly fills: ReadonlySignal<readonly Fill[]>;
  readonly equity: ReadonlySignal<readonly EquityPoint[]>;
  /** Why something of the run is missing; null where all is there. */
  readonly error = computed(() => this.refused.value ?? this.fillResults.error.value ?? this.equityResults.error.value);
  private readonly told = signal<RunFigures | null>(null);
  private readonly refused = signal<string | null>(null);
  private readonly fillResults: Results<Fill>;
  private readonly equityResults: Results<EquityPoint>;
  private readonly end: () => void;

  /** ``limit``: nothing after this time is shown; without it nothing but the gateway limits what is. */
  constructor(
    readonly id: string,
    private readonly limit: ReadonlySignal<number> = signal(Infinity),
  ) {
    const path = encodeURIComponent(id);
    this.fillResults = new Results(
      { run: id, channel: "fills", field: "fills" },
      async () => (await get<{ fills: Fill[] }>(`/api/v1/runs/${path}/fills`, { limit: FILLS_MAX })).fills,
      ({ seq }) => seq,
    );
    this.equityResults = new Results(
      { run: id, channel: "equity", field: "points" },
      () => get<EquityPoint[]>(`/api/runs/${path}/equity`, { points: EQUITY_POINTS }),
      ([seq]) => seq,
    );
    this.fills = upTo(limit, this.fillResults.items, ({ ts }) => ts);
    this.equity = upTo(limit, this.equityResults.items, ([, ts]) => ts);
    this.end = subscribe(
      { channel: "run", run: id },
      (message) => {
        if (message.type !== "run") return;
        this.told.value = message as unknown as RunFigures;
        this.refused.value = null;
      },
      (reason) => (this.refused.value = reason),
    );
  }

  close(): void {
    this.end();
    this.fillResults.close();
    this.equityResults.close();
  }
}

/** The items that are not after a time, which are in order; the same ones until that makes a difference. */
function upTo<T>(limit: ReadonlySignal<number>, items: ReadonlySignal<readonly T[]>, timeOf: (item: T) => number) {
  const count = computed(() => items.value.findLastIndex((item) => timeOf(item) <= limit.value) + 1);
  return computed(() => (count.value === items.value.length ? items.value : items.value.slice(0, count.value)));
}

interface Channel {
  run: string;
  channel: "fills" | "equity";
  field: string;
}

/**
 * One kind of results. A snapshot says which is the last of them, and that they can be loaded: all of them by REST, which
 * has more than a snapshot.
 */
class Results<T> {
  readonly items = signal<readonly T[]>([]);
  readonly error = signal<string | null>(null);
  private readonly end: () => void;
  private generation = 0;
  private closed = false;
  private retry: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly of: Channel,
    private readonly loadAll: () => Promise<readonly T[]>,
    private readonly order: (item: T) => number,
  ) {
    const request = { channel: of.channel, run: of.run, snapshot: 1 };
    this.end = subscribe(request, (message) => this.receive(message), (reason) => (this.error.value = reason));
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.retry);
    this.end();
  }

  private receive(message: Message): void {
    const items = (message[this.of.field] as T[] | undefined) ?? [];
    if (message.type === "reset") this.endAt(-Infinity);
    else if (message.type !== this.of.channel) return;
    else if (message["snapshot"] === true) this.begin(items);
    else this.items.value = merged(this.items.value, items, this.order);
  }

  /** What was given after the last item is of a time that the replay has left. */
  private endAt(last: number): void {
    this.generation += 1;
    clearTimeout(this.retry);
    this.items.value = this.items.peek().filter((item) => this.order(item) <= last);
  }

  /** A snapshot replaces what there is: what comes after it ends at once, and the rest once all is loaded. */
  private begin(newest: readonly T[]): void {
    this.endAt(this.lastOf(newest));
    void this.load();
  }

  private lastOf(items: readonly T[]): number {
    const last = items.at(-1);
    return last === undefined ? -Infinity : this.order(last);
  }

  private async load(): Promise<void> {
    const { generation } = this;
    try {
      const found = await this.loadAll();
      if (this.closed || generation !== this.generation) return;
      const last = this.lastOf(found);
      this.items.value = [...found, ...this.items.peek().filter((item) => this.order(item) > last)];
      this.error.value = null;
    } catch (error) {
      if (this.closed || generation !== this.generation) return;
      this.error.value = messageOf(error);
      this.retry = setTimeout(() => void this.load(), RETRY_MS);
    }
  }
}

/** Items in their order, each once: what is added mostly follows what there is. */
export function merged<T>(items: readonly T[], added: readonly T[], order: (item: T) => number): T[] {
  const last = items.at(-1);
  const first = added[0];
  if (first === undefined) return [...items];
  if (last === undefined || order(first) > order(last)) return [...items, ...added];
  const all = new Map([...items, ...added].map((item) => [order(item), item]));
  return [...all].sort(([one], [other]) => one - other).map(([, item]) => item);
}
