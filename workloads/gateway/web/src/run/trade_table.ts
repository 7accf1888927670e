// The columns of the trades table, and which rows it shows, in which order.
import {
  columnFilteringFeature, constructTable, createColumnHelper, createFilteredRowModel, createSortedRowModel,
  filterFn_includesString, globalFilteringFeature, rowSortingFeature, sortFn_basic, sortFn_text, tableFeatures,
} from "@tanstack/table-core";
import { storeReactivityBindings } from "@tanstack/table-core/store-reactivity-bindings";
import { number, percent, time } from "../format";
import { duration } from "./lengths_of_time";
import type { TradeRow } from "./trades";

const features = tableFeatures({
  coreReactivityFeature: storeReactivityBindings(),
  columnFilteringFeature,
  globalFilteringFeature,
  rowSortingFeature,
  filteredRowModel: createFilteredRowModel(),
  sortedRowModel: createSortedRowModel(),
  filterFns: { includesString: filterFn_includesString },
  sortFns: { basic: sortFn_basic, text: sortFn_text },
});

export type Decimals = (symbol: string) => number;

export interface TradeColumn {
  id: ColumnId;
  title: string;
  isNumber: boolean;
  text: (row: TradeRow, decimals: Decimals) => string;
  tone?: (row: TradeRow) => number | null;
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
const TEXTS: readonly ColumnId[] = ["symbol", "side", "reasons"];

export const reasons = ({ entry_reason, exit_reason }: TradeRow): string =>
  entry_reason === "" && exit_reason === "" ? "" : `${entry_reason || "–"} → ${exit_reason || "–"}`;

export const COLUMNS: readonly TradeColumn[] = [
  { id: "seq", title: "#", isNumber: true, text: (row) => String(row.seq) },
  { id: "symbol", title: "Symbol", isNumber: false, text: (row) => row.symbol },
  { id: "side", title: "Side", isNumber: false, text: (row) => row.side },
  { id: "entry_ts", title: "Entry", isNumber: false, text: (row) => time(row.entry_ts) },
  { id: "exit_ts", title: "Exit", isNumber: false, text: (row) => time(row.exit_ts) },
  { id: "held", title: "Held", isNumber: true, text: (row) => duration(row.held) },
  { id: "size", title: "Size", isNumber: true, text: (row) => number(row.size, 0) },
  { id: "entry_price", title: "Entry price", isNumber: true, text: (row, decimals) => number(row.entry_price, decimals(row.symbol)) },
  { id: "exit_price", title: "Exit price", isNumber: true, text: (row, decimals) => number(row.exit_price, decimals(row.symbol)) },
  { id: "pnl_net", title: "Profit", isNumber: true, text: (row) => number(row.pnl_net), tone: (row) => row.pnl_net },
  { id: "returnPercent", title: "Return", isNumber: true, text: (row) => percent(row.returnPercent, true), tone: (row) => row.returnPercent },
  { id: "adversePercent", title: "MAE", isNumber: true, text: (row) => percent(row.adversePercent) },
  { id: "favourablePercent", title: "MFE", isNumber: true, text: (row) => percent(row.favourablePercent, true) },
  { id: "reasons", title: "Reasons", isNumber: false, text: reasons },
];

export interface Order {
  column: ColumnId;
  descending: boolean;
}

const helper = createColumnHelper<typeof features, TradeRow>();
const columns = helper.columns(
  (Object.keys(VALUES) as ColumnId[]).map((id) =>
    helper.accessor((row): string | number | undefined => VALUES[id](row), {
      id,
      sortFn: TEXTS.includes(id) ? "text" : "basic",
      sortUndefined: "last",
    }),
  ),
);

export type TradeFilter = "all" | "won" | "lost";

/** A table of these rows. It is kept while the rows are the same. */
export function tradeTable(rows: TradeRow[]): (order: Order, text: string) => TradeRow[] {
  const table = constructTable({
    features,
    columns,
    data: rows,
    getRowId: (row) => String(row.seq),
    globalFilterFn: "includesString",
    getColumnCanGlobalFilter: (column) => TEXTS.includes(column.id as ColumnId),
  });
  return (order, text) => {
    table.setSorting([{ id: order.column, desc: order.descending }]);
    table.setGlobalFilter(text.trim());
    return table.getRowModel().rows.map((row) => row.original);
  };
}

export const withOutcome = (rows: TradeRow[], filter: TradeFilter): TradeRow[] =>
  filter === "all" ? rows : rows.filter(({ pnl_net }) => (filter === "won" ? pnl_net > 0 : pnl_net < 0));
