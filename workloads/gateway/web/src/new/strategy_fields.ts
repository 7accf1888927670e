// The fields of a Backtest's strategy: the choice of the built-in ones, and the params of the chosen one.
import type { StrategySummary } from "../data/api";
import { type Field, PARAM, type Tree, type Values } from "./fields";
import { when } from "./forms";

/** Of a strategy that is not built in the gateway knows what runs gave it, and of those that run has the name. */
export type KnownStrategy = Pick<StrategySummary, "strategy" | "params" | "about" | "given_in">;

/** The fields of a Backtest with those of its strategy; ``first`` is what the address has, ``rest`` what it has no field for. */
export function withStrategies(fields: readonly Field[], known: readonly KnownStrategy[], values: Values, first: Values = {}, rest: Tree = {}): Field[] {
  const builtins = known.filter(({ about }) => about !== null);
  return fields.flatMap((field) => {
    if (field.id === "builtin") return [builtinField(field, builtins, values), ...builtinParams(builtins, values, first)];
    if (field.id === "module") return [field, ...moduleParams(known, values, rest)];
    return [field];
  });
}

function builtinField(field: Field, builtins: readonly KnownStrategy[], values: Values): Field {
  const about = builtins.find(({ strategy }) => strategy === values["builtin"])?.about ?? undefined;
  const options = builtins.length === 0 ? [values["builtin"] ?? ""] : builtins.map(({ strategy }) => strategy);
  return { ...field, ...(about !== undefined && { hint: about }), options };
}

/** All params of the chosen strategy, and while it is not known those of the address. */
function builtinParams(builtins: readonly KnownStrategy[], values: Values, first: Values): Field[] {
  const defaults = builtins.find(({ strategy }) => strategy === values["builtin"])?.params ?? {};
  const ofAddress = first["builtin"] === values["builtin"] ? givenParams(first) : {};
  return Object.entries({ ...ofAddress, ...defaults }).map(([name, value]) => ({
    ...paramField(name, value),
    ...(name in defaults && { hint: `${String(value)} if empty`, refusal: (text: string) => refusalOf(text, value) }),
    shown: when("strategy", "built-in"),
  }));
}

/** The params that runs gave this strategy: its defaults are not known. What the rest gives has no field. */
function moduleParams(known: readonly KnownStrategy[], values: Values, rest: Tree): Field[] {
  const chosen = known.find(({ strategy, about }) => about === null && strategy === values["module"]?.trim());
  const given = (((rest["spec"] ?? {}) as Tree)["strategy"] ?? {}) as Tree;
  const ofRest = (given["params"] ?? {}) as Tree;
  return Object.entries(chosen?.params ?? {}).filter(([name]) => !(name in ofRest)).map(([name, value]) => ({
    ...paramField(name, value),
    hint: `${String(value)} in run ${chosen?.given_in[name] ?? ""}`,
    shown: when("strategy", "module"),
  }));
}

const paramField = (name: string, value: unknown): Field => ({
  id: `${PARAM}${name}`, label: name, type: typeof value === "number" ? "number" : "text", path: `spec.strategy.params.${name}`,
});

/** What the strategy's pod refuses, and the API server cannot know: it wants a number where the default is one. */
const refusalOf = (text: string, value: unknown): string =>
  typeof value !== "number" || text.trim() === "" || Number.isFinite(Number(text)) ? "" : `got ${text.trim()}, expected a number, such as its default ${value}`;

/** The params that an address has: the strategy may be described later. */
const givenParams = (values: Values): Record<string, number | string> =>
  Object.fromEntries(Object.entries(values).filter(([id]) => id.startsWith(PARAM)).map(([id, text]) => {
    return [id.slice(PARAM.length), text !== "" && Number.isFinite(Number(text)) ? Number(text) : text];
  }));
