// The datafeed: history, symbols, marks and quotes by UDF, updates by the WebSocket.
import { Connection, type ConnectionOptions, reasonOf } from "./connection";
import { barsOf, HistoryPoll, readHistory } from "./history";
import type {
  Bar,
  Configuration,
  HistoryMetadata,
  LibraryDatafeed,
  Mark,
  OnError,
  Period,
  Quote,
  SearchResult,
  SymbolInfo,
} from "./library";
import { askQuotes, QuoteListener } from "./quotes";
import { intervalOf } from "./resolutions";
import { Series } from "./series";
import { BACKOFF_MS, Socket } from "./socket";

const SEARCH_LIMIT = 50;
/** Bars of a snapshot: after a reconnect they fill what the chart missed. */
const SNAPSHOT_BARS = 500;

/** Bars of one poll, where the gateway does not push them. */
const POLLED_BARS = 100;
/** The last second that the gateway takes as a time: the end of the year 9999. */
const MAX_SECONDS = 253_402_300_799;

export interface DatafeedOptions extends ConnectionOptions {
  /** What goes wrong and the library's interface has no callback for; by default it is written to the console. */
  onError?: OnError;
  /** Called after the library was told of a reset: for ``resetData()`` of a chart that does not read by itself. */
  onReset?: () => void;
}

/** A datafeed for TradingView's charting library, and for what takes the same. */
export class Datafeed implements LibraryDatafeed {
  private readonly connection: Connection;
  /** Of bars alone: quotes have one of their own. */
  private readonly socket: Socket;
  private readonly tickers: Socket;
  private readonly onError: OnError;
  private readonly onReset: () => void;
  private closes = 0;
  private readonly series = new Map<string, Series>();
  /** What ends each subscription, by its kind and the library's name of it. */
  private readonly listeners = new Map<string, () => void>();

  constructor(options: DatafeedOptions = {}) {
    this.connection = new Connection(options);
    this.socket = new Socket(this.connection);
    this.tickers = new Socket(this.connection);
    this.onError = options.onError ?? report;
    this.onReset = options.onReset ?? (() => undefined);
  }

  onReady(callback: (configuration: Configuration) => void): void {
    void this.askUntilAnswered("/config", (found) => callback(found as Configuration));
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
    const series = this.seriesOf(symbol, resolution);
    const read = series.reading(firstDataRequest === true);
    const request = { symbol: symbol.ticker, resolution, from, to, countback: countBack };
    void this.answer(
      readHistory(this.connection, request),
      (history) => {
        const bars = barsOf(history);
        read(bars);
        if (history.s === "no_data") onResult([], { noData: true, nextTime: history.nextTime ?? null });
        else onResult(bars, { noData: false });
      },
      (reason) => {
        series.failed();
        onError(reason);
      },
    );
  }

  subscribeBars(
    symbol: SymbolInfo,
    resolution: string,
    onTick: (bar: Bar) => void,
    listener: string,
    onResetCacheNeeded: () => void,
  ): void {
    this.unsubscribeBars(listener);
    const series = this.seriesOf(symbol, resolution);
    const { ticker } = symbol;
    const bars = series.listen(onTick, () => {
      onResetCacheNeeded();
      this.onReset();
    });
    const newest = { symbol: ticker, resolution, to: MAX_SECONDS, countback: POLLED_BARS };
    const poll = new HistoryPoll(this.connection, newest, (found) => bars.restore(found));
    const id = this.socket.subscribe(
      { channel: "bars", symbol: ticker, interval: intervalOf(resolution), snapshot: SNAPSHOT_BARS },
      (message) => {
        poll.stop();
        bars.receive(message);
      },
      (_request, message) => {
        this.onError(`${ticker}: ${String(message["detail"])}; its bars are asked for instead`);
        poll.start();
      },
    );
    this.listeners.set(`bars ${listener}`, () => {
      poll.stop();
      series.forget(bars);
      this.socket.unsubscribe(id);
    });
  }

  unsubscribeBars(listener: string): void {
    this.unsubscribe(`bars ${listener}`);
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
    void this.answer(askQuotes(this.connection, symbols), onResult, onError);
  }

  subscribeQuotes(symbols: string[], fast: string[], onRealtime: (quotes: Quote[]) => void, listener: string): void {
    this.unsubscribeQuotes(listener);
    const added = new QuoteListener(this.connection, this.tickers, symbols, fast, onRealtime, this.onError);
    this.listeners.set(`quotes ${listener}`, () => added.close());
  }

  unsubscribeQuotes(listener: string): void {
    this.unsubscribe(`quotes ${listener}`);
  }

  getServerTime(callback: (seconds: number) => void): void {
    void this.askUntilAnswered("/time", (seconds) => callback(Number(seconds)));
  }

  /** End all subscriptions and the connection. */
  close(): void {
    this.closes += 1;
    for (const listener of [...this.listeners.keys()]) this.unsubscribe(listener);
    this.series.clear();
    this.socket.close();
    this.tickers.close();
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

  /** For what a chart cannot begin without: it is asked for again, with longer delays, until ``close``. */
  private async askUntilAnswered(path: string, onResult: (body: unknown) => void): Promise<void> {
    const { closes } = this;
    let problem = "";
    for (let failures = 0; closes === this.closes; failures += 1) {
      const answer = await this.connection.get(path).then((body) => ({ body }), reasonOf);
      if (typeof answer !== "string") {
        onResult(answer.body);
        return;
      }
      if (answer !== problem) this.onError(answer);
      problem = answer;
      const delay = BACKOFF_MS[Math.min(failures, BACKOFF_MS.length - 1)];
      await new Promise((resolve) => setTimeout(resolve, delay));
    }
  }

  /** A library expects its callback after the call has returned, and exactly one. */
  private async answer<T>(request: Promise<T>, onResult: (body: T) => void, onError: OnError): Promise<void> {
    let body: T;
    try {
      body = await request;
    } catch (error) {
      onError(reasonOf(error));
      return;
    }
    onResult(body);
  }
}

/** Marks as objects: UDF also knows one array a field. */
export function rowsOf(body: unknown): Mark[] {
  if (Array.isArray(body)) return body as Mark[];
  const columns = Object.entries(body as Record<string, unknown[]>);
  const ids = columns.find(([name]) => name === "id")?.[1] ?? [];
  return ids.map((_, n) => Object.fromEntries(columns.map(([name, values]) => [name, values[n]])) as Mark);
}

function report(reason: string): void {
  console.error(`Tapedeck datafeed: ${reason}`);
}
