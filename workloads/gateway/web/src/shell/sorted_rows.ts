// The rows of a table: which of them contain a text, and in which order.
import {
  columnFilteringFeature, constructTable, createColumnHelper, createFilteredRowModel, createSortedRowModel,
  filterFn_includesString, globalFilteringFeature, rowSortingFeature, sortFn_basic, sortFn_text, tableFeatures,
} from "@tanstack/table-core";
import { storeReactivityBindings } from "@tanstack/table-core/store-reactivity-bindings";

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

export interface Order<Id extends string = string> {
  column: Id;
  descending: boolean;
}

/** What rows are sorted by and, where a column has text, searched in. A value that is missing comes last. */
export interface SortedColumn<Row, Id extends string> {
  id: Id;
  isText: boolean;
  value: (row: Row) => string | number | undefined;
}

export type SortedRows<Row, Id extends string> = (order: Order<Id>, text: string) => Row[];

/** A table of these rows. It is kept while the rows are the same. */
export function sortedRows<Row extends object, Id extends string>(
  rows: Row[],
  columns: readonly SortedColumn<Row, Id>[],
  keyOf: (row: Row) => string,
): SortedRows<Row, Id> {
  const helper = createColumnHelper<typeof features, Row>();
  const texts = new Set<string>(columns.filter(({ isText }) => isText).map(({ id }) => id));
  const table = constructTable({
    features,
    columns: helper.columns(
      columns.map(({ id, isText, value }) =>
        helper.accessor((row: Row): string | number | undefined => value(row), {
          id,
          sortFn: isText ? "text" : "basic",
          sortUndefined: "last",
        }),
      ),
    ),
    data: rows,
    getRowId: keyOf,
    globalFilterFn: "includesString",
    getColumnCanGlobalFilter: (column) => texts.has(column.id),
  });
  return (order, text) => {
    table.setSorting([{ id: order.column, desc: order.descending }]);
    table.setGlobalFilter(text.trim());
    return table.getRowModel().rows.map((row) => row.original);
  };
}
