// The last prices of the symbols that a reader sees, as the gateway pushes them.
import { signal } from "@preact/signals";
import { intervalMs } from "../chart/lengths";
import { type Message, type Request, subscribe } from "../data/gateway_socket";
import { closeOf, finestInterval, lastClose } from "./intervals";
import type { StoredSymbol } from "./types";

export interface LivePrice {
  price: number;
  ts: number;
}

/** A socket has 32 subscriptions. */
export const FOLLOWED_MAX = 24;
/** Rows that are scrolled past are not followed. */
const SETTLE_MS = 200;
/** Prices that arrive together are drawn together. */
const DRAW_MS = 100;

export class LivePrices {
  /** By symbol. A price stays when its row is out of sight. */
  readonly prices = signal<ReadonlyMap<string, LivePrice>>(new Map());
  private readonly followed = new Map<string, () => void>();
  private arrived = new Map<string, LivePrice>();
  private settle: ReturnType<typeof setTimeout> | undefined;
  private draw: ReturnType<typeof setTimeout> | undefined;

  /** Follow these symbols, the first of them, and no others. */
  follow(symbols: readonly StoredSymbol[]): void {
    clearTimeout(this.settle);
    this.settle = setTimeout(() => this.change(symbols.slice(0, FOLLOWED_MAX)), SETTLE_MS);
  }

  close(): void {
    clearTimeout(this.settle);
    clearTimeout(this.draw);
    this.change([]);
  }

  private change(symbols: readonly StoredSymbol[]): void {
    const wanted = new Set(symbols.map(({ symbol }) => symbol));
    for (const [symbol, end] of this.followed) {
      if (wanted.has(symbol)) continue;
      end();
      this.followed.delete(symbol);
    }
    for (const each of symbols) {
      const request = this.followed.has(each.symbol) ? null : requestOf(each);
      if (request === null) continue;
      const interval = request.interval ?? "";
      this.followed.set(each.symbol, subscribe(request, (message) => this.take(each.symbol, message, interval)));
    }
  }

  private take(symbol: string, message: Message, interval: string): void {
    const price = priceOf(message, interval);
    if (price === null) return;
    this.arrived.set(symbol, price);
    this.draw ??= setTimeout(() => {
      this.draw = undefined;
      this.prices.value = new Map([...this.prices.value, ...this.arrived]);
      this.arrived = new Map();
    }, DRAW_MS);
  }
}

/** The channel with a symbol's newest prices: its bars, unless trades or tickers are two bars ahead of them. */
export function requestOf(symbol: StoredSymbol): Request | null {
  const interval = finestInterval(symbol);
  const barsUntil = interval === null ? -Infinity : (lastClose(symbol) ?? -Infinity) + 2 * intervalMs(interval);
  const [tradesUntil, tickersUntil] = [symbol.trades?.last ?? -Infinity, symbol.tickers?.last ?? -Infinity];
  const of = { symbol: symbol.symbol, snapshot: 1 };
  if (interval !== null && barsUntil >= Math.max(tradesUntil, tickersUntil)) return { channel: "bars", interval, ...of };
  if (symbol.trades === null && symbol.tickers === null) return null;
  return { channel: tradesUntil > tickersUntil ? "trades" : "tickers", ...of };
}

/** The last price of a message, and when it was; null where it has none. A bar's is that of its close, at last now. */
export function priceOf(message: Message, interval: string): LivePrice | null {
  const items = message[message.type];
  const last: unknown = Array.isArray(items) ? items.at(-1) : undefined;
  if (typeof last !== "object" || last === null) return null;
  const { ts, price, close } = last as { ts?: unknown; price?: unknown; close?: unknown };
  const value = price ?? close;
  return typeof value === "number" && typeof ts === "number" ? { price: value, ts: Math.min(closeOf(ts, interval), Date.now()) } : null;
}
