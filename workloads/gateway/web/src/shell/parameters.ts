// What is chosen within a view, as its address has it.
import { address } from "./router";
import type { Order } from "./sorted_rows";

/** A parameter of the present address; "" where it is not there. */
export const parameter = (name: string): string => address.value.query.get(name) ?? "";

export function oneOf<T extends string>(known: readonly T[], wanted: string, otherwise: T): T {
  return known.find((each) => each === wanted) ?? otherwise;
}

/** The order of a table, such as -day: by the change of a day, the greatest first. */
export function parseOrder<Id extends string>(text: string, columns: readonly Id[], otherwise: Id): Order<Id> {
  const column = oneOf(columns, text.replace(/^-/, ""), otherwise);
  return { column, descending: text.startsWith("-") };
}

export const formatOrder = ({ column, descending }: Order): string => `${descending ? "-" : ""}${column}`;
