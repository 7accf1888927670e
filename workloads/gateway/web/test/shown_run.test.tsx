// @vitest-environment happy-dom
// A run on the Deck over fake answers: what is drawn of it, its trades, and how far it is shown.
import { beforeEach, describe, expect, it, vi } from "vitest";
import {
  answers, eventually, idOf, M, open, place, PLAYED, receive, resource, RUN, see, subscribed, tell, text,
} from "./deck_page";
import { brought } from "./fake_charts";
import { trade } from "./run/made";

vi.mock("lightweight-charts", async () => (await import("./fake_charts")).fakeCharts);

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
    await see("#trade", "Trade 3: long, from the bar of 1970-01-01 00:03 to that of 1970-01-01 00:05");
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
    await see("#trade", "Trade 3: long, from the bar of 1970-01-01 00:03 to that of 1970-01-01 00:05");
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

  it("plays the hour around the entry of a trade at once, or leads to its form", async () => {
    answers["/api/v1/replays"] = {
      replays: [resource("Replay", "tape", "u1", { source: { store: { exchange: "coinbase", symbols: ["*"] } } }, { phase: "Running" })],
    };
    answers["/api/v1/bars"] = { bars: [{}] };
    answers["/api/v1/namespaces/default/replays"] = { metadata: { uid: "u2" } };
    answers["/api/v1/runs"] = { runs: [{ ...RUN, interval: "1m", state: "complete" }] };
    history.replaceState(null, "", "/?run=r1&trade=3");
    await show();
    await see("#trade", "Play this hour at 10×");
    const link = place.querySelector<HTMLAnchorElement>("#trade a");
    const query = new URLSearchParams(link?.getAttribute("href")?.split("?")[1]);
    expect([link?.textContent, query.get("name"), query.get("from"), query.get("to")]).toEqual([
      "Change first…", "cross-hour", "1969-12-31T23:34:00Z", "1970-01-01T00:34:00Z",
    ]);
    const made = resource("Replay", "cross-hour", "u2", {}, { phase: "Pending" });
    answers["/api/v1/replays"] = { replays: [made] };
    place.querySelector<HTMLButtonElement>("#trade .play-hour button")?.click();
    await eventually(() => expect(location.search).toContain("replay=u2"));
    expect(Object.fromEntries(new URLSearchParams(location.search))).toEqual({
      replay: "u2", symbol: "replay/u2/coinbase:BTC/USD", interval: "1m", run: "r1",
    });
    await see("#deck-state", "STARTING");
    await see("#empty", "cross-hour starts");
    answers["/api/v1/replays"] = { replays: [{ ...made, status: { phase: "Failed", message: "no bars" } }] };
    await (await import("../src/data/resources")).replays.refresh();
    await see("#empty", "cross-hour: no bars");
    await see("#deck-state", "NO REPLAY");
  });

  it("offers no hour without a bar, and says why", async () => {
    answers["/api/v1/replays"] = {
      replays: [resource("Replay", "tape", "u1", { source: { store: { exchange: "coinbase", symbols: ["*"] } } }, { phase: "Running" })],
    };
    answers["/api/v1/runs"] = { runs: [{ ...RUN, interval: "1m", state: "complete" }] };
    history.replaceState(null, "", "/?run=r1&trade=3");
    await show();
    await see("#trade", "The store has no bar of this hour");
    expect(place.querySelector<HTMLButtonElement>("#trade .play-hour button")?.disabled).toBe(true);
    expect(place.querySelector("#trade a")).toBeNull();
  });

  it("has the range of the address in sight, and not its trade", async () => {
    history.replaceState(null, "", `/?run=r1&trade=3&from=${3 * M}&to=${7 * M}`);
    await show();
    await see("#trade", "Trade 3");
    await eventually(() => expect(chart()?.["trade"]).toBe(`${3 * M} ${5 * M}`));
    expect(brought).toEqual([{ from: 180, to: 420 }]);
  });

  it("has a range in sight that the address has before its bars are drawn", async () => {
    history.replaceState(null, "", "/?run=r1");
    await show();
    history.pushState(null, "", `/?run=r1&from=${3 * M}&to=${7 * M}`);
    window.dispatchEvent(new PopStateEvent("popstate")); // the bars are there, and are drawn with the next frame
    expect(brought).toEqual([]);
    await eventually(() => expect(brought).toEqual([{ from: 180, to: 420 }]));
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
    answers["/api/runs/r1/equity"] = [4, 8, 11].map((minute, seq) => [seq, minute * M, 97 + minute - 2 * seq, 0, null, 1.5 * seq, null]);
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
    const figures = () => Object.fromEntries([...place.querySelectorAll<HTMLElement>("#figures dd")].map((each) => [each.dataset["figure"] ?? "", (each.textContent ?? "").trim()]));
    await eventually(() => expect(figures()).toEqual({ Value: "103.00", Return: "+3.00 %", "Max drawdown": "1.50 %", Fills: "1" }));
    await see(".drawer", "As of 1970-01-01 00:08");
    tell({ position: 4 * M, epoch: "1.0" });
    await eventually(() => expect([chart()?.["equity"], ticks()]).toEqual(["1", 1]));
    await eventually(() => expect(figures()).toEqual({ Value: "101.00", Return: "+1.00 %", "Max drawdown": "0.00 %", Fills: "0" }));
    tell({ position: 12 * M, epoch: "1.0" });
    await eventually(() => expect([chart()?.["equity"], ticks()]).toEqual(["3", 3]));
  });

  it("of the store is not shown before the replay is known that the address names, and then up to its position", async () => {
    answers["/api/v1/runs"] = { runs: [{ ...RUN, replay_uid: "", state: "complete" }] };
    answers["/api/v1/runs/r1/fills"] = { fills: [5, 12].map((minute, seq) => ({ symbol: "BTC/USD", side: "buy", size: 1, price: 1, seq, ts: minute * M })) };
    answers["/search"] = [{ symbol: "BTC/USD", ticker: "coinbase:BTC/USD", description: "", exchange: "coinbase", type: "crypto" }];
    delete answers["/api/replays"];
    history.replaceState(null, "", "/?replay=u1&run=r1&trade=4");
    await open();
    for (const channel of ["fills", "equity", "run", "bars"]) await subscribed(channel);
    receive({ type: "bars", id: idOf("bars"), snapshot: true, bars: [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12].map(bar) });
    receive({ type: "run", id: idOf("run"), state: "complete", message: "", shown_until: null, value: 4_321, ts: 12 * M });
    for (const channel of ["fills", "equity"]) receive({ type: channel, id: idOf(channel), snapshot: true, fills: [], points: [] });
    await see(".drawer", "Loading the replay");
    await see("#trade", "Loading the trade");
    await eventually(() => expect(chart()?.["last"]).toBe(String(12 * M)));
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect([chart()?.["equity"], chart()?.["markers"], chart()?.["trade"]]).toEqual(["0", "0", ""]);
    expect([text(".drawer").includes("4,321"), text("#trade").includes("1970")]).toEqual([false, false]);
    answers["/api/replays"] = [PLAYED];
    await (await import("../src/data/resources")).played.refresh();
    await subscribed("replay");
    tell({ position: 10 * M });
    await see("#trade", "expected a trade that the run has closed up to the replay's position");
    await see(".drawer", "up to the position");
    const ticks = () => place.querySelector(".strip .buy")?.getAttribute("d")?.split("M").length;
    await eventually(() => expect(ticks()).toBe(2));
    tell({ position: 12 * M });
    await see("#trade", "Trade 4: long, from the bar of 1970-01-01 00:04 to that of 1970-01-01 00:11");
  });

  it("of the store is shown whole although no replays are known, where the address names none", async () => {
    answers["/api/v1/runs"] = { runs: [{ ...RUN, replay_uid: "", state: "complete" }] };
    delete answers["/api/replays"];
    history.replaceState(null, "", "/?run=r1&trade=4");
    await open();
    await subscribed("run");
    receive({ type: "run", id: idOf("run"), state: "complete", message: "", shown_until: null, value: 4_321, ts: 12 * M });
    await see(".drawer", "4,321");
    await see("#trade", "Trade 4: long, from the bar of 1970-01-01 00:04 to that of 1970-01-01 00:11");
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

describe("a sweep", () => {
  const SWEEP = { ...RUN, run_id: "s1", name: "grid", replay_uid: "", state: "complete", ended_at: 1, shown_until: null, trials: 3, metrics: { best_sharpe: 1 } };
  const trials = [[5, 1.25, -2], [10, 2.5, 4], [20, null, 9]].map(([fast, objective, percent], n) => ({
    window: 0, trial: n, params: { fast }, start: 0, end: M, metrics: { return_percent: percent }, objective, feasible: objective !== null, message: "",
  }));
  const tellOfRun = () => receive({ type: "run", id: idOf("run"), state: "complete", message: "", shown_until: null, value: 10_000, return_percent: 0, max_drawdown_percent: 0, trades: 0, ts: 0 });

  beforeEach(() => {
    localStorage.setItem("tapedeck.layout", '{"lists":true,"drawer":true}');
    answers["/api/v1/runs/s1/inputs"] = { spec: { sweep: { objective: { metric: "sharpe" } } } };
    answers["/api/v1/runs/s1/fills"] = { fills: [] };
    answers["/api/runs/s1/equity"] = [];
    answers["/api/v1/sweeps/s1/trials"] = { trials, next: null };
    answers["/api/v1/runs"] = { runs: [SWEEP] };
  });
  const figures = () => [...place.querySelectorAll<HTMLElement>("#figures dd")].map((each) => each.dataset["figure"]);

  it("has no account: the Deck tells its best trial", async () => {
    history.replaceState(null, "", "/?run=s1");
    await open();
    await subscribed("run");
    tellOfRun();
    await see("#sweep", "A sweep has no account of its own: each of its 3 trials has one. The best: Sharpe 2.50, return +4.00 %, fast 10.");
    expect(figures()).toEqual(["Run"]);
  });

  it("is not offered to a replay of its market, and tells nothing of what that has not played", async () => {
    answers["/api/v1/runs"] = { runs: [SWEEP, { ...RUN, run_id: "r2", name: "once", replay_uid: "", state: "complete" }] };
    await open();
    await see(".drawer", "No run on this replay.");
    expect([...place.querySelectorAll(".drawer .note button")].map(({ textContent }) => textContent)).toEqual(["Show once here"]);
    history.pushState(null, "", "/?run=s1&replay=u1");
    window.dispatchEvent(new PopStateEvent("popstate"));
    await see("#sweep", "A sweep has no account of its own: each of its 3 trials has one.");
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(text("#sweep")).not.toContain("The best");
  });

  it("that is a walk-forward has an account", async () => {
    answers["/api/v1/runs"] = { runs: [{ ...SWEEP, metrics: { final_value: 9_000 } }] };
    history.replaceState(null, "", "/?run=s1");
    await open();
    await subscribed("run");
    tellOfRun();
    await see(".drawer", "10,000");
    expect(place.querySelector("#sweep")).toBeNull();
  });

  it("that is a walk-forward has none before its windows are tested", async () => {
    answers["/api/v1/runs"] = { runs: [{ ...SWEEP, state: "running", metrics: null }] };
    answers["/api/v1/runs/s1/inputs"] = { spec: { sweep: { walkForward: {} } } };
    history.replaceState(null, "", "/?run=s1");
    await open();
    await see("#sweep", "an account of its own once its windows are tested");
  });
});
