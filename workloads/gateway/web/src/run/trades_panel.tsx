// The table of trades: sorted by any column, filtered by text and outcome, with only the rows in sight drawn.
import { useMemo, useState } from "preact/hooks";
import { number } from "../format";
import { RowGrid } from "../shell/row_grid";
import { COLUMNS, type Decimals, type Order, type TradeFilter, tradeTable, withOutcome } from "./trade_table";
import type { TradeRow } from "./trades";

interface TradesProps {
  rows: TradeRow[];
  leftOut: number | null;
  decimals: Decimals;
  chosen: number | null;
  choose: (trade: TradeRow) => void;
}

export function TradesTable({ rows, leftOut, decimals, chosen, choose }: TradesProps) {
  const [order, setOrder] = useState<Order>({ column: "seq", descending: false });
  const [text, setText] = useState("");
  const [outcome, setOutcome] = useState<TradeFilter>("all");
  const table = useMemo(() => tradeTable(withOutcome(rows, outcome)), [rows, outcome]);
  const shown = useMemo(() => table(order, text), [table, order, text]);
  const columns = COLUMNS.map(({ text: textOf, ...column }) => ({ ...column, cell: (row: TradeRow) => textOf(row, decimals) }));
  return (
    <>
      <form class="filters" onSubmit={(event) => event.preventDefault()}>
        <input
          type="search"
          aria-label="Filter trades"
          placeholder="Symbol, side or reason"
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
        />
        <select
          aria-label="Outcome"
          value={outcome}
          onChange={(event) => setOutcome(event.currentTarget.value as TradeFilter)}
        >
          <option value="all">All trades</option>
          <option value="won">Won</option>
          <option value="lost">Lost</option>
        </select>
        <span role="status">{countText(shown.length, rows.length, leftOut)}</span>
      </form>
      <RowGrid
        rows={shown}
        columns={columns}
        order={order}
        setOrder={setOrder}
        label="Trades: arrow keys move, Enter shows the trade on the chart"
        keyOf={({ seq }) => String(seq)}
        isChosen={({ seq }) => seq === chosen}
        open={choose}
      />
    </>
  );
}

export function countText(shown: number, all: number, leftOut: number | null): string {
  const trades = `${number(shown, 0)}${shown === all ? "" : ` of ${number(all, 0)}`} trades`;
  if (leftOut === 0) return trades;
  return `${trades}, ${leftOut === null ? "more" : number(leftOut, 0)} are not loaded: export the file for all`;
}
