// A long table: only the rows in sight are drawn, heads sort it, and the keyboard moves in it.
import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { isPhone } from "./screen";
import { useScrollHint } from "./scroll_box";
import type { Order } from "./sorted_rows";
import { useVirtualRows } from "./virtual_rows";
import { widestTexts } from "./widest";

const ROW_HEIGHT = 28;
const PHONE_ROW_HEIGHT = 44;
const PAGE_ROWS = 10;

export interface GridColumn<Row, Id extends string> {
  /** A text that has two lines, and is cut where it is longer; all of it is where the pointer rests. */
  long?: (row: Row) => string;
  id: Id;
  title: string;
  isNumber: boolean;
  cell: (row: Row) => ComponentChildren;
  /** Above 0 for good, below 0 for bad. */
  tone?: (row: Row) => number | null;
  /** Whether the first click on the head puts the least on top; else that is so of texts alone. */
  leastFirst?: boolean;
}

interface RowGridProps<Row, Id extends string> {
  rows: readonly Row[];
  columns: readonly GridColumn<Row, Id>[];
  order: Order<Id>;
  setOrder: (order: Order<Id>) => void;
  /** What chooses the rows: where it or the order changes, the first row is in sight. */
  filter: string;
  label: string;
  keyOf: (row: Row) => string;
  isChosen: (row: Row) => boolean;
  /** A click, and Enter. */
  open: (row: Row) => void;
  /** Space; the same as Enter where it is left out. */
  mark?: (row: Row) => void;
  /** The rows that a reader sees now. */
  onSight?: (rows: readonly Row[]) => void;
}

export function RowGrid<Row, Id extends string>(props: RowGridProps<Row, Id>) {
  const { rows, columns, order, setOrder, filter, keyOf, open, mark = open, onSight } = props;
  const place = useRef<HTMLDivElement>(null);
  const [active, setActive] = useState(0);
  const rowHeight = isPhone.value ? PHONE_ROW_HEIGHT : ROW_HEIGHT;
  const { items, inSight, above, below, scrollTo } = useVirtualRows(rows.length, rowHeight, () => place.current);
  const [first, last] = inSight;
  useScrollHint(place);
  // An order changes no width.
  const widths = useMemo(() => columns.map(({ cell }) => widestTexts(rows, cell)), [rows.length, filter, columns.length]);
  useEffect(() => onSight?.(rows.slice(first, last + 1)), [rows, first, last]);
  useEffect(() => {
    setActive(0);
    place.current?.scrollTo({ top: 0 });
  }, [order.column, order.descending, filter]);
  const at = Math.min(active, rows.length - 1);
  const idOf = (row: Row | undefined) => (row === undefined ? undefined : `row-${keyOf(row)}`);
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
    else if (event.target !== place.current || row === undefined) return;
    else if (event.key === "Enter") open(row);
    else if (event.key === " ") mark(row);
    else return;
    event.preventDefault();
  };
  return (
    <div
      class="rows"
      ref={place}
      tabIndex={0}
      role="grid"
      aria-label={props.label}
      aria-rowcount={rows.length + 1}
      aria-activedescendant={idOf(rows[at])}
      onKeyDown={onKeyDown}
    >
      <table role="presentation">
        <thead role="rowgroup">
          <tr role="row" aria-rowindex={1}>
            {columns.map((column) => (
              <Head column={column} order={order} setOrder={setOrder} key={column.id} />
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          <Widest texts={widths} columns={columns} />
          <Space height={above} columns={columns.length} />
          {items.map(({ index }) => {
            const row = rows[index];
            if (row === undefined) return null;
            return (
              <tr
                role="row"
                id={idOf(row)}
                key={keyOf(row)}
                aria-rowindex={index + 2}
                aria-selected={props.isChosen(row)}
                class={index === at ? "active" : undefined}
                onClick={() => {
                  setActive(index);
                  open(row);
                }}
              >
                {columns.map((column) => (
                  <td role="gridcell" class={cellClass(column, row)} data-long={column.long?.(row) === undefined ? undefined : ""} title={column.long?.(row)} key={column.id}>
                    {column.long === undefined ? column.cell(row) : <div>{column.cell(row)}</div>}
                  </td>
                ))}
              </tr>
            );
          })}
          <Space height={below} columns={columns.length} />
        </tbody>
      </table>
    </div>
  );
}

interface HeadProps<Row, Id extends string> {
  column: GridColumn<Row, Id>;
  order: Order<Id>;
  setOrder: (order: Order<Id>) => void;
}

function Head<Row, Id extends string>({ column, order, setOrder }: HeadProps<Row, Id>) {
  const sorted = order.column === column.id;
  const toggle = () => setOrder({ column: column.id, descending: sorted ? !order.descending : column.isNumber && column.leastFirst !== true });
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

function cellClass<Row, Id extends string>(column: GridColumn<Row, Id>, row: Row): string | undefined {
  const value = column.tone?.(row) ?? 0;
  const tone = value > 0 ? "up" : value < 0 ? "down" : "";
  return [column.isNumber ? "number" : "", tone].filter((each) => each !== "").join(" ") || undefined;
}

/** A row without height: with it the columns are as wide as all rows need, whichever of them are drawn. */
function Widest<Row, Id extends string>({ texts, columns }: { texts: readonly string[][]; columns: readonly GridColumn<Row, Id>[] }) {
  return (
    <tr class="widest" role="presentation" aria-hidden="true">
      {columns.map(({ id, long }, at) => (
        <td key={id} data-long={long === undefined ? undefined : ""}>
          {(texts[at] ?? []).map((text) => <div data-text={text} key={text} />)}
        </td>
      ))}
    </tr>
  );
}

const Space = ({ height, columns }: { height: number; columns: number }) =>
  height > 0 ? (
    <tr role="presentation" aria-hidden="true">
      <td colSpan={columns} style={{ height: `${height}px`, padding: 0, border: 0 }} />
    </tr>
  ) : null;
