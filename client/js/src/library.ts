// The interface that charting libraries ask of a datafeed, as TradingView's documentation describes it. Bars' times are
// milliseconds UTC; those of periods and marks are seconds.

export interface Configuration {
  supported_resolutions: string[];
  supports_marks: boolean;
  supports_timescale_marks: boolean;
  supports_time: boolean;
  [name: string]: unknown;
}

export interface SymbolInfo {
  name: string;
  ticker: string;
  [name: string]: unknown;
}

export interface SearchResult {
  symbol: string;
  ticker: string;
  description: string;
  exchange: string;
  type: string;
}

export interface Period {
  from: number;
  to: number;
  countBack?: number;
  firstDataRequest?: boolean;
}

export interface Bar {
  time: number;
  open: number;
  high: number;
  low: number;
  close: number;
  volume: number;
}

export interface HistoryMetadata {
  noData?: boolean;
  nextTime?: number | null;
}

export interface Mark {
  id: string | number;
  time: number;
  [name: string]: unknown;
}

export interface QuoteValues {
  lp?: number;
  ask?: number;
  bid?: number;
  ch?: number;
  chp?: number;
  volume?: number;
  open_price?: number;
  high_price?: number;
  low_price?: number;
  prev_close_price?: number;
  [name: string]: unknown;
}

export interface Quote {
  s: "ok" | "error";
  n: string;
  v: QuoteValues;
}

export type OnError = (reason: string) => void;

/** What ``Datafeed`` offers: a library calls these with callbacks of its own. */
export interface LibraryDatafeed {
  onReady(callback: (configuration: Configuration) => void): void;
  searchSymbols(text: string, exchange: string, type: string, onResult: (found: SearchResult[]) => void): void;
  resolveSymbol(name: string, onResolve: (symbol: SymbolInfo) => void, onError: OnError): void;
  getBars(
    symbol: SymbolInfo,
    resolution: string,
    period: Period,
    onResult: (bars: Bar[], metadata: HistoryMetadata) => void,
    onError: OnError,
  ): void;
  subscribeBars(
    symbol: SymbolInfo,
    resolution: string,
    onTick: (bar: Bar) => void,
    listener: string,
    onResetCacheNeeded: () => void,
  ): void;
  unsubscribeBars(listener: string): void;
  getMarks(symbol: SymbolInfo, from: number, to: number, onResult: (marks: Mark[]) => void, resolution: string): void;
  getTimescaleMarks(
    symbol: SymbolInfo,
    from: number,
    to: number,
    onResult: (marks: Mark[]) => void,
    resolution: string,
  ): void;
  getQuotes(symbols: string[], onResult: (quotes: Quote[]) => void, onError: OnError): void;
  subscribeQuotes(symbols: string[], fast: string[], onRealtime: (quotes: Quote[]) => void, listener: string): void;
  unsubscribeQuotes(listener: string): void;
  getServerTime(callback: (seconds: number) => void): void;
}
