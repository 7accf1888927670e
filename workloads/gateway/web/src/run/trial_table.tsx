// All trials of a sweep: a row opens one.
import { useMemo } from "preact/hooks";
import { number, percent } from "../format";
import { formatOrder, parameter, parseOrder } from "../shell/parameters";
import { type GridColumn, RowGrid } from "../shell/row_grid";
import { type Order, sortedRows } from "../shell/sorted_rows";
import { openTrial } from "./chosen_trial";
import { plain } from "./inputs_panel";
import { choose } from "./selection";
import type { Direction } from "./sweep";
import type { Trial } from "./types";

interface TrialTableProps {
  trials: Trial[];
  /** Params that have several values. */
  names: readonly string[];
  direction: Direction;
  chosen: number | null;
}

interface TrialColumn extends GridColumn<Trial, string> {
  value: (trial: Trial) => number | string | undefined;
}

const METRICS: [name: string, title: string][] = [
  ["return_percent", "Return"], ["max_drawdown_percent", "Drawdown"], ["sharpe", "Sharpe"], ["trades", "Trades"],
];

const metricText = (name: string, { metrics }: Trial): string =>
  name.endsWith("_percent") ? percent(metrics[name]) : number(metrics[name], name === "trades" ? 0 : 2);

const noteOf = ({ feasible, message }: Trial): string => (feasible ? "" : message === "" ? "not feasible" : message);

const sortable = (value: unknown): number | string => (typeof value === "number" ? value : plain(value));

/** The objective ranks those that are feasible alone: others come last. */
const columnsOf = (names: readonly string[]): TrialColumn[] => [
  { id: "trial", title: "Trial", isNumber: true, cell: ({ trial }) => trial, value: ({ trial }) => trial, leastFirst: true },
  ...names.map((name): TrialColumn => ({
    id: `param.${name}`, title: name, isNumber: true, cell: ({ params }) => plain(params[name]), value: ({ params }) => sortable(params[name]),
  })),
  {
    id: "objective", title: "Objective", isNumber: true, cell: ({ objective }) => number(objective),
    value: ({ objective, feasible }) => (feasible ? (objective ?? undefined) : undefined),
  },
  ...METRICS.map(([name, title]): TrialColumn => ({
    id: name, title, isNumber: true, cell: (trial) => metricText(name, trial), value: ({ metrics }) => metrics[name] ?? undefined,
  })),
  { id: "note", title: "Note", isNumber: false, cell: noteOf, value: noteOf },
];

export function TrialTable({ trials, names, direction, chosen }: TrialTableProps) {
  const columns = useMemo(() => columnsOf(names), [names.join()]);
  const table = useMemo(
    () => sortedRows<Trial, string>(trials, columns.map(({ id, value }) => ({ id, isText: id === "note", value })), keyOf),
    [trials, columns],
  );
  const best: Order = { column: "objective", descending: direction === "maximize" };
  const order = parameter("trials") === "" ? best : parseOrder(parameter("trials"), columns.map(({ id }) => id), "objective");
  const rows = useMemo(() => table(order, ""), [table, order.column, order.descending]);
  return (
    <RowGrid
      rows={rows}
      columns={columns}
      order={order}
      setOrder={(wanted) => choose({ trials: formatOrder(wanted) })}
      filter=""
      label="Trials: arrow keys move, Enter opens a trial"
      keyOf={keyOf}
      isChosen={({ trial }) => trial === chosen}
      open={openTrial}
    />
  );
}

const keyOf = ({ window, trial }: Trial): string => `trial-${window}-${trial}`;
