// Fields of forms: how what is written in them becomes a resource.
import { resourceTime } from "../written_time";
import type { Json } from "./yaml";

export type FieldType = "text" | "number" | "list" | "time" | "flag" | "choice";

/** What is written in a form, by the ids of its fields; of a flag "true" or nothing. */
export type Values = Readonly<Record<string, string>>;

export interface Field {
  id: string;
  label: string;
  type: FieldType;
  /** Where the value goes, such as spec.source.store.exchange; a number is the place in a list. Empty for nowhere. */
  path: string;
  initial?: string;
  options?: readonly string[];
  hint?: string;
  /** Whether the field belongs to what is chosen in others. */
  shown?: (values: Values) => boolean;
  /** What is wrong with a text, which the API server cannot know; empty for nothing. */
  refusal?: (text: string) => string;
}

export type Tree = { [name: string]: Json };

/** A field's value as its resource has it; undefined where nothing was written. */
export function valueOf(type: FieldType, text: string): Json | undefined {
  const trimmed = text.trim();
  if (trimmed === "") return undefined;
  if (type === "flag") return trimmed === "true" ? true : undefined;
  if (type === "list") return trimmed.split(/[\s,]+/).filter((each) => each !== "");
  if (type === "time") return resourceTime(trimmed);
  if (type !== "number") return trimmed;
  const number = Number(trimmed);
  return Number.isFinite(number) ? number : trimmed; // the check says what is wrong with it
}

/** Put a value at a path of names, and of numbers for lists. */
export function put(tree: Tree, path: string, value: Json): void {
  const names = path.split(".");
  let at = tree;
  names.forEach((name, i) => {
    const next = names[i + 1];
    if (next === undefined) at[name] = value;
    else at = (at[name] ??= /^\d+$/.test(next) ? [] : {}) as Tree; // a list takes its places as names
  });
}

export const shownFields = (fields: readonly Field[], values: Values): Field[] => fields.filter(({ shown }) => shown?.(values) ?? true);

/** Write the values of the shown fields into a resource. */
export function putValues(tree: Tree, fields: readonly Field[], values: Values): void {
  for (const { id, path, type } of shownFields(fields, values)) {
    const value = path === "" ? undefined : valueOf(type, values[id] ?? "");
    if (value !== undefined) put(tree, path, value);
  }
}

export const initialValues = (fields: readonly Field[]): Values => Object.fromEntries(fields.map(({ id, initial }) => [id, initial ?? ""]));

/** The ids of the fields of a strategy's params begin with it. */
export const PARAM = "param ";

/** What an address has of the fields, by their ids; choices that there are alone. Which params a strategy has, is known later. */
export function given(fields: readonly Field[], query: URLSearchParams): Values {
  const known = fields.flatMap(({ id, options }): [string, string][] => {
    const value = query.get(id);
    return value === null || (options !== undefined && !options.includes(value)) ? [] : [[id, value]];
  });
  return Object.fromEntries([...known, ...[...query].filter(([id]) => id.startsWith(PARAM))]);
}

/** The parameter of an address that has what no field of the form has, as JSON. */
export const REST = "rest";

/** The rest of a resource that an address has beside the fields. */
export function givenRest(query: URLSearchParams): Tree {
  try {
    const rest = JSON.parse(query.get(REST) ?? "{}") as Json;
    return isTree(rest) ? rest : {};
  } catch {
    return {};
  }
}

const isTree = (value: Json | undefined): value is Tree => typeof value === "object" && value !== null && !Array.isArray(value);

/** Put the rest into a resource, where the form has written nothing. */
export function putRest(tree: Tree, rest: Tree): void {
  for (const [name, value] of Object.entries(rest)) {
    const written = tree[name];
    if (written === undefined) tree[name] = value;
    else if (isTree(written) && isTree(value)) putRest(written, value);
  }
}
