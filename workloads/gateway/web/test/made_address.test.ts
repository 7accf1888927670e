// Where New leads after Apply: to what was made, whatever the Deck showed before.
import { expect, it } from "vitest";
import { placeOf } from "../src/new/made_address";

const made = (kind: string, spec: object) => placeOf({ kind, namespace: "default", name: "n", uid: "u-1", spec: { ...spec } });
const read = (address: string) => {
  const [path, query] = address.split("?");
  return [path, Object.fromEntries(new URLSearchParams(query))];
};

it("leads to a Replay on the Deck, and to a Backtest's report", () => {
  expect(made("Replay", {})).toEqual({ address: "/?replay=u-1", text: "Open the Deck" });
  expect(made("Backtest", {})).toEqual({ address: "/run/u-1", text: "Open its report" });
});

it.each([
  ["of files", { source: { files: { exchange: "mine", interval: "5m", sets: [{ symbol: "ABC/USD" }, { symbol: "DEF/USD" }] } } }, "mine:ABC/USD", "5m"],
  ["of an exchange", { exchange: "kraken", symbols: ["BTC/USD", "*/EUR"], intervals: ["1h"] }, "kraken:BTC/USD", "1h"],
  ["without an interval", { exchange: "kraken", symbols: ["BTC/USD"] }, "kraken:BTC/USD", undefined],
])("leads to the first market of a Feed %s, without a replay and a run", (_, spec, symbol, interval) => {
  const { address, text } = made("Feed", spec);
  expect([text, ...read(address)]).toEqual(["Open the Deck", "/", { symbol, replay: "", run: "", ...(interval !== undefined && { interval }) }]);
});

it.each([
  [{ source: { files: { exchange: "mine", sets: [{ path: "*.csv" }] } } }, "/markets?exchange=mine"],
  [{ exchange: "kraken", symbols: ["*/EUR"] }, "/markets?exchange=kraken"],
  [{}, "/markets"],
])("of a Feed whose symbols are known later leads to Markets: %j", (spec, address) => expect(made("Feed", spec)).toEqual({ address, text: "Open Markets" }));
