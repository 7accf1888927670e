// The table of trades: sorted by any column, filtered by text and outcome, with only the rows in sight drawn.
import { useMemo } from "preact/hooks";
import { number } from "../format";
import { RowGrid } from "../shell/row_grid";
import { choose as chooseInAddress, filterText, order, outcome, setOrder } from "./selection";
import { COLUMNS, type Decimals, tradeTable, withOutcome } from "./trade_table";
import type { TradeRow } from "./trades";

interface TradesProps {
  rows: TradeRow[];
  leftOut: number | null;
  decimals: Decimals;
  /** The length of the run's bars. */
  interval: string;
  chosen: number | null;
  choose: (trade: TradeRow) => void;
}

export function TradesTable({ rows, leftOut, decimals, interval, chosen, choose }: TradesProps) {
  const table = useMemo(() => tradeTable(withOutcome(rows, outcome.value)), [rows, outcome.value]);
  const shown = useMemo(() => table(order.value, filterText.value), [table, order.value, filterText.value]);
  const columns = COLUMNS.map(({ text: textOf, ...column }) => ({ ...column, cell: (row: TradeRow) => textOf(row, decimals, interval) }));
  return (
    <>
      <form class="filters" onSubmit={(event) => event.preventDefault()}>
        <input
          type="search"
          aria-label="Filter trades"
          placeholder="Symbol, side or reason"
          value={filterText.value}
          onInput={(event) => chooseInAddress({ find: event.currentTarget.value })}
        />
        <select
          aria-label="Outcome"
          value={outcome.value}
          onChange={({ currentTarget: { value } }) => chooseInAddress({ outcome: value === "all" ? "" : value })}
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
        order={order.value}
        setOrder={setOrder}
        filter={`${outcome.value} ${filterText.value}`}
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
