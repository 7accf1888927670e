// Symbols whose bars end at about the same time: what is asked of one symbol ends with its own newest bar, whichever others are chosen.
import { lastClose } from "./intervals";
import type { StoredSymbol } from "./types";

/** The symbols with bars that end within a tolerance of the newest of them, which comes first; the newest group first. */
export function groupsByEnd(symbols: readonly StoredSymbol[], toleranceMs: number): StoredSymbol[][] {
  const groups: { end: number; of: StoredSymbol[] }[] = [];
  const newestFirst = [...symbols].sort((one, other) => endOf(other) - endOf(one));
  for (const symbol of newestFirst) {
    if (lastClose(symbol) === null) continue;
    const group = groups.find(({ end }) => end - endOf(symbol) <= toleranceMs);
    if (group === undefined) groups.push({ end: endOf(symbol), of: [symbol] });
    else group.of.push(symbol);
  }
  return groups.map(({ of }) => symbols.filter((each) => of.includes(each)));
}

export const endOf = (symbol: StoredSymbol): number => lastClose(symbol) ?? -Infinity;

/** When the newest bar of any of them closed. */
export const newestOf = (symbols: readonly StoredSymbol[]): number => Math.max(...symbols.map(endOf));

export const firstOf = ({ series }: StoredSymbol): number => Math.min(...series.map(({ first }) => first));
