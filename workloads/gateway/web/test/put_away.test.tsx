// @vitest-environment happy-dom
// A chosen run on the Deck when another replay is chosen, or another market: it stays, or the drawer says where it belongs.
import { expect, it, vi } from "vitest";
import { answers, eventually, open, place, PLAYED, resource, see, text } from "./deck_page";

vi.mock("lightweight-charts", async () => (await import("./fake_charts")).fakeCharts);

const show = async (query: string) => {
  localStorage.setItem("tapedeck.layout", '{"lists":true,"drawer":true}');
  answers["/api/replays"] = [PLAYED, { ...PLAYED, uid: "u2", name: "same" }, { ...PLAYED, uid: "u3", name: "other", symbols: ["ETH/USD"] }];
  answers["/api/v1/replays"] = {
    replays: [["tape", "u1"], ["same", "u2"], ["other", "u3"]].map(([name = "", uid = ""]) => resource("Replay", name, uid, {}, { phase: "Paused", speed: "paused", progress: "1/2" })),
  };
  answers["/search"] = [{ symbol: "ABC/USD", ticker: "mine:ABC/USD", description: "", exchange: "mine", type: "crypto" }];
  history.replaceState(null, "", query);
  await open();
  await eventually(() => expect(place.querySelectorAll(".lists .row[data-name]").length).toBeGreaterThan(3));
};
const choose = (name: string) => place.querySelector<HTMLButtonElement>(`.lists .row[data-name="${name}"] button`)?.click();
const chosenRun = () => new URLSearchParams(location.search).get("run");

it("stays on a replay of its market, and is put away with a line on another", async () => {
  await show("/?run=r1");
  choose("same");
  await eventually(() => expect([new URLSearchParams(location.search).get("replay"), chosenRun()]).toEqual(["u2", "r1"]));
  choose("other");
  await see(".drawer", "cross was put away: it traded coinbase:BTC/USD, which other does not play.");
  expect(chosenRun()).toBeNull();
  choose("tape");
  await eventually(() => expect(text(".drawer")).not.toContain("put away"));
});

it("is none beside a market of the store that it has not traded, unless it is chosen, which is said", async () => {
  await show("/?symbol=mine:ABC/USD");
  await see(".drawer", "No run of this market.");
  history.pushState(null, "", "/?symbol=mine:ABC/USD&replay=&run=r1");
  window.dispatchEvent(new PopStateEvent("popstate"));
  await see(".drawer", "It traded BTC/USD of coinbase, which the first chart does not show.");
});

it("a paused replay says so once", async () => {
  await show("/");
  expect(text('.row[data-name="tape"] .facts')).toBe("Paused · 1/2");
});
