// @vitest-environment happy-dom
// The whole Deck over fake answers: what a reader sees of a replay that plays, of one that cannot be reached, and of none.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { applied, brought, drawn } from "./fake_charts";
import { FakeWebSocket } from "./fake_socket";
import { trade } from "./run/made";

vi.mock("lightweight-charts", async () => (await import("./fake_charts")).fakeCharts);

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 }); // for a busy machine
const eventually = (check: () => void) => vi.waitFor(check, { timeout: 30_000, interval: 20 });

const M = 60_000;
const RANGE = { range_from: 0, range_to: 60 * M };
const PLAYED = {
  uid: "u1", name: "tape", namespace: "default", exchange: "coinbase", symbols: ["BTC/USD"], interval: "1m", ...RANGE,
  position: 10 * M, epoch: "0.0", published: 10, ended: false, transforms: ["sma5"],
};
const RUN = { run_id: "r1", name: "cross", strategy: "sma-cross", replay_uid: "u1", exchange: "coinbase", symbols: ["BTC/USD"], state: "running", cash: 100 };
const resource = (kind: string, name: string, uid: string, spec: object, status: object) => ({
  apiVersion: "v", kind, metadata: { name, namespace: "default", uid }, spec, status,
});
const RESOLUTIONS = [
  { resolution: "1", interval: "1m", width_ms: M, origin_ms: 0 },
  { resolution: "5", interval: "5m", width_ms: 5 * M, origin_ms: 0 },
];

let answers: Record<string, unknown> = {};
let place: HTMLElement;
let socket: FakeWebSocket;
let seq = 1;
let unmount = () => undefined as void;

beforeEach(() => {
  answers = {
    "/api/replays": [PLAYED],
    "/api/resolutions": RESOLUTIONS,
    "/api/v1/runs": { runs: [RUN] },
    "/api/v1/feeds": { feeds: [resource("Feed", "files", "f1", {}, { phase: "Failed", message: "no files match" })] },
    "/api/v1/replays": { replays: [resource("Replay", "tape", "u1", { speed: 60 }, { phase: "Running", speed: "60x", progress: "10/60" })] },
    "/api/v1/backtests": { backtests: [resource("Backtest", "cross", "b1", {}, { phase: "Running", runId: "r1" })] },
    "/api/v1/bars": { bars: [] },
    "/api/v1/coverage": { holes: [{ from: 20 * M, to: 25 * M }] },
    "/api/v1/runs/r1/fills": { fills: [] },
    "/api/runs/r1/equity": [],
    "/symbols": { ticker: "x", pricescale: 100, minmove2: 0, timezone: "Etc/UTC", supported_resolutions: ["1"] },
    "/search": [],
    "/history": { s: "no_data" },
  };
  FakeWebSocket.opened = [];
  drawn.length = brought.length = 0;
  vi.stubGlobal("WebSocket", FakeWebSocket);
  vi.stubGlobal("fetch", (address: string) => {
    const answer = answers[new URL(address, "http://x").pathname];
    if (answer === undefined) return Promise.resolve(new Response(JSON.stringify({ detail: "not here" }), { status: 503 }));
    return Promise.resolve(new Response(JSON.stringify(answer)));
  });
  localStorage.clear();
  history.replaceState(null, "", "/");
  place = document.body.appendChild(document.createElement("div"));
});
afterEach(async () => {
  unmount();
  await new Promise((resolve) => setTimeout(resolve, 100)); // effects end a moment later: an earlier page must not hear keys
  place.remove();
  vi.unstubAllGlobals();
});

async function open() {
  vi.resetModules();
  const [{ App }, { startRouter }, { connect }, preact] = await Promise.all([
    import("../src/shell/app"), import("../src/shell/router"), import("../src/data/gateway_socket"), import("preact"),
  ]);
  startRouter();
  connect();
  socket = FakeWebSocket.newest(); // an earlier page may still try to connect again
  preact.render(<App />, place);
  unmount = () => preact.render(null, place);
  socket.open();
  receive({ type: "welcome", session: "s", limits: { ping_seconds: 15 } });
  receive({ type: "services", broker: true, database: true });
}

const receive = (message: object) => socket.receive({ seq: (seq += 1), ...message });
const idOf = (channel: string) => socket.sent.find((each) => each["channel"] === channel)?.["id"];
const subscribed = (channel: string) => eventually(() => expect(idOf(channel)).toBeDefined());
const tell = (state: object) =>
  receive({
    type: "replay", id: idOf("replay"), replay: "u1", namespace: "default", name: "tape", ...RANGE, epoch: "0.0", round: 0, speed: 60,
    unpaced: false, measured_speed: 59.81, paused: false, ended: false, lateness_ms: 12, published: 10, position: 10 * M, at: 0, ...state,
  });
const text = (selector: string) => place.querySelector(selector)?.textContent ?? "";
const see = (selector: string, expected: string) => eventually(() => expect(text(selector)).toContain(expected));

describe("a replay that plays", () => {
  beforeEach(async () => {
    await open();
    await subscribed("replay");
    await subscribed("bars");
    tell({});
  });

  it("is shared with what is shown, although its address names nothing", async () => {
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
        replay: "u1", run: "r1", symbol: "replay/u1/coinbase:BTC/USD", interval: "1m", from: String(7 * M), to: String(9 * M),
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

  it("is played for an hour from a click on the strip after its end, by the form of a Replay", async () => {
    const source = { store: { exchange: "coinbase", symbols: ["*"] } };
    answers["/api/v1/replays"] = { replays: [resource("Replay", "tape", "u1", { source }, { phase: "Complete" })] };
    await (await import("../src/data/resources")).replays.refresh();
    tell({ ended: true });
    await see("#deck-state", "ENDED");
    const strip = place.querySelector<HTMLElement>(".strip");
    vi.spyOn(strip as HTMLElement, "getBoundingClientRect").mockReturnValue(new DOMRect(0, 0, 600, 40));
    strip?.dispatchEvent(new MouseEvent("click", { clientX: 200, bubbles: true }));
    await eventually(() => expect(location.pathname).toBe("/new"));
    expect(Object.fromEntries(new URLSearchParams(location.search))).toEqual({
      kind: "replay", name: "tape-hour", exchange: "coinbase", symbols: "BTC/USD", interval: "1m", speed: "10",
      from: "1970-01-01T00:20:00Z", to: "1970-01-01T01:20:00Z",
    });
  });

  it("says of a hole under the pointer from when to when it is", async () => {
    const strip = place.querySelector<HTMLElement>(".strip");
    vi.spyOn(strip as HTMLElement, "getBoundingClientRect").mockReturnValue(new DOMRect(0, 0, 600, 40));
    const titleAt = (clientX: number) => {
      strip?.dispatchEvent(new MouseEvent("pointermove", { clientX, bubbles: true }));
      return strip?.title;
    };
    await eventually(() => expect(titleAt(220)).toBe("No bars 01 Jan 00:20 – 01 Jan 00:25 (5 min)"));
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
    history.pushState(null, "", "/?charts=2&symbol2=kraken:DOGE/USD");
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
  });
});

describe("the chart of a replay", () => {
  const bar = (ts: number, price = 2) => ({ ts, open: price, high: price, low: price, close: price, volume: 1, closed: true });
  const show = async (query: string, bars: object[]) => {
    history.replaceState(null, "", query);
    await open();
    for (const channel of ["replay", "bars"]) await subscribed(channel);
    receive({ type: "bars", id: idOf("bars"), snapshot: true, bars });
  };

  it("has prices and their differences by the decimals that bars use, as soon as one has more than those before it", async () => {
    await show("/?indicators=atr:2,sma:2,rsi:2", [bar(7 * M, 1.08), bar(8 * M, 1.08)]);
    await see("#legend", "C 1.08 ");
    receive({ type: "bars", id: idOf("bars"), bars: [bar(9 * M, 1.08345), bar(10 * M, 1.08445)] });
    await see("#legend", "C 1.08445 ");
    expect(text("#legend")).toContain("ATR 2 0.00136"); // (0 + 0) / 2, then halves: 0.00345 / 2, and 0.001 with that
    expect(text("#legend")).toContain("SMA 2 1.08395");
    expect(text("#legend")).toContain("RSI 2 100.00");
  });

  it("loads bars back to midnight for the VWAP", async () => {
    const opens = Array.from({ length: 600 }, (_, n) => n);
    const all = (value: number) => opens.map(() => value);
    answers["/history"] = { s: "ok", t: opens.map((n) => n * 60), o: all(2), h: all(2), l: all(2), c: all(2), v: all(1) };
    await show("/?indicators=vwap", Array.from({ length: 400 }, (_, n) => bar((600 + n) * M, 4)));
    await eventually(() => expect(place.querySelector<HTMLElement>("#chart")?.dataset["first"]).toBe("0"));
    await see("#legend", "VWAP 2.80"); // of 600 at 2 and 400 at 4
  });

  it("ends a month with its last day", async () => {
    const month = { resolution: "1M", interval: "1M", width_ms: 31 * 1_440 * M, origin_ms: 0 };
    answers["/api/resolutions"] = [...RESOLUTIONS, month];
    Object.assign(answers["/symbols"] as object, { supported_resolutions: ["1", "1M"] });
    await show("/?interval=1M", []);
    tell({ position: Date.UTC(1970, 1, 27) });
    receive({ type: "bars", id: idOf("bars"), bars: [bar(Date.UTC(1970, 1, 1))] });
    await see("[data-figure='Virtual time']", "1970-03-01 00:00");
  });

  it("is in the exchange's time, and so is what stands beside it", async () => {
    Object.assign(answers["/symbols"] as object, { timezone: "America/New_York" });
    await show("/?zone=exchange", [bar(9 * M)]);
    tell({});
    await see("#legend", "1969-12-31 19:09");
    await see("[data-figure='Virtual time']", "1969-12-31 19:10");
  });
});

describe("a run that has ended", () => {
  const bar = (n: number) => ({ ts: n * M, open: 1, high: 2, low: 1, close: 2, volume: 1, closed: true });
  const chart = () => place.querySelector<HTMLElement>("#chart")?.dataset;
  const show = async () => {
    await open();
    for (const channel of ["replay", "bars", "fills", "equity"]) await subscribed(channel);
    tell({});
    receive({ type: "bars", id: idOf("bars"), snapshot: true, bars: [2, 3, 4, 5, 6, 7, 8, 9].map(bar) });
  };

  beforeEach(() => {
    localStorage.setItem("tapedeck.layout", '{"lists":true,"drawer":true}');
    answers["/api/v1/runs"] = { runs: [{ ...RUN, state: "complete" }] };
    answers["/api/runs/r1/equity"] = [[0, 4 * M, 7, 0, null, null, null]];
    const trades = [trade({ seq: 3, entry_ts: 4 * M, exit_ts: 6 * M }), trade({ seq: 4, entry_ts: 5 * M, exit_ts: 12 * M })];
    answers["/api/v1/runs/r1/trades"] = { trades, next: null };
  });

  it("is drawn when its results arrive", async () => {
    await show();
    for (const channel of ["fills", "equity"]) receive({ type: channel, id: idOf(channel), snapshot: true, fills: [], points: [] });
    await eventually(() => expect(chart()?.["equity"]).toBe("1"));
  });

  it("has the trade that the address names on the chart, until it is hidden", async () => {
    history.replaceState(null, "", "/?run=r1&trade=3");
    await show();
    await see("#trade", "Trade 3: long, 1970-01-01 00:04 to 1970-01-01 00:06");
    await eventually(() => expect(chart()?.["trade"]).toBe(`${3 * M} ${5 * M}`));
    place.querySelector<HTMLButtonElement>("#trade button")?.click();
    await eventually(() => expect(chart()?.["trade"]).toBe(""));
    expect(location.search).toBe("?run=r1");
  });

  it("has no trade that it has closed after the position, as after a seek back", async () => {
    history.replaceState(null, "", "/?run=r1&trade=3");
    await show();
    await see("#trade", "Trade 3: long");
    receive({ type: "reset", id: idOf("bars"), reason: "seek" });
    tell({ position: 5 * M, epoch: "1.0" });
    await see("#trade", "expected a trade that the run has closed up to the replay's position");
    expect(text("#trade")).not.toContain("1970");
    tell({ position: null, epoch: "2.0" });
    expect(text("#trade")).toContain("expected a trade");
    tell({ position: 6 * M, epoch: "3.0" });
    await see("#trade", "Trade 3: long, 1970-01-01 00:04 to 1970-01-01 00:06");
  });

  it("is not drawn on the chart of another exchange", async () => {
    answers["/api/v1/runs"] = { runs: [{ ...RUN, exchange: "kraken", state: "complete" }] };
    answers["/api/v1/runs/r1/fills"] = { fills: [{ seq: 0, symbol: "BTC/USD", ts: 4 * M, side: "buy", size: 1, price: 1 }] };
    history.replaceState(null, "", "/?run=r1&trade=3");
    await show();
    for (const channel of ["fills", "equity"]) receive({ type: channel, id: idOf(channel), snapshot: true, fills: [], points: [] });
    await eventually(() => expect(chart()?.["equity"]).toBe("1"));
    await see("#trade", "Trade 3");
    expect([chart()?.["markers"], chart()?.["trade"]]).toEqual(["0", ""]);
    history.pushState(null, "", "/?run=r1&trade=open");
    window.dispatchEvent(new PopStateEvent("popstate"));
    await see("#trade", "No trade of this symbol is open.");
  });

  it("leads from a trade to the form of the hour around its entry", async () => {
    answers["/api/v1/replays"] = {
      replays: [resource("Replay", "tape", "u1", { source: { store: { exchange: "coinbase", symbols: ["*"] } } }, { phase: "Running" })],
    };
    answers["/api/v1/runs"] = { runs: [{ ...RUN, interval: "1m", state: "complete" }] };
    history.replaceState(null, "", "/?run=r1&trade=3");
    await show();
    await see("#trade", "Play this hour at 10×");
    const link = place.querySelector<HTMLAnchorElement>("#trade a");
    const query = new URLSearchParams(link?.getAttribute("href")?.split("?")[1]);
    expect([query.get("name"), query.get("from"), query.get("to")]).toEqual([
      "cross-hour", "1969-12-31T23:34:00Z", "1970-01-01T00:34:00Z",
    ]);
  });

  it("has the range of the address in sight, and not its trade", async () => {
    history.replaceState(null, "", `/?run=r1&trade=3&from=${3 * M}&to=${7 * M}`);
    await show();
    await see("#trade", "Trade 3");
    await eventually(() => expect(chart()?.["trade"]).toBe(`${3 * M} ${5 * M}`));
    expect(brought).toEqual([{ from: 180, to: 420 }]);
  });

  it("has the range of the address in sight once that is played", async () => {
    history.replaceState(null, "", `/?run=r1&from=${3 * M}&to=${11 * M}`);
    await show();
    await eventually(() => expect(chart()?.["last"]).toBe(String(9 * M)));
    expect(brought).toEqual([]);
    receive({ type: "bars", id: idOf("bars"), bars: [bar(10), bar(11)] });
    await eventually(() => expect(brought).toEqual([{ from: 180, to: 660 }]));
  });

  it("is offered to another replay of its market, and shown there up to the position", async () => {
    const others = ["ETH/USD", "BTC/USD"].map((symbol, n) => ({ ...RUN, run_id: `r${n}`, name: `on ${symbol}`, replay_uid: "", symbols: [symbol] }));
    answers["/api/v1/runs"] = { runs: others };
    answers["/api/runs/r1/equity"] = [4, 8, 11].map((minute, seq) => [seq, minute * M, 7, 0, null, null, null]);
    const fill = { symbol: "BTC/USD", side: "buy", size: 1, price: 1 };
    answers["/api/v1/runs/r1/fills"] = { fills: [5, 12].map((minute, seq) => ({ ...fill, seq, ts: minute * M })) };
    await open();
    for (const channel of ["replay", "bars"]) await subscribed(channel);
    tell({ position: 10 * M });
    receive({ type: "bars", id: idOf("bars"), snapshot: true, bars: [2, 3, 4, 5, 6, 7, 8, 9, 10, 11].map((n) => ({ ...bar(n), closed: false })) });
    await see(".drawer", "No run on this replay.");
    const offered = [...place.querySelectorAll<HTMLButtonElement>(".drawer .note button")];
    expect(offered.map(({ textContent }) => textContent)).toEqual(["Show on BTC/USD here"]);
    offered[0]?.click();
    await see(".drawer", "up to the position");
    for (const channel of ["fills", "equity", "run"]) await subscribed(channel);
    receive({ type: "run", id: idOf("run"), state: "complete", message: "", shown_until: null, value: 4_321, ts: 12 * M });
    for (const channel of ["fills", "equity"]) receive({ type: channel, id: idOf(channel), snapshot: true, fills: [], points: [] });
    await eventually(() => expect(chart()?.["equity"]).toBe("2"));
    expect(new URLSearchParams(location.search).get("replay")).toBe("u1");
    const ticks = () => place.querySelector(".strip .buy")?.getAttribute("d")?.split("M").length;
    expect([ticks(), text(".drawer").includes("4,321")]).toEqual([2, false]);
    tell({ position: 4 * M, epoch: "1.0" });
    await eventually(() => expect([chart()?.["equity"], ticks()]).toEqual(["1", 1]));
    tell({ position: 12 * M, epoch: "1.0" });
    await eventually(() => expect([chart()?.["equity"], ticks()]).toEqual(["3", 3]));
  });

  it("has nothing of a trade right of the last bar, and says so of a trade that it lacks", async () => {
    history.replaceState(null, "", "/?run=r1&trade=4");
    await show();
    tell({ position: 12 * M });
    await eventually(() => expect(chart()?.["trade"]).toBe(String(4 * M)));
    history.pushState(null, "", "/?run=r1&trade=5");
    window.dispatchEvent(new PopStateEvent("popstate"));
    await see("#trade", "trade: got 5, expected a trade that the run has closed");
    await eventually(() => expect(chart()?.["trade"]).toBe(""));
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

  it.each([["/api/replays", "/search"], ["/api/resolutions"]])("says what cannot be reached: %s", async (...paths) => {
    for (const path of paths) delete answers[path];
    await open();
    await see("#empty", "Unreachable");
  });
});

it("an embedded chart has the transport and nothing else", async () => {
  history.replaceState(null, "", "/?embed=chart&charts=4&indicators=sma:5");
  await open();
  await see("[data-figure='Round']", "–");
  await eventually(() => expect(place.querySelectorAll(".chart")).toHaveLength(1));
  expect(place.querySelectorAll("header.head, aside, .deck-tools")).toHaveLength(0);
  await subscribed("bars");
});
