// Quotes: the day of each symbol, which is asked for again and again, and its last price by tickers in between.
import { type Connection, reasonOf } from "./connection";
import type { Quote, QuoteValues } from "./library";
import type { Message, Socket } from "./socket";

/** Between two requests for quotes of the symbols that must be fast; the others are in one of ROUNDS. */
export const FAST_MS = 5_000;
export const ROUNDS = 6;
/** What the gateway takes in one request. */
const SYMBOLS_MAX = 50;
const CHARACTERS_MAX = 4_000;
/** Replays play no tickers, and results of transforms have none. */
const WITHOUT_TICKERS = /^replay\/|@/;

/** The quotes of symbols, in as many requests as the gateway needs. */
export async function askQuotes(connection: Connection, symbols: readonly string[]): Promise<Quote[]> {
  const quotes: Quote[] = [];
  for (const names of requestsOf(symbols)) {
    quotes.push(...((await connection.get("/quotes", { symbols: names.map(inList).join(",") })) as { d: Quote[] }).d);
  }
  return quotes;
}

/** A symbol as one of several between commas. */
const inList = (symbol: string) => symbol.replaceAll(",", "%2C");

function requestsOf(symbols: readonly string[]): string[][] {
  const requests: string[][] = [];
  let length = Infinity;
  for (const symbol of symbols) {
    const last = requests.at(-1);
    length += inList(symbol).length + 1;
    if (last === undefined || last.length === SYMBOLS_MAX || length > CHARACTERS_MAX) {
      requests.push([symbol]);
      length = inList(symbol).length;
    } else last.push(symbol);
  }
  return requests;
}

/** Who listens to quotes. Tickers have a socket of their own: its limit must not keep a chart from its bars. */
export class QuoteListener {
  private readonly all: readonly string[];
  private readonly fast: ReadonlySet<string>;
  private readonly values = new Map<string, QuoteValues>();
  /** Tickers since the last answer, which may be of an earlier moment. */
  private readonly tickers = new Map<string, Ticker>();
  private readonly ids = new Set<string>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private isClosed = false;
  private problem = "";

  constructor(
    private readonly connection: Connection,
    private readonly socket: Socket,
    symbols: readonly string[],
    fast: readonly string[],
    private readonly onRealtime: (quotes: Quote[]) => void,
    private readonly onError: (reason: string) => void,
  ) {
    this.fast = new Set(fast);
    this.all = [...new Set([...fast, ...symbols])];
    for (const symbol of this.all) if (!WITHOUT_TICKERS.test(symbol) && socket.room > 0) this.follow(symbol);
    void this.ask(0);
  }

  close(): void {
    this.isClosed = true;
    clearTimeout(this.timer);
    for (const id of this.ids) this.socket.unsubscribe(id);
  }

  private follow(symbol: string): void {
    const onTicker = (message: Message) => this.take(symbol, message);
    const onRefused = () => this.leave(id);
    const id = this.socket.subscribe({ channel: "tickers", symbol, snapshot: 0 }, onTicker, onRefused);
    this.ids.add(id);
  }

  /** A symbol without tickers is asked for all the same. */
  private leave(id: string): void {
    this.ids.delete(id);
    this.socket.unsubscribe(id);
  }

  /** The first of ROUNDS is of all symbols; a round that failed is repeated. */
  private async ask(round: number): Promise<void> {
    const names = round === 0 ? this.all : [...this.fast];
    let next = (round + 1) % ROUNDS;
    try {
      const quotes = await askQuotes(this.connection, names);
      if (quotes.length > 0) this.problem = "";
      if (!this.isClosed && quotes.length > 0) this.onRealtime(quotes.map((quote) => this.begin(quote)));
    } catch (error) {
      next = round;
      this.tell(reasonOf(error));
    }
    if (!this.isClosed) this.timer = setTimeout(() => void this.ask(next), FAST_MS);
  }

  private tell(problem: string): void {
    if (!this.isClosed && problem !== this.problem) this.onError(problem);
    this.problem = problem;
  }

  private begin(quote: Quote): Quote {
    const { s, n } = quote;
    if (s !== "ok") return quote;
    const ticker = this.tickers.get(n);
    this.tickers.delete(n);
    const v = ticker === undefined ? quote.v : withTicker(quote.v, ticker);
    this.values.set(n, v);
    return { ...quote, v };
  }

  private take(symbol: string, message: Message): void {
    const ticker = tickerOf(message);
    if (ticker === null) return;
    const v = withTicker(this.values.get(symbol) ?? {}, ticker);
    this.values.set(symbol, v);
    this.tickers.set(symbol, ticker);
    this.onRealtime([{ s: "ok", n: symbol, v }]);
  }
}

export interface Ticker {
  price: number;
  bid: number | null;
  ask: number | null;
}

/** The newest ticker of a message; null if it has none, or the one that was there before. */
function tickerOf(message: Message): Ticker | null {
  const tickers = (message["tickers"] as Ticker[] | undefined) ?? [];
  return message["snapshot"] === true ? null : (tickers.at(-1) ?? null);
}

/** The values of a day with a new price; what the ticker says of 24 hours is another thing. */
export function withTicker(day: QuoteValues, { price, bid, ask }: Ticker): QuoteValues {
  const { prev_close_price: before, high_price: high, low_price: low } = day;
  return {
    ...day,
    lp: price,
    ...(before === undefined ? {} : { ch: price - before, chp: before === 0 ? 0 : (price / before - 1) * 100 }),
    ...(high === undefined ? {} : { high_price: Math.max(high, price) }),
    ...(low === undefined ? {} : { low_price: Math.min(low, price) }),
    ...(bid === null ? {} : { bid }),
    ...(ask === null ? {} : { ask }),
  };
}
