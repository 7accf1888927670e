// What the page knows of a form's values and the API server does not: what is refused at the start of a run, and what the store lacks.
import type { SymbolListing } from "../data/types";
import type { Problem } from "./apply";
import { type Field, shownFields, valueOf, type Values } from "./fields";

/** What is refused of the shown fields, without asking. */
export const refusals = (fields: readonly Field[], values: Values): Problem[] =>
  shownFields(fields, values).flatMap(({ id, path, refusal }) => {
    const message = refusal?.(values[id] ?? "") ?? "";
    return message === "" ? [] : [{ field: path, message }];
  });

/** What can be applied, and is unlikely to be meant: a symbol of a stored range that the store does not have. It may come later. */
export function storeWarnings(fields: readonly Field[], values: Values, stored: readonly SymbolListing[] | null): Problem[] {
  const field = shownFields(fields, values).find(({ path }) => path.endsWith(".store.symbols"));
  const exchange = values["exchange"]?.trim() ?? "";
  if (field === undefined || stored === null || exchange === "") return [];
  const symbols = valueOf("list", values[field.id] ?? "") ?? [];
  const tickers = new Set(stored.map(({ ticker }) => ticker));
  const lacking = (symbols as string[]).filter((symbol) => !symbol.includes("*") && !tickers.has(`${exchange}:${symbol}`));
  return lacking.length === 0 ? [] : [{ field: field.path, message: `${exchange} has no bars of ${lacking.join(", ")} in the store` }];
}
