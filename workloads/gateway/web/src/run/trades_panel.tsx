// The table of trades: sorted by any column, filtered by text and outcome, with only the rows in sight drawn.
import { useMemo, useRef, useState } from "preact/hooks";
import { number } from "../format";
import { COLUMNS, type Decimals, type Order, type TradeColumn, type TradeFilter, tradeTable, withOutcome } from "./trade_table";
import type { TradeRow } from "./trades";
import { useVirtualRows } from "./virtual_rows";

const ROW_HEIGHT = 28;
const PAGE_ROWS = 10;

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
      <Rows rows={shown} order={order} setOrder={setOrder} decimals={decimals} chosen={chosen} choose={choose} />
    </>
  );
}

export function countText(shown: number, all: number, leftOut: number | null): string {
  const trades = `${number(shown, 0)}${shown === all ? "" : ` of ${number(all, 0)}`} trades`;
  if (leftOut === 0) return trades;
  return `${trades}, ${leftOut === null ? "more" : number(leftOut, 0)} are not loaded: export the file for all`;
}

interface RowsProps {
  rows: TradeRow[];
  order: Order;
  setOrder: (order: Order) => void;
  decimals: Decimals;
  chosen: number | null;
  choose: (trade: TradeRow) => void;
}

function Rows({ rows, order, setOrder, decimals, chosen, choose }: RowsProps) {
  const place = useRef<HTMLDivElement>(null);
  const [active, setActive] = useState(0);
  const { items, above, below, scrollTo } = useVirtualRows(rows.length, ROW_HEIGHT, () => place.current);
  const at = Math.min(active, rows.length - 1);
  const move = (to: number) => {
    const next = Math.max(0, Math.min(rows.length - 1, to));
    setActive(next);
    scrollTo(next);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const row = rows[at];
    const moves: Record<string, number> = {
      ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + PAGE_ROWS, PageUp: at - PAGE_ROWS, Home: 0, End: rows.length - 1,
    };
    const to = moves[event.key];
    if (to !== undefined) move(to);
    else if ((event.key === "Enter" || event.key === " ") && row !== undefined && event.target === place.current) choose(row);
    else return;
    event.preventDefault();
  };
  return (
    <div
      class="rows"
      ref={place}
      tabIndex={0}
      role="grid"
      aria-label="Trades: arrow keys move, Enter shows the trade on the chart"
      aria-rowcount={rows.length + 1}
      aria-activedescendant={at < 0 ? undefined : `trade-${rows[at]?.seq}`}
      onKeyDown={onKeyDown}
    >
      <table role="presentation">
        <thead>
          <tr role="row" aria-rowindex={1}>
            {COLUMNS.map((column) => (
              <Head column={column} order={order} setOrder={setOrder} key={column.id} />
            ))}
          </tr>
        </thead>
        <tbody>
          <Space height={above} />
          {items.map(({ index }) => {
            const row = rows[index];
            if (row === undefined) return null;
            return (
              <tr
                role="row"
                id={`trade-${row.seq}`}
                key={row.seq}
                aria-rowindex={index + 2}
                aria-selected={row.seq === chosen}
                class={index === at ? "active" : undefined}
                onClick={() => {
                  setActive(index);
                  choose(row);
                }}
              >
                {COLUMNS.map((column) => (
                  <td role="gridcell" class={cellClass(column, row)} key={column.id}>
                    {column.text(row, decimals)}
                  </td>
                ))}
              </tr>
            );
          })}
          <Space height={below} />
        </tbody>
      </table>
    </div>
  );
}

function Head({ column, order, setOrder }: { column: TradeColumn; order: Order; setOrder: (order: Order) => void }) {
  const sorted = order.column === column.id;
  const toggle = () => setOrder({ column: column.id, descending: sorted ? !order.descending : column.isNumber });
  return (
    <th
      role="columnheader"
      class={column.isNumber ? "number" : undefined}
      aria-sort={sorted ? (order.descending ? "descending" : "ascending") : "none"}
    >
      <button type="button" class="quiet" onClick={toggle}>
        {column.title}
        <span aria-hidden="true">{sorted ? (order.descending ? " ↓" : " ↑") : ""}</span>
      </button>
    </th>
  );
}

function cellClass(column: TradeColumn, row: TradeRow): string | undefined {
  const value = column.tone?.(row) ?? 0;
  const tone = value > 0 ? "up" : value < 0 ? "down" : "";
  return [column.isNumber ? "number" : "", tone].filter((each) => each !== "").join(" ") || undefined;
}

const Space = ({ height }: { height: number }) =>
  height > 0 ? (
    <tr role="presentation" aria-hidden="true">
      <td colSpan={COLUMNS.length} style={{ height: `${height}px`, padding: 0, border: 0 }} />
    </tr>
  ) : null;
