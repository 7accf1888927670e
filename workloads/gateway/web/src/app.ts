// The page: what is chosen, and what follows from that.
import * as api from "./api";
import { Bars, WIDTHS } from "./bars";
import { Chart, type Shown } from "./chart";
import { draw, figures } from "./figures";
import { number, time } from "./format";
import { fill, followReplay, namedReplay, pickRun, replayChoices, runChoices } from "./pickers";
import { type Link, Socket } from "./socket";
import type { Headline, Listed, Position, Pushed, Replay, Run } from "./types";

const LOOK_MS = 3_000;
const RESOLUTION_NAMES: Record<string, string> = { "1": "1m", "5": "5m", "15": "15m", "60": "1h", "240": "4h", "1D": "1d" };

function find<T extends HTMLElement>(id: string, kind: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page lacks #${id}`);
  return found;
}

export class App {
  private readonly replaySelect = find("replay", HTMLSelectElement);
  private readonly symbolSelect = find("symbol", HTMLSelectElement);
  private readonly runSelect = find("run", HTMLSelectElement);
  private readonly problem = find("problem", HTMLElement);
  private readonly chart = new Chart(find("chart", HTMLElement), (t) => void this.bars.older(t), (s) => this.legend(s));
  private readonly socket = new Socket((message) => this.heard(message), (state) => this.linked(state));
  private readonly bars = new Bars(this.socket, this.chart, (error) => this.fail(error));

  private replays: Replay[] = [];
  private runs: Run[] = [];
  private stored: Listed[] = [];
  private replay: Replay | null = null;
  private run: Run | null = null;
  private position: Position | null = null;
  private headline: Headline | null = null;
  private askedReplay: string | null;
  private askedRun: string | null;
  private askedSymbol: string | null;
  private resolution: string;

  constructor() {
    const query = new URLSearchParams(location.search);
    this.askedReplay = query.get("replay");
    this.askedRun = query.get("run");
    this.askedSymbol = query.get("symbol");
    this.resolution = WIDTHS[query.get("resolution") ?? ""] === undefined ? "1" : (query.get("resolution") ?? "1");
  }

  start(): void {
    this.replaySelect.onchange = () => {
      this.askedReplay = this.replaySelect.value;
      this.askedRun = null;
      this.choose();
    };
    this.runSelect.onchange = () => {
      this.askedRun = this.runSelect.value;
      this.choose();
    };
    this.symbolSelect.onchange = () => {
      this.askedSymbol = this.symbolSelect.value;
      this.choose();
    };
    this.drawResolutions();
    void this.look();
  }

  /** See what there is, again and again. */
  private async look(): Promise<void> {
    try {
      [this.replays, this.runs, this.stored] = await Promise.all([api.replays(), api.runs(), api.storeSymbols()]);
      this.problem.hidden = true;
      this.choose();
    } catch (error) {
      this.fail(error);
    }
    window.setTimeout(() => void this.look(), LOOK_MS);
  }

  private choose(): void {
    const askedRun = this.runs.find((run) => run.run_id === this.askedRun);
    // A run that is asked for brings its replay along.
    const asked = this.askedReplay ?? (askedRun === undefined ? null : askedRun.replay_uid);
    this.replay =
      asked === null ? followReplay(this.replays, this.replay) : asked === "" ? null : namedReplay(this.replays, asked);
    const run = this.askedRun === null ? pickRun(this.runs, this.replay) : (askedRun ?? null);
    const symbols = this.symbols();
    const wanted = symbols.find((s) => s === this.askedSymbol || s.endsWith(`/${this.askedSymbol}`));
    const symbol = wanted ?? symbols.find((s) => run !== null && s.endsWith(`${run.exchange}:${run.symbols[0]}`)) ?? symbols[0];

    fill(this.replaySelect, replayChoices(this.replays, this.stored), this.replay?.uid ?? "");
    const named = symbols.map((s) => ({ value: s, text: s.replace(/^replay\/[^/]+\//, "") }));
    fill(this.symbolSelect, named.length > 0 ? named : [{ value: "", text: "none" }], symbol ?? "");
    fill(this.runSelect, runChoices(this.runs), run?.run_id ?? "");
    if (asked !== null && asked !== "" && this.replay === null)
      this.fail(new Error(`replay: got ${asked}, expected the name or uid of one that has begun`));
    this.watchRun(run);
    void this.bars.choose(symbol ?? "", this.resolution);
    this.drawEmpty(symbol === undefined);
    this.drawFigures();
    this.remember(symbol);
  }

  private symbols(): string[] {
    const replay = this.replay;
    if (replay !== null) return replay.symbols.map((s) => `replay/${replay.uid}/${replay.exchange}:${s}`);
    return this.stored.map((listed) => listed.ticker);
  }

  /** The address shows what people chose, so that it can be passed on. */
  private remember(symbol: string | undefined): void {
    const query = new URLSearchParams();
    if (this.askedReplay !== null) query.set("replay", this.askedReplay);
    if (this.askedRun !== null) query.set("run", this.askedRun);
    if (this.askedSymbol !== null && symbol !== undefined) query.set("symbol", symbol);
    if (this.resolution !== "1") query.set("resolution", this.resolution);
    const text = query.size > 0 ? `?${query}` : location.pathname;
    if (location.search !== (query.size > 0 ? text : "")) window.history.replaceState(null, "", text);
  }

  private watchRun(run: Run | null): void {
    const before = this.run;
    this.run = run;
    if (before?.run_id === run?.run_id) return;
    if (before !== null) this.socket.unsubscribe({ run: before.run_id });
    this.headline = null;
    this.chart.showRun(null);
    if (run !== null) this.socket.subscribe({ run: run.run_id });
  }

  private async loadRun(run: Run): Promise<void> {
    try {
      const [fills, points] = await Promise.all([api.fills(run.run_id, -1), api.equity(run.run_id)]);
      if (this.run?.run_id === run.run_id) this.chart.showRun({ cash: run.cash, fills, points });
    } catch (error) {
      this.fail(error);
    }
  }

  private heard(message: Pushed): void {
    switch (message.type) {
      case "bars":
        if (this.bars.concerns(message)) this.bars.follow(message.bars);
        this.legend({ candle: this.chart.newest(), equity: null });
        break;
      case "reset":
        if (this.bars.concerns(message)) void this.bars.reload(false);
        break;
      case "subscribed":
        if (message.run !== "") {
          if (this.run?.run_id === message.run) void this.loadRun(this.run);
        } else if (this.bars.concerns(message)) void this.bars.reload(true);
        break;
      case "fills":
        if (message.run === this.run?.run_id) this.chart.addFills(message.fills);
        break;
      case "equity":
        if (message.run === this.run?.run_id) this.chart.addEquity(message.points);
        break;
      case "run":
        if (message.run === this.run?.run_id) this.headline = message;
        this.drawFigures();
        break;
      case "position":
        if (message.replay === this.replay?.uid) this.position = message;
        this.drawFigures();
        break;
      case "error":
        this.fail(new Error(message.message));
        break;
      case "unsubscribed":
      case "ping":
        break;
    }
  }

  private linked(state: Link): void {
    const shown = find("connection", HTMLElement);
    shown.dataset["state"] = state;
    shown.textContent = state === "lost" ? "reconnecting" : state;
  }

  private fail(error: unknown): void {
    this.problem.textContent = error instanceof Error ? error.message : String(error);
    this.problem.hidden = false;
  }

  private drawFigures(): void {
    draw(find("figures", HTMLElement), figures(this.replay, this.position, this.run, this.headline));
    const tape = find("tape", HTMLElement);
    tape.hidden = this.replay === null;
    if (this.replay === null) return;
    const { range_from, range_to, uid } = this.replay;
    const v = (this.position?.replay === uid ? this.position.v : this.replay.position) ?? range_from;
    find("tape-from", HTMLElement).textContent = time(range_from);
    find("tape-to", HTMLElement).textContent = time(range_to);
    find("tape-progress", HTMLProgressElement).value = Math.min(1, Math.max(0, (v - range_from) / (range_to - range_from || 1)));
  }

  private drawEmpty(nothing: boolean): void {
    const empty = find("empty", HTMLElement);
    empty.hidden = !nothing;
    if (!nothing || empty.childElementCount > 0) return;
    const head = document.createElement("h2");
    head.textContent = "Nothing plays yet";
    const say = document.createElement("p");
    say.textContent = "Bring some bars in, play them, and trade on them:";
    const code = document.createElement("pre");
    code.textContent = ["feed", "replay", "backtest"].map((kind) => `tapedeck apply -f examples/${kind}.yaml`).join("\n");
    const then = document.createElement("p");
    then.textContent = "This page shows them by itself.";
    empty.append(head, say, code, then);
  }

  private drawResolutions(): void {
    const group = find("resolutions", HTMLElement);
    for (const [value, text] of Object.entries(RESOLUTION_NAMES)) {
      const label = document.createElement("label");
      const input = document.createElement("input");
      Object.assign(input, { type: "radio", name: "resolution", value, checked: value === this.resolution });
      input.onchange = () => {
        this.resolution = value;
        this.choose();
      };
      label.append(input, text);
      group.append(label);
    }
  }

  private legend({ candle, equity }: Shown): void {
    const legend = find("legend", HTMLElement);
    if (candle === null) {
      legend.textContent = "";
      return;
    }
    const [ts, open, high, low, close, volume] = candle;
    const part = (name: string, text: string) => `${name} ${text}`;
    legend.dataset["tone"] = close >= open ? "up" : "down";
    legend.textContent = [
      time(ts),
      part("O", number(open)),
      part("H", number(high)),
      part("L", number(low)),
      part("C", number(close)),
      part("V", number(volume)),
      ...(equity === null ? [] : [part("Equity", number(equity))]),
    ].join("  ");
  }
}
