// Resources as YAML: how a form writes them, and what a text says of the resource in it.

export type Json = string | number | boolean | null | Json[] | { [name: string]: Json };

/** Words and lengths of bars, which every reader of YAML takes for texts. */
const PLAIN = /^(?:[A-Za-z][\w./-]*|\d+[smhdwM])$/;
/** What some readers take for no text. */
const RESERVED = /^(?:true|false|null|yes|no|on|off|y|n)$/i;

export const toYaml = (value: { [name: string]: Json }): string => `${linesOf(value).join("\n")}\n`;

function linesOf(value: Json): string[] {
  if (Array.isArray(value)) return value.flatMap(itemLines);
  if (typeof value !== "object" || value === null) return [scalar(value)];
  return Object.entries(value).flatMap(([name, each]) => {
    if (isInline(each)) return [`${scalar(name)}: ${inline(each)}`];
    return [`${scalar(name)}:`, ...linesOf(each).map((line) => `  ${line}`)];
  });
}

function itemLines(item: Json): string[] {
  if (isInline(item)) return [`- ${inline(item)}`];
  return linesOf(item).map((line, i) => (i === 0 ? `- ${line}` : `  ${line}`));
}

/** Values, lists of values and what is empty stand in one line. */
function isInline(value: Json): boolean {
  if (typeof value !== "object" || value === null) return true;
  if (Array.isArray(value)) return value.every((each) => typeof each !== "object" || each === null);
  return Object.keys(value).length === 0;
}

const inline = (value: Json): string =>
  Array.isArray(value) ? `[${value.map(inline).join(", ")}]` : typeof value === "object" && value !== null ? "{}" : scalar(value);

function scalar(value: string | number | boolean | null): string {
  if (typeof value !== "string") return String(value);
  return PLAIN.test(value) && !RESERVED.test(value) ? value : JSON.stringify(value);
}

/** Which resource a text is of: its kind, namespace and name; empty where it does not say. */
export interface Identity {
  kind: string;
  namespace: string;
  name: string;
}

export function identityOf(text: string): Identity {
  const metadata = /^metadata:[ \t]*\n((?:[ \t]+.*\n?|[ \t]*\n)*)/m.exec(text)?.[1] ?? "";
  const inlined = /^metadata:[ \t]*\{(.*)\}/m.exec(text)?.[1] ?? "";
  return {
    kind: unquoted(/^kind:[ \t]*(\S+)/m.exec(text)?.[1]),
    namespace: unquoted(/(?:^|[ \t,])namespace:[ \t]*([^\s,]+)/m.exec(metadata + inlined)?.[1]),
    name: unquoted(/(?:^|[ \t,])name:[ \t]*([^\s,]+)/m.exec(metadata + inlined)?.[1]),
  };
}

const unquoted = (text = ""): string => text.replace(/^(["'])(.*)\1$/, "$2");
