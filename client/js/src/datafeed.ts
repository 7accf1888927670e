// The datafeed: history, symbols, marks and quotes by UDF, updates by the WebSocket.
import { Connection, type ConnectionOptions } from "./connection";
import type {
  Bar,
  Configuration,
  HistoryMetadata,
  LibraryDatafeed,
  Mark,
  OnError,
  Period,
  Quote,
  QuoteValues,
  SearchResult,
  SymbolInfo,
} from "./library";
import { intervalOf } from "./resolutions";
import { Series } from "./series";
import { type Message, Socket } from "./socket";

const SEARCH_LIMIT = 50;
/** Bars of a snapshot: after a reconnect they fill what the chart missed. */
const SNAPSHOT_BARS = 500;

interface History {
  s: string;
  t?: number[];
  o?: number[];
  h?: number[];
  l?: number[];
  c?: number[];
  v?: number[];
  nextTime?: number;
}

/** A datafeed for TradingView's charting library, and for what takes the same. */
export class Datafeed implements LibraryDatafeed {
  private readonly connection: Connection;
  private readonly socket: Socket;
  private readonly series = new Map<string, Series>();
  /** What ends each subscription, by the library's name of it. */
  private readonly listeners = new Map<string, () => void>();

  constructor(options: ConnectionOptions = {}) {
    this.connection = new Connection(options);
    this.socket = new Socket(this.connection);
  }

  onReady(callback: (configuration: Configuration) => void): void {
    void this.answer(this.connection.get("/config"), (found) => callback(found as Configuration), report);
  }

  searchSymbols(text: string, exchange: string, type: string, onResult: (found: SearchResult[]) => void): void {
    const found = this.connection.get("/search", { query: text, exchange, type, limit: SEARCH_LIMIT });
    void this.answer(found, (results) => onResult(results as SearchResult[]), () => onResult([]));
  }

  resolveSymbol(name: string, onResolve: (symbol: SymbolInfo) => void, onError: OnError): void {
    void this.answer(this.connection.get("/symbols", { symbol: name }), (symbol) => onResolve(symbol as SymbolInfo), onError);
  }

  getBars(
    symbol: SymbolInfo,
    resolution: string,
    period: Period,
    onResult: (bars: Bar[], metadata: HistoryMetadata) => void,
    onError: OnError,
  ): void {
    const { from, to, countBack, firstDataRequest } = period;
    const read = this.seriesOf(symbol, resolution).reading(firstDataRequest === true);
    const found = this.connection.get("/history", { symbol: symbol.ticker, resolution, from, to, countback: countBack });
    void this.answer(
      found,
      (body) => {
        const history = body as History;
        const bars = barsOf(history);
        read(bars);
        if (history.s === "no_data") onResult([], { noData: true, nextTime: history.nextTime ?? null });
        else onResult(bars, { noData: false });
      },
      onError,
    );
  }

  subscribeBars(
    symbol: SymbolInfo,
    resolution: string,
    onTick: (bar: Bar) => void,
    listener: string,
    onResetCacheNeeded: () => void,
  ): void {
    this.unsubscribe(listener);
    const series = this.seriesOf(symbol, resolution);
    const interval = intervalOf(resolution);
    const bars = series.listen(onTick, onResetCacheNeeded);
    const id = this.socket.subscribe(
      { channel: "bars", symbol: symbol.ticker, interval, snapshot: SNAPSHOT_BARS },
      (message) => bars.receive(message),
    );
    this.listeners.set(listener, () => {
      series.forget(bars);
      this.socket.unsubscribe(id);
    });
  }

  unsubscribeBars(listener: string): void {
    this.unsubscribe(listener);
  }

  getMarks(symbol: SymbolInfo, from: number, to: number, onResult: (marks: Mark[]) => void, resolution: string): void {
    const marks = this.connection.get("/marks", { symbol: symbol.ticker, from, to, resolution });
    void this.answer(marks, (body) => onResult(rowsOf(body)), () => onResult([]));
  }

  getTimescaleMarks(
    symbol: SymbolInfo,
    from: number,
    to: number,
    onResult: (marks: Mark[]) => void,
    resolution: string,
  ): void {
    const marks = this.connection.get("/timescale_marks", { symbol: symbol.ticker, from, to, resolution });
    void this.answer(marks, (body) => onResult(rowsOf(body)), () => onResult([]));
  }

  getQuotes(symbols: string[], onResult: (quotes: Quote[]) => void, onError: OnError): void {
    const quotes = this.connection.get("/quotes", { symbols: symbols.join(",") });
    void this.answer(quotes, (body) => onResult((body as { d: Quote[] }).d), onError);
  }

  subscribeQuotes(symbols: string[], fast: string[], onRealtime: (quotes: Quote[]) => void, listener: string): void {
    this.unsubscribe(listener);
    const ids = [...new Set([...symbols, ...fast])].map((symbol) =>
      this.socket.subscribe({ channel: "tickers", symbol }, (message) => {
        const values = quoteOf(message);
        if (values !== null) onRealtime([{ s: "ok", n: symbol, v: values }]);
      }),
    );
    this.listeners.set(listener, () => ids.forEach((id) => this.socket.unsubscribe(id)));
  }

  unsubscribeQuotes(listener: string): void {
    this.unsubscribe(listener);
  }

  getServerTime(callback: (seconds: number) => void): void {
    void this.answer(this.connection.get("/time"), (seconds) => callback(Number(seconds)), report);
  }

  /** End all subscriptions and the connection. */
  close(): void {
    for (const listener of [...this.listeners.keys()]) this.unsubscribe(listener);
    this.series.clear();
    this.socket.close();
  }

  private unsubscribe(listener: string): void {
    this.listeners.get(listener)?.();
    this.listeners.delete(listener);
  }

  private seriesOf(symbol: SymbolInfo, resolution: string): Series {
    const key = JSON.stringify([symbol.ticker, resolution]);
    const known = this.series.get(key);
    if (known !== undefined) return known;
    const added = new Series();
    this.series.set(key, added);
    return added;
  }

  /** A library expects its callback after the call has returned, and exactly one. */
  private async answer(request: Promise<unknown>, onResult: (body: unknown) => void, onError: OnError): Promise<void> {
    let body: unknown;
    try {
      body = await request;
    } catch (error) {
      onError(error instanceof Error ? error.message : String(error));
      return;
    }
    onResult(body);
  }
}

function barsOf(history: History): Bar[] {
  const { t = [], o = [], h = [], l = [], c = [], v = [] } = history;
  return t.map((seconds, n) => ({
    time: seconds * 1_000,
    open: o[n] ?? NaN,
    high: h[n] ?? NaN,
    low: l[n] ?? NaN,
    close: c[n] ?? NaN,
    volume: v[n] ?? 0,
  }));
}

/** Marks as objects: UDF also knows one array a field. */
export function rowsOf(body: unknown): Mark[] {
  if (Array.isArray(body)) return body as Mark[];
  const columns = Object.entries(body as Record<string, unknown[]>);
  const ids = columns.find(([name]) => name === "id")?.[1] ?? [];
  return ids.map((_, n) => Object.fromEntries(columns.map(([name, values]) => [name, values[n]])) as Mark);
}

/** The quote of the newest ticker in a message; null if it has none. */
export function quoteOf(message: Message): QuoteValues | null {
  const tickers = (message["tickers"] as Record<string, number | null>[] | undefined) ?? [];
  const newest = tickers.at(-1);
  if (newest === undefined) return null;
  const names = { lp: "price", bid: "bid", ask: "ask", volume: "volume24h", high_price: "high24h", low_price: "low24h" };
  const known = Object.entries(names).map(([name, field]) => [name, newest[field]] as const);
  return Object.fromEntries(known.filter(([, value]) => value !== null && value !== undefined));
}

function report(reason: string): void {
  console.error(`Tapedeck datafeed: ${reason}`);
}
