// The columns of the trades table, and which rows it shows, in which order.
import { fixed, MISSING, number, percent, signedFixed, size, time } from "../format";
import { type Order as OrderOf, sortedRows } from "../shell/sorted_rows";
import { barOf } from "./bar_times";
import { duration } from "./lengths_of_time";
import type { TradeRow } from "./trades";

export type Decimals = (symbol: string) => number;

export interface TradeColumn {
  id: ColumnId;
  title: string;
  isNumber: boolean;
  /** ``interval`` is the length of the run's bars. */
  text: (row: TradeRow, decimals: Decimals, interval: string) => string;
  tone?: (row: TradeRow) => number | null;
  /** Of what trades lost: the worst is looked for first. */
  leastFirst?: boolean;
  long?: (row: TradeRow) => string;
}

const VALUES = {
  seq: (row: TradeRow) => row.seq,
  symbol: (row: TradeRow) => row.symbol,
  side: (row: TradeRow) => row.side,
  entry_ts: (row: TradeRow) => row.entry_ts,
  exit_ts: (row: TradeRow) => row.exit_ts,
  held: (row: TradeRow) => row.held,
  size: (row: TradeRow) => row.size,
  entry_price: (row: TradeRow) => row.entry_price,
  exit_price: (row: TradeRow) => row.exit_price,
  pnl_net: (row: TradeRow) => row.pnl_net,
  returnPercent: (row: TradeRow) => row.returnPercent ?? undefined,
  adversePercent: (row: TradeRow) => row.adversePercent ?? undefined,
  favourablePercent: (row: TradeRow) => row.favourablePercent ?? undefined,
  reasons: (row: TradeRow) => reasons(row),
};
export type ColumnId = keyof typeof VALUES;
export const COLUMN_IDS = Object.keys(VALUES) as ColumnId[];
const TEXTS: readonly ColumnId[] = ["symbol", "side", "reasons"];

export const reasons = ({ entry_reason, exit_reason }: TradeRow): string =>
  entry_reason === "" && exit_reason === "" ? "" : `${entry_reason || "–"} → ${exit_reason || "–"}`;

/** A bar that all but reaches the price of the entry tells nothing by its digits: two decimals, and no more. */
const excursion = (value: number | null, format: (value: number) => string): string => (value === null ? MISSING : `${format(value)} %`);

export const COLUMNS: readonly TradeColumn[] = [
  { id: "seq", title: "#", isNumber: true, text: (row) => String(row.seq) },
  { id: "symbol", title: "Symbol", isNumber: false, text: (row) => row.symbol },
  { id: "side", title: "Side", isNumber: false, text: (row) => row.side },
  { id: "entry_ts", title: "Entry bar", isNumber: false, text: (row, _, interval) => time(barOf(row.entry_ts, interval)) },
  { id: "exit_ts", title: "Exit bar", isNumber: false, text: (row, _, interval) => time(barOf(row.exit_ts, interval)) },
  { id: "held", title: "Held", isNumber: true, text: (row) => duration(row.held) },
  { id: "size", title: "Size", isNumber: true, text: (row) => size(row.size) },
  { id: "entry_price", title: "Entry price", isNumber: true, text: (row, decimals) => number(row.entry_price, decimals(row.symbol)) },
  { id: "exit_price", title: "Exit price", isNumber: true, text: (row, decimals) => number(row.exit_price, decimals(row.symbol)) },
  { id: "pnl_net", title: "Profit", isNumber: true, text: (row) => number(row.pnl_net), tone: (row) => row.pnl_net, leastFirst: true },
  { id: "returnPercent", title: "Return", isNumber: true, text: (row) => percent(row.returnPercent, true), tone: (row) => row.returnPercent, leastFirst: true },
  { id: "adversePercent", title: "MAE", isNumber: true, text: (row) => excursion(row.adversePercent, fixed), leastFirst: true },
  { id: "favourablePercent", title: "MFE", isNumber: true, text: (row) => excursion(row.favourablePercent, signedFixed) },
  { id: "reasons", title: "Reasons", isNumber: false, text: reasons, long: reasons },
];

export type Order = OrderOf<ColumnId>;

const SORTED = COLUMN_IDS.map((id) => ({ id, isText: TEXTS.includes(id), value: VALUES[id] }));

export const TRADE_FILTERS = ["all", "won", "lost"] as const;
export type TradeFilter = (typeof TRADE_FILTERS)[number];

/** A table of these rows. It is kept while the rows are the same. */
export const tradeTable = (rows: TradeRow[]) => sortedRows<TradeRow, ColumnId>(rows, SORTED, ({ seq }) => String(seq));

export const withOutcome = (rows: TradeRow[], filter: TradeFilter): TradeRow[] =>
  filter === "all" ? rows : rows.filter(({ pnl_net }) => (filter === "won" ? pnl_net > 0 : pnl_net < 0));
