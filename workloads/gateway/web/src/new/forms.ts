// The forms: the fields of a Feed, a Replay and a Backtest that people set most. All others can be written as YAML.
import { type Field, put, putRest, putValues, type Tree, type Values } from "./fields";
import { putChanges, type ScenarioEntry } from "./scenario";

export type Kind = "feed" | "replay" | "backtest";
export const KINDS: readonly Kind[] = ["feed", "replay", "backtest"];
export const KIND_NAMES: Record<Kind, "Feed" | "Replay" | "Backtest"> = { feed: "Feed", replay: "Replay", backtest: "Backtest" };
export const API_VERSION = "tapedeck.dev/v1alpha1";

export const INTERVALS = ["1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"];
export const when = (id: string, ...wanted: string[]) => (values: Values) => wanted.includes(values[id] ?? "");
const named = (initial: string): Field => ({ id: "name", label: "Name", type: "text", path: "metadata.name", initial });

/** A range of stored bars below a path. */
const stored = (path: string, shown: (values: Values) => boolean): Field[] => [
  { id: "exchange", label: "Exchange", type: "text", path: `${path}.exchange`, initial: "coinbase", shown },
  { id: "symbols", label: "Symbols", type: "list", path: `${path}.symbols`, initial: "BTC/USD", hint: "BTC/USD, ETH/USD", shown },
  { id: "interval", label: "Bars of", type: "choice", path: `${path}.interval`, initial: "1m", options: INTERVALS, shown },
  { id: "from", label: "From", type: "time", path: `${path}.from`, hint: "2018-04-04T00:00:00Z; the first bar if empty", shown },
  { id: "to", label: "To", type: "time", path: `${path}.to`, hint: "stops before it; the last bar if empty", shown },
];

const FEED: readonly Field[] = [
  named("my-feed"),
  { id: "source", label: "Source", type: "choice", path: "", initial: "exchange", options: ["exchange", "files"] },
  { id: "live", label: "Exchange", type: "text", path: "spec.exchange", initial: "binance", hint: "id of ccxt", shown: when("source", "exchange") },
  { id: "symbols", label: "Symbols", type: "list", path: "spec.symbols", initial: "BTC/USDT", hint: "BTC/USDT, */EUR", shown: when("source", "exchange") },
  { id: "channels", label: "Channels", type: "list", path: "spec.channels", hint: "trades, bars, ticker; trades and bars if empty", shown: when("source", "exchange") },
  { id: "intervals", label: "Bars of", type: "list", path: "spec.intervals", hint: "1m, 1h; 1m if empty", shown: when("source", "exchange") },
  { id: "backfill", label: "History from", type: "time", path: "spec.backfill.from", hint: "2026-01-01T00:00:00Z; none if empty", shown: when("source", "exchange") },
  { id: "until", label: "History to", type: "time", path: "spec.backfill.to", hint: "stops before it; now if empty", shown: when("source", "exchange") },
  { id: "only", label: "History alone", type: "flag", path: "spec.backfill.only", shown: when("source", "exchange") },
  { id: "files", label: "Exchange", type: "text", path: "spec.source.files.exchange", initial: "my-exchange", shown: when("source", "files") },
  { id: "path", label: "Files", type: "text", path: "spec.source.files.sets.0.path", initial: "data/*.csv", hint: "below the folder of files, or s3://bucket/…; their layout is recognized", shown: when("source", "files") },
  { id: "symbol", label: "Symbol", type: "text", path: "spec.source.files.sets.0.symbol", hint: "that of a column or of the file's name if empty", shown: when("source", "files") },
  { id: "length", label: "Bars of", type: "choice", path: "spec.source.files.interval", initial: "1m", options: INTERVALS, shown: when("source", "files") },
];

const REPLAY: readonly Field[] = [
  named("my-replay"),
  { id: "source", label: "Plays", type: "choice", path: "", initial: "store", options: ["store", "synthetic"] },
  ...stored("spec.source.store", when("source", "store")),
  { id: "invented", label: "Symbol", type: "text", path: "spec.source.synthetic.symbols.0.symbol", initial: "BTC/USD", shown: when("source", "synthetic") },
  { id: "price", label: "First price", type: "number", path: "spec.source.synthetic.symbols.0.price", initial: "60000", shown: when("source", "synthetic") },
  { id: "volatility", label: "Volatility of a year", type: "number", path: "spec.source.synthetic.symbols.0.volatility", initial: "0.6", shown: when("source", "synthetic") },
  { id: "bars", label: "Bars", type: "number", path: "spec.source.synthetic.bars", initial: "2880", shown: when("source", "synthetic") },
  { id: "seed", label: "Seed", type: "number", path: "spec.source.synthetic.seed", initial: "1", shown: when("source", "synthetic") },
  { id: "speed", label: "Speed", type: "number", path: "spec.speed", initial: "3600", hint: "virtual seconds a second" },
  { id: "unpaced", label: "As fast as possible", type: "flag", path: "spec.unpaced" },
  { id: "paused", label: "Starts paused", type: "flag", path: "spec.paused" },
  { id: "atEnd", label: "At its end", type: "choice", path: "spec.atEnd", initial: "finish", options: ["finish", "hold"] },
];

const BACKTEST: readonly Field[] = [
  named("my-backtest"),
  { id: "strategy", label: "Strategy", type: "choice", path: "", initial: "built-in", options: ["built-in", "module"] },
  { id: "builtin", label: "Built-in", type: "choice", path: "spec.strategy.builtin", initial: "sma-cross", shown: when("strategy", "built-in") },
  { id: "module", label: "Module", type: "text", path: "spec.strategy.module", initial: "my_strategy:MyStrategy", hint: "module:Class", shown: when("strategy", "module") },
  { id: "data", label: "Trades", type: "choice", path: "", initial: "store", options: ["store", "replay", "feed"] },
  ...stored("spec.data.store", when("data", "store")),
  { id: "replay", label: "Replay", type: "text", path: "spec.data.replay.name", initial: "my-replay", shown: when("data", "replay") },
  { id: "played", label: "Symbols", type: "list", path: "spec.data.replay.symbols", initial: "BTC/USD", shown: when("data", "replay") },
  { id: "onSeek", label: "When it seeks", type: "choice", path: "spec.data.replay.onSeek", initial: "stop", options: ["stop", "restart"], shown: when("data", "replay") },
  { id: "feed", label: "Feed", type: "text", path: "spec.data.feed.name", initial: "my-feed", shown: when("data", "feed") },
  { id: "fed", label: "Symbols", type: "list", path: "spec.data.feed.symbols", initial: "BTC/USDT", shown: when("data", "feed") },
  { id: "cash", label: "Cash", type: "number", path: "spec.broker.cash", initial: "10000" },
  { id: "commission", label: "Commission, percent", type: "number", path: "spec.broker.commissionPercent", initial: "0.1" },
  { id: "sizer", label: "Size of an order, percent of cash", type: "number", path: "spec.sizer.percent", initial: "95" },
];

export const FORMS: Record<Kind, readonly Field[]> = { feed: FEED, replay: REPLAY, backtest: BACKTEST };

const STRATEGY = ["strategy", "builtin", "module"];

/** The rest that an address has, without that of its strategy where another one is chosen. */
export function restFor(rest: Tree, first: Values, values: Values): Tree {
  const { strategy, ...others } = (rest["spec"] ?? {}) as Tree;
  return strategy === undefined || STRATEGY.every((id) => first[id] === values[id]) ? rest : { ...rest, spec: others };
}

/** The resource that a form describes; ``rest`` is what the form has no fields for. */
export function manifestOf(
  kind: Kind, fields: readonly Field[], values: Values, scenario: readonly ScenarioEntry[], rest: Tree = {},
): Tree {
  const manifest: Tree = { apiVersion: API_VERSION, kind: KIND_NAMES[kind] };
  put(manifest, "metadata.name", "");
  put(manifest, "spec", {});
  putValues(manifest, fields, values);
  if (kind === "replay") putChanges(manifest, scenario);
  putRest(manifest, rest);
  return manifest;
}
