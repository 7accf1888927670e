// @vitest-environment happy-dom
// The Deck over fake answers: what a reader sees of a replay that plays, of one that cannot be reached, and of none.
import { beforeEach, describe, expect, it, vi } from "vitest";
import {
  answers, eventually, idOf, M, open, place, PLAYED, receive, resource, see, socket, subscribed, tell, text,
} from "./deck_page";
import { applied, drawn } from "./fake_charts";

vi.mock("lightweight-charts", async () => (await import("./fake_charts")).fakeCharts);

describe("a replay that plays", () => {
  beforeEach(async () => {
    await open();
    await subscribed("replay");
    await subscribed("bars");
    tell({});
  });

  it("is shared with what is shown, although its address names nothing, and its newest bar is followed", async () => {
    const copied: string[] = [];
    const writeText = (text: string) => Promise.resolve(void copied.push(text));
    Object.defineProperty(navigator, "clipboard", { value: { writeText }, configurable: true });
    await see("#deck-state", "PLAYING");
    const bar = (n: number) => ({ ts: n * M, open: 1, high: 2, low: 1, close: 2, volume: 1, closed: true });
    receive({ type: "bars", id: idOf("bars"), snapshot: true, bars: [7, 8, 9].map(bar) });
    await see("#last-bar", "close 2.00");
    [...place.querySelectorAll("button")].find(({ textContent }) => textContent === "Share")?.click();
    await see(".share", "Link copied");
    const found = new URL(copied[0] ?? "");
    expect([found.pathname, Object.fromEntries(found.searchParams)]).toEqual([
      "/", {
        replay: "u1", run: "r1", symbol: "replay/u1/coinbase:BTC/USD", interval: "1m",
      },
    ]);
  });

  it("has its state and its clock in sight", async () => {
    await see("#deck-state", "PLAYING");
    await see("[data-figure='Virtual time']", "1970-01-01 00:10");
    expect(text("[data-figure='Measured']")).toBe("–");
    tell({ at: 1_000, position: 11 * M });
    tell({ at: 2_000, position: 12 * M - 376 });
    await see("[data-figure='Measured']", "59.8×");
    tell({ at: 2_500 });
    expect(text("[data-figure='Wanted']")).toBe("60× (1 min/s)");
    expect(text("[data-figure='Lateness']")).toBe("12 ms");
    expect(place.querySelector("[aria-label='Pause']")).not.toBeNull();
    expect(text("#connection")).toBe("live");
  });

  it("says again what was dismissed when it is refused again", async () => {
    const { controlProblem } = await import("../src/transport/controls");
    for (let n = 0; n < 2; n += 1) {
      controlProblem.value = "token: got none";
      await see("#problem", "token: got none");
      place.querySelector<HTMLButtonElement>("#problem button")?.click();
      await eventually(() => expect(place.querySelector("#problem")).toBeNull());
    }
  });

  it("steps by the bars that are shown, which may be longer than the wanted ones", async () => {
    const posted: unknown[] = [];
    const answering = fetch;
    vi.stubGlobal("fetch", (address: string, init?: RequestInit) => {
      if (init?.method !== "POST") return answering(address, init);
      posted.push(JSON.parse(init.body as string));
      return Promise.resolve(new Response("{}"));
    });
    answers["/symbols"] = { ticker: "x", pricescale: 100, timezone: "Etc/UTC", supported_resolutions: ["5"] };
    history.pushState(null, "", "/?symbol=coinbase:ETH/USD&interval=1m");
    answers["/api/replays"] = [{ ...PLAYED, symbols: ["BTC/USD", "ETH/USD"] }];
    window.dispatchEvent(new PopStateEvent("popstate"));
    const { shownLength } = await import("../src/transport/actions");
    await eventually(() => expect(shownLength.value?.interval).toBe("5m"));
    window.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
    window.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft" }));
    await eventually(() => expect(posted).toEqual([{ step: 5 }, { seek: 5 * M, paused: true }]));
  });

  it("says why where the gateway serves no bars of it, and shows them once there are some", async () => {
    receive({ type: "error", id: idOf("bars"), reason: "InvalidInput", detail: "symbol: got x, expected one with bars" });
    await see(".chart-cover", "No bars of this symbol");
    await see(".chart-cover", "symbol: got x, expected one with bars");
    expect(place.querySelector("#problem")).toBeNull();
    answers["/history"] = { s: "ok", t: [60], o: [1], h: [2], l: [1], c: [2], v: [1] };
    await see("#last-bar", "close 2.00");
    expect(place.querySelector(".chart-cover")).toBeNull();
  });

  it("is drawn up to its position, and taken back by a seek", async () => {
    const bar = (n: number) => ({ ts: n * M, open: 1, high: 2, low: 1, close: 2, volume: 1, closed: true });
    const last = () => place.querySelector<HTMLElement>("#chart")?.dataset["last"];
    receive({ type: "bars", id: idOf("bars"), snapshot: true, bars: [7, 8, 9].map(bar) });
    await eventually(() => expect(last()).toBe(String(9 * M)));
    await see("#legend", "O 1.00");
    await see("#last-bar", "close 2.00");
    receive({ type: "bars", id: idOf("bars"), bars: [bar(10)] });
    await see("[data-figure='Virtual time']", "1970-01-01 00:11"); // sooner than the next state
    receive({ type: "reset", id: idOf("bars"), reason: "seek" });
    receive({ type: "bars", id: idOf("bars"), snapshot: true, bars: [bar(2)] });
    tell({ position: 3 * M, epoch: "1.0", paused: true });
    await eventually(() => expect(last()).toBe(String(2 * M)));
    await see("[data-figure='Virtual time']", "1970-01-01 00:03");
    const candles = drawn.find(({ kind }) => kind === "Candlestick");
    expect(candles?.data.map(({ time }) => time / 60)).toEqual([2]);
    receive({ type: "bars", id: idOf("bars"), bars: [bar(3), bar(4)] });
    await see("[data-figure='Virtual time']", "1970-01-01 00:05");
    receive({ type: "bars", id: idOf("bars"), snapshot: true, bars: [] }); // after a seek to the start that was missed
    tell({ position: null, epoch: "2.0" });
    await see(".chart-cover", "No bars yet");
    expect(drawn.find(({ kind }) => kind === "Candlestick")?.data).toEqual([]);
  });

  it("says when the broker or the gateway cannot be reached", async () => {
    receive({ type: "services", broker: false, database: true });
    await see("#deck-state", "BROKER UNREACHABLE");
    await see("#connection", "no broker");
    socket.drop();
    await see("#deck-state", "GATEWAY UNREACHABLE");
    expect(place.querySelector<HTMLButtonElement>(".play")?.disabled).toBe(true);
    expect(text("[data-figure='Virtual time']")).toContain("00:10"); // what is known stays in sight
  });

  it("stays where it was scrolled to: only a change of zone or colours gives the charts options, and none an offset", async () => {
    const given = applied.at(-1) ?? []; // an earlier page may still follow the address
    await eventually(() => {
      const begun = given.findIndex((each) => JSON.stringify(each) === '{"timeScale":{"timeVisible":true}}');
      expect(begun).toBeGreaterThan(-1);
      expect(JSON.stringify(given.slice(begun + 1))).toContain("layout"); // the colours, in the zone of the shown series
    });
    const address = async (search: string) => {
      given.length = 0;
      history.pushState(null, "", search);
      window.dispatchEvent(new PopStateEvent("popstate"));
      await new Promise((resolve) => setTimeout(resolve, 50));
      return given.map((each) => JSON.stringify(each));
    };
    expect((await address("/?a=60000&indicators=sma:5")).join("|")).toBe("");
    const [options, ...others] = await address("/?a=60000&zone=local");
    expect([options?.includes("timeScale"), options?.includes("rightOffset"), others]).toEqual([true, false, []]);
  });

  it("offers to play it again after its end, and says so at every control that is off", async () => {
    tell({ ended: true });
    await see("#deck-state", "ENDED");
    await see(".buttons", "Play again");
    const reason = "Ended: Play again plays it from the start";
    expect(text("#ended")).toBe(reason);
    const off = [...place.querySelectorAll<HTMLButtonElement>(".transport :is(button, select):disabled")];
    expect(off.map(({ title }) => title)).toEqual(Array(off.length).fill(reason));
    expect(off.length).toBe(11);
  });

  it("is played for an hour from a click on the strip after its end, by a Replay that is made at once", async () => {
    const source = { store: { exchange: "coinbase", symbols: ["*"] } };
    answers["/api/v1/namespaces/default/replays"] = { metadata: { uid: "u2" } };
    const sent = vi.spyOn(globalThis, "fetch");
    answers["/api/v1/replays"] = { replays: [resource("Replay", "tape", "u1", { source }, { phase: "Complete" })] };
    await (await import("../src/data/resources")).replays.refresh();
    tell({ ended: true });
    await see("#deck-state", "ENDED");
    const strip = place.querySelector<HTMLElement>(".strip");
    vi.spyOn(strip as HTMLElement, "getBoundingClientRect").mockReturnValue(new DOMRect(0, 0, 600, 40));
    const click = () => strip?.dispatchEvent(new MouseEvent("click", { clientX: 203, bubbles: true })); // 18 seconds after the minute
    click();
    await see("#problem", "The store has no bar of this hour");
    answers["/api/v1/bars"] = { bars: [{ ts: 20 * M, close: 1 }] };
    click();
    await eventually(() => expect(location.search).toContain("replay=u2"));
    expect(Object.fromEntries(new URLSearchParams(location.search))).toEqual({
      replay: "u2", symbol: "replay/u2/coinbase:BTC/USD", interval: "1m", run: "r1",
    });
    const [body] = sent.mock.calls.flatMap(([, init]) => (init?.method === "POST" ? [JSON.parse(init.body as string) as object] : []));
    expect(body).toMatchObject({
      kind: "Replay", metadata: { name: "tape-hour" }, spec: {
        source: { store: { exchange: "coinbase", symbols: ["BTC/USD"], interval: "1m", from: "1970-01-01T00:20:00Z", to: "1970-01-01T01:20:00Z" } }, speed: 10,
      },
    });
  });

  it("leads to the form of the hour from a date that is written", async () => {
    const source = { store: { exchange: "coinbase", symbols: ["*"] } };
    answers["/api/v1/replays"] = { replays: [resource("Replay", "tape", "u1", { source }, { phase: "Complete" })] };
    await (await import("../src/data/resources")).replays.refresh();
    tell({ ended: true });
    await see("#deck-state", "ENDED");
    const goTo = [...place.querySelectorAll("button")].find(({ textContent }) => textContent === "Go to");
    expect([goTo?.disabled, goTo?.title]).toEqual([false, "Play the hour from a date at 10× (G)"]);
    window.dispatchEvent(new KeyboardEvent("keydown", { key: "g", bubbles: true }));
    await see("dialog", "Play the hour from a date (UTC)");
    const field = place.querySelector<HTMLInputElement>("#jump");
    const change = async (time: string) => {
      if (field !== null) field.value = time;
      field?.dispatchEvent(new Event("input", { bubbles: true }));
      await new Promise((resolve) => setTimeout(resolve, 20));
      [...place.querySelectorAll("dialog button")].find(({ textContent }) => textContent === "Change first…")?.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    };
    await change("1970-01-02 00:00");
    await see("dialog [role='alert']", "expected one from 1970-01-01 00:00 to 1970-01-01 01:00");
    await change("1970-01-01 00:07");
    await eventually(() => expect(location.pathname).toBe("/new"));
    const query = new URLSearchParams(location.search);
    expect([query.get("name"), query.get("from"), query.get("to")]).toEqual(["tape-hour", "1970-01-01T00:07:00Z", "1970-01-01T01:07:00Z"]);
  });

  it("is made once by a double click on Play again", async () => {
    const posted: string[] = [];
    const answering = fetch;
    vi.stubGlobal("fetch", (address: string, init?: RequestInit) => {
      if (init?.method !== "POST") return answering(address, init);
      posted.push(address);
      return new Promise(() => undefined);
    });
    tell({ ended: true });
    await see(".buttons", "Play again");
    const again = () => [...place.querySelectorAll("button")].find(({ textContent }) => textContent === "Play again");
    again()?.click();
    again()?.click();
    await eventually(() => expect(again()?.disabled).toBe(true));
    expect(posted).toEqual(["/api/v1/namespaces/default/replays"]);
  });

  it("says of a hole under the pointer from when to when it is", async () => {
    const strip = place.querySelector<HTMLElement>(".strip");
    vi.spyOn(strip as HTMLElement, "getBoundingClientRect").mockReturnValue(new DOMRect(0, 0, 600, 40));
    const titleAt = (clientX: number) => {
      strip?.dispatchEvent(new MouseEvent("pointermove", { clientX, bubbles: true }));
      return strip?.title;
    };
    await eventually(() => expect(titleAt(220)).toBe("No bars 1970-01-01 00:20–00:25 (5 min)"));
    await eventually(() => expect(titleAt(300)).toBe(""));
  });

  it("says in the dialog of a date where it has ended meanwhile", async () => {
    window.dispatchEvent(new KeyboardEvent("keydown", { key: "g", bubbles: true }));
    await eventually(() => expect(place.querySelector("#jump")).not.toBeNull());
    tell({ ended: true });
    await see("#deck-state", "ENDED");
    place.querySelector("dialog form")?.dispatchEvent(new Event("submit", { bubbles: true, cancelable: true }));
    await see("dialog [role='alert']", "Ended: Play again plays it from the start");
  });

  it("opens its dialogs by keys, which then have the keys", async () => {
    const press = (key: string) => window.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    press("?");
    await see("dialog", "One bar forward");
    press("g");
    expect(place.querySelectorAll("dialog")).toHaveLength(1);
    const keys = place.querySelector("dialog");
    keys?.dispatchEvent(new Event("close"));
    await eventually(() => expect(place.querySelector("dialog")).toBeNull());
    press("g");
    const jump = () => expect(place.querySelector<HTMLInputElement>("#jump")?.value).toBe("1970-01-01 00:10");
    await eventually(jump);
    keys?.dispatchEvent(new Event("close")); // as a browser tells of it once the dialog is gone
    await new Promise((resolve) => setTimeout(resolve, 50));
    jump();
  });
});

describe("the keyboard", () => {
  const pressOn = (target: EventTarget | null | undefined, key: string, options: KeyboardEventInit = {}) =>
    target?.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...options }));
  const button = (name: string) => [...place.querySelectorAll("button")].find(({ textContent }) => textContent === name);
  const posted: unknown[] = [];
  const searches = new Map<string | null, (found: unknown) => void>();

  beforeEach(async () => {
    posted.length = 0;
    searches.clear();
    const answering = fetch;
    vi.stubGlobal("fetch", (address: string, init?: RequestInit) => {
      const { pathname, searchParams } = new URL(address, "http://x");
      if (pathname === "/search" && searchParams.get("limit") === "30")
        return new Promise((answer) =>
          searches.set(searchParams.get("query"), (found) => answer(new Response(JSON.stringify(found)))),
        );
      if (init?.method !== "POST") return answering(address, init);
      posted.push(JSON.parse(init.body as string));
      return Promise.resolve(new Response("{}"));
    });
    answers["/api/replays"] = [{ ...PLAYED, symbols: ["BTC/USD", "ETH/USD"] }];
    history.replaceState(null, "", `/?a=${20 * M}&b=${30 * M}`);
    await open();
    await subscribed("replay");
    await subscribed("bars");
    tell({});
    await see("#deck-state", "PLAYING");
  });

  it("is that of an open dialog, whichever it is", async () => {
    button("Indicators")?.click();
    await see("dialog", "Moving average");
    pressOn(document.body, " ");
    place.querySelector("dialog")?.dispatchEvent(new Event("close"));
    await eventually(() => expect(place.querySelector("dialog")).toBeNull());
    pressOn(document.body, "]");
    await eventually(() => expect(posted).toEqual([{ speed: 120 }]));
  });

  it("moves the points of the loop by bars and to the ends of the range, and the position", async () => {
    const point = (name: string) => place.querySelector(`.handle.${name}`);
    pressOn(point("a"), "ArrowRight");
    await eventually(() => expect(location.search).toBe(`?a=${21 * M}&b=${30 * M}`));
    pressOn(point("a"), "ArrowLeft", { shiftKey: true });
    await eventually(() => expect(location.search).toBe(`?a=${11 * M}&b=${30 * M}`));
    pressOn(point("b"), "End");
    pressOn(point("a"), "Home");
    await eventually(() => expect(location.search).toBe(`?a=0&b=${60 * M}`));
    expect(posted).toEqual([]);
    pressOn(point("position"), "ArrowDown");
    pressOn(point("position"), "PageUp");
    await eventually(() => expect(posted).toEqual([{ seek: 9 * M, paused: true }, { step: 10 }]));
    pressOn(point("position"), "Tab");
    expect(posted).toHaveLength(2);
  });

  it("takes by Enter what is found for the present text, and keeps what is marked in sight", async () => {
    const listing = (symbol: string) => ({ symbol, ticker: `x:${symbol}`, description: "", exchange: "x", type: "crypto" });
    const seen = vi.spyOn(Element.prototype, "scrollIntoView").mockReturnValue();
    pressOn(document.body, "/");
    const input = () => place.querySelector<HTMLInputElement>("#search");
    await eventually(() => expect(searches.has("")).toBe(true));
    searches.get("")?.([listing("OLD"), listing("OLDER")]);
    await see("#found", "x:OLDER");
    pressOn(input(), "ArrowDown");
    await eventually(() => expect(seen.mock.contexts.at(-1)).toBe(place.querySelector("#found-1")));
    const field = input();
    if (field !== null) field.value = "new";
    field?.dispatchEvent(new Event("input", { bubbles: true }));
    await eventually(() => expect(searches.has("new")).toBe(true));
    pressOn(input(), "Enter");
    expect(place.querySelector("#search")).not.toBeNull();
    searches.get("new")?.([listing("NEW"), listing("NEWER")]);
    await eventually(() => expect(new URLSearchParams(location.search).get("symbol")).toBe("x:NEW"));
    await eventually(() => expect(place.querySelector("#search")).toBeNull());
    seen.mockRestore();
  });

  it("finds for a chart beside the first what the replay plays", async () => {
    history.pushState(null, "", "/?charts=2&symbol2=kraken:DOGE/USD&from2=1&to2=2");
    window.dispatchEvent(new PopStateEvent("popstate"));
    const charts = () => place.querySelectorAll<HTMLElement>(".chart");
    await eventually(() => expect(charts()).toHaveLength(2));
    for (const { id } of socket.sent.filter(({ channel }) => channel === "bars"))
      receive({ type: "bars", id, snapshot: true, bars: [{ ts: M, open: 1, high: 2, low: 1, close: 2, volume: 1, closed: true }] });
    await eventually(() => {
      const { id } = socket.sent.filter(({ channel }) => channel === "bars").at(-1) ?? {};
      receive({ type: "bars", id, snapshot: true, bars: [{ ts: M, open: 1, high: 2, low: 1, close: 2, volume: 1, closed: true }] });
      expect(charts()[1]?.textContent).toContain("symbol2: got kraken:DOGE/USD, expected a symbol that the replay tape plays");
    });
    expect(charts()[0]?.textContent).not.toContain("expected a symbol");
    charts()[1]?.querySelector<HTMLButtonElement>(".symbol")?.click();
    await see("#found", "coinbase:BTC/USD");
    const found = () => [...place.querySelectorAll("#found strong")].map(({ textContent }) => textContent);
    await eventually(() => expect(found()).toEqual(["coinbase:BTC/USD", "coinbase:ETH/USD"]));
    pressOn(place.querySelector("#search"), "ArrowDown");
    pressOn(place.querySelector("#search"), "Enter");
    await eventually(() => expect(new URLSearchParams(location.search).get("symbol2")).toBe("replay/u1/coinbase:ETH/USD"));
    expect(new URLSearchParams(location.search).has("from2")).toBe(false); // it was of the other symbol
  });
});

describe("the lists", () => {
  it("have state, speed, progress and problems", async () => {
    localStorage.setItem("tapedeck.layout", '{"lists":true,"drawer":true}');
    await open();
    await see("[data-name='files']", "no files match");
    await see("[data-name='tape']", "Running · 60x · 10/60");
    await see("[data-name='cross']", "Report");
    await eventually(() => expect(place.querySelector("[data-current='true']")?.getAttribute("data-name")).toBe("tape"));
  });

  it("have the replays that have started where resources cannot be read", async () => {
    localStorage.setItem("tapedeck.layout", '{"lists":true,"drawer":true}');
    delete answers["/api/v1/replays"];
    await open();
    await see("[aria-label='Replays']", "tape");
    await see("[aria-label='Replays']", "Not up to date: not here");
    await see("[aria-label='Feeds']", "files");
  });
});

describe("a deck without data", () => {
  it("shows the first commands, and what is wrong with the address", async () => {
    Object.assign(answers, { "/api/replays": [], "/api/v1/runs": { runs: [] } });
    history.replaceState(null, "", "/?replay=none-such");
    await open();
    await see("#empty", "tapedeck apply -f examples/replay.yaml");
    await see("#empty", "replay: got none-such");
    await see("#deck-state", "NO REPLAY");
  });

  it("shows no other market in place of one that a Feed will fill", async () => {
    answers["/search"] = [{ symbol: "BTC/USD", ticker: "coinbase:BTC/USD", exchange: "coinbase", description: "", type: "crypto" }];
    history.replaceState(null, "", "/?symbol=mine:ABC%2FUSD&replay=&run=");
    await open();
    await see("#empty", "No bars of mine:ABC/USD yet");
    await see("#deck-state", "NO REPLAY");
    answers["/search"] = [{ symbol: "ABC/USD", ticker: "mine:ABC/USD", exchange: "mine", description: "", type: "crypto" }];
    await (await import("../src/data/resources")).symbols.refresh();
    await eventually(() => expect(place.querySelector("#empty")).toBeNull());
  });

  it.each([["/api/replays", "/search"], ["/api/resolutions"]])("says what cannot be reached: %s", async (...paths) => {
    for (const path of paths) delete answers[path];
    await open();
    await see("#empty", "Unreachable");
  });
});

it.each([
  ["in a page of others", { embed: "chart", interval: "1m" }], ["of bars of an hour", { embed: "", interval: "1h" }],
])("an ended replay %s is not left by a click on its strip", async (_, { embed, interval }) => {
  const source = { store: { exchange: "coinbase", symbols: ["*"] } };
  answers["/api/v1/replays"] = { replays: [resource("Replay", "tape", "u1", { source }, { phase: "Complete" })] };
  answers["/api/replays"] = [{ ...PLAYED, interval, ended: true }];
  history.replaceState(null, "", `/?embed=${embed}`);
  await open();
  await subscribed("replay");
  tell({ ended: true });
  await see("#deck-state", "ENDED");
  await see("#ended", "Ended: Play again plays it from the start"); // its resource is known
  const strip = place.querySelector<HTMLElement>(".strip");
  vi.spyOn(strip as HTMLElement, "getBoundingClientRect").mockReturnValue(new DOMRect(0, 0, 600, 40));
  strip?.dispatchEvent(new MouseEvent("click", { clientX: 200, bubbles: true }));
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(location.pathname).toBe("/");
  const goTo = [...place.querySelectorAll("button")].find(({ textContent }) => textContent === "Go to");
  expect(goTo?.disabled).toBe(true);
});

it("an embedded chart has the transport and nothing else", async () => {
  history.replaceState(null, "", "/?embed=chart&charts=4&indicators=sma:5");
  await open();
  await see("[data-figure='Round']", "–");
  await eventually(() => expect(place.querySelectorAll(".chart")).toHaveLength(1));
  expect(place.querySelectorAll("header.head, aside, .deck-tools")).toHaveLength(0);
  await subscribed("bars");
});
