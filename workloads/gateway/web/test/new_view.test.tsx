// @vitest-environment happy-dom
// The view New over fake answers: what it says of a text that is checked and applied, whatever is answered first.
import { render } from "preact";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { NewView } from "../src/new/new_view";
import { startRouter } from "../src/shell/router";
import { keepToken } from "../src/token";

vi.mock("../src/new/code_mirror", () => { throw new Error("the plain field stays"); });

const SMA = { strategy: "sma-cross", params: { fast: 10 }, about: "Averages.", given_in: {} };

let place: HTMLElement;
/** What was posted: whether to check alone, and how to answer. */
let posted: { isCheck: boolean; answer: (status: number, body: object) => Promise<unknown> }[] = [];

const text = () => place.querySelector("#outcome")?.textContent ?? "";
const after = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const press = async (name: string) => {
  [...place.querySelectorAll("button")].find(({ textContent }) => textContent === name)?.click();
  await after(0);
};

beforeEach(async () => {
  posted = [];
  vi.useFakeTimers();
  vi.stubGlobal("fetch", (address: string, init?: RequestInit) => {
    if (address.startsWith("/search")) return Promise.resolve(new Response(JSON.stringify([{ ticker: "coinbase:BTC/USD", type: "crypto" }])));
    if (address.startsWith("/api/v1/strategies")) return Promise.resolve(new Response(JSON.stringify({ strategies: [SMA] })));
    if (init?.method !== "POST") return Promise.resolve(new Response('{"strategies":[],"feeds":[],"replays":[],"backtests":[]}'));
    return new Promise((resolve) => {
      const answer = (status: number, body: object) => {
        resolve(new Response(JSON.stringify(body), { status }));
        return after(0);
      };
      posted.push({ isCheck: address.endsWith("dryRun=1"), answer });
    });
  });
  keepToken("a-token");
  history.replaceState(null, "", "/new?kind=feed");
  startRouter();
  place = document.body.appendChild(document.createElement("div"));
  render(<NewView />, place);
  await after(100);
});
afterEach(async () => {
  render(null, place);
  await after(100);
  place.remove();
  sessionStorage.clear();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const MADE = { kind: "Feed", metadata: { name: "my-feed", namespace: "default", uid: "u" }, spec: { exchange: "kraken", symbols: ["BTC/USD"] } };

it("is applied without a check that would find its name taken", async () => {
  await press("Apply");
  await posted[0]?.answer(201, MADE);
  await after(2_000);
  expect(posted.map(({ isCheck }) => isCheck)).toEqual([false]);
  expect(text()).toContain("Feed default/my-feed was created.");
  expect(place.querySelector("#outcome a")?.getAttribute("href")).toBe("/?symbol=kraken%3ABTC%2FUSD&replay=&run=");
});

it("has nothing of another form where another kind is chosen, and keeps what the address has of its own", async () => {
  history.replaceState(null, "", "/new?kind=replay&name=tape-hour&symbols=ETH%2FUSD&from=2018-04-05T11:00:00Z");
  window.dispatchEvent(new PopStateEvent("popstate"));
  await after(100);
  const written = () => ["name", "symbols"].map((field) => place.querySelector<HTMLInputElement>(`[data-field='${field}'] input`)?.value);
  expect(written()).toEqual(["tape-hour", "ETH/USD"]);
  await press("Replay");
  expect(location.search).toContain("name=tape-hour");
  await press("Backtest");
  expect(location.search).toBe("?kind=backtest");
  await after(100);
  expect(written()).toEqual(["my-backtest", "BTC/USD"]);
});

it("says what was asked last, though an earlier answer is late", async () => {
  await after(1_000);
  const name = place.querySelector<HTMLInputElement>("input:not([type='file'])");
  if (name !== null) name.value = "other";
  name?.dispatchEvent(new Event("input", { bubbles: true }));
  await after(0);
  await press("Apply");
  expect(posted.map(({ isCheck }) => isCheck)).toEqual([true, false]);
  await posted[1]?.answer(201, MADE);
  await posted[0]?.answer(409, { detail: "Feed my-feed exists already" });
  expect(text()).toContain("Feed default/my-feed was created.");
});

const write = async (field: string, value: string) => {
  const input = place.querySelector<HTMLInputElement>(`[data-field='${field}'] input`);
  if (input !== null) input.value = value;
  input?.dispatchEvent(new Event("input", { bubbles: true }));
  await after(600);
};
const applies = () => [...place.querySelectorAll("button")].find(({ textContent }) => textContent === "Apply")?.disabled === false;

it("refuses what the run would refuse at its start, and warns of what the store lacks", async () => {
  await press("Backtest");
  await after(100);
  await write("param fast", "abc");
  await posted.at(-1)?.answer(200, MADE);
  expect(place.querySelector("[data-field='param fast'] .wrong")?.textContent).toBe("got abc, expected a number, such as its default 10");
  expect([text(), applies()]).toEqual([expect.not.stringContaining("It can be applied"), false]);
  await write("param fast", "12");
  await write("symbols", "DOGE/USD");
  await posted.at(-1)?.answer(200, MADE);
  expect(place.querySelector("[data-field='symbols'] .warned")?.textContent).toBe("coinbase has no bars of DOGE/USD in the store");
  expect([text(), applies()]).toEqual(["It can be applied.", true]);
});
