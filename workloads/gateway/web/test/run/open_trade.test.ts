// The trade that is open after fills, compared with positions followed by hand.
import { describe, expect, it } from "vitest";
import type { Fill } from "../../src/data/types";
import { openTrade } from "../../src/run/open_trade";

const fills = (...given: [side: Fill["side"], size: number, symbol?: string][]): Fill[] =>
  given.map(([side, size, symbol = "A"], n) => ({ seq: n, symbol, ts: 10 * n, side, size, price: 100 + n }));
const open = (side: string, at: number) => ({
  symbol: "A", side, seq: null, entry_ts: 10 * at, entry_price: 100 + at, exit_ts: null, exit_price: null,
});

describe("the open trade", () => {
  it.each([
    ["nothing has been bought", fills(), null],
    ["all was sold", fills(["buy", 1], ["sell", 1]), null],
    ["tenths were sold that add up to it but for rounding", fills(["buy", 0.3], ["sell", 0.1], ["sell", 0.1], ["sell", 0.1]), null],
    ["it was added to", fills(["buy", 1], ["sell", 1], ["buy", 1], ["buy", 2]), open("long", 2)],
    ["a part was sold", fills(["buy", 2], ["sell", 1]), open("long", 0)],
    ["it was turned around", fills(["buy", 1], ["sell", 3]), open("short", 1)],
    ["another symbol was traded", fills(["sell", 1], ["buy", 1, "B"]), open("short", 0)],
    ["only another symbol is held", fills(["buy", 1, "B"]), null],
  ])("where %s", (_, given, expected) => expect(openTrade(given, "A")).toEqual(expected));
});
