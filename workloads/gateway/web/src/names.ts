// Names of resources that are made beside others.
import type { Resource } from "./data/types";

/** The longest name that a resource may have. */
export const NAME_MAX = 40;

/** The names that resources have in a namespace. */
export const namesIn = (namespace: string, known: readonly Resource[]): ReadonlySet<string> =>
  new Set(known.filter(({ metadata }) => metadata.namespace === namespace).map(({ metadata }) => metadata.name));

/** The next name that is not taken: after tape tape-2, then tape-3. */
export function nextName(name: string, taken: ReadonlySet<string>): string {
  const base = name.replace(/-\d+$/, "");
  for (let n = 2; ; n += 1) {
    const ending = `-${n}`;
    const next = `${base.slice(0, NAME_MAX - ending.length)}${ending}`;
    if (!taken.has(next)) return next;
  }
}

/** A name with an ending that is not taken, such as grid-t3 of grid. */
export function freeNameOf(base: string, ending: string, taken: ReadonlySet<string>): string {
  const name = base.slice(0, NAME_MAX - ending.length).replace(/-+$/, "") + ending;
  return taken.has(name) ? nextName(name, taken) : name;
}
