// The symbols that a chart can be given, by a part of their names.
import { get } from "../data/request";
import type { SymbolListing } from "../data/types";
import { marketOf } from "./defaults";
import { replay, symbols } from "./selection";

const FOUND_MAX = 30;

/** A name without what its spellings differ in. */
const compact = (name: string): string => name.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");

/**
 * What is found for a text. The first chart can show any symbol, since it chooses the replay; those beside it show what that
 * plays, or the store where there is none.
 */
export async function findSymbols(text: string, chart: number): Promise<SymbolListing[]> {
  const shown = replay.peek();
  if (chart > 0 && shown !== null) return playedSymbols(text, `of the replay ${shown.namespace}/${shown.name}`);
  const found = await get<SymbolListing[]>("/search", { query: text, limit: FOUND_MAX });
  return found.filter(({ ticker, type }) => type !== "transform" && (chart === 0 || !ticker.startsWith("replay/")));
}

function playedSymbols(text: string, description: string): SymbolListing[] {
  const found = symbols.peek().filter((ticker) => compact(marketOf(ticker)).includes(compact(text)));
  return found.slice(0, FOUND_MAX).map((ticker) => {
    const [, exchange = "", symbol = ""] = /^(.*?):(.*)$/.exec(marketOf(ticker)) ?? [];
    return { ticker, symbol, exchange, description, type: "" };
  });
}
