// What an address selects where it names a symbol and no replay.
import { describe, expect, it } from "vitest";
import { replayOf } from "../src/pickers";
import type { SymbolListing } from "../src/types";

const stored = [{ ticker: "coinbase:BTC/USD" }] as SymbolListing[];

describe("the replay of a symbol", () => {
  it.each([
    ["replay/a-uid/coinbase:BTC/USD", "a-uid"],
    ["coinbase:BTC/USD", ""],
    ["coinbase:ETH/USD", null],
    ["BTC/USD", null],
    [null, null],
  ])("%s selects %s", (symbol, replay) => {
    expect(replayOf(symbol, stored)).toBe(replay);
  });
});
