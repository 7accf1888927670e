// The page: what the user has selected, and what is shown for it.
import * as api from "./api";
import { BarLoader } from "./bars";
import { Chart, type LegendValues } from "./chart";
import { draw, figures } from "./figures";
import { number, time } from "./format";
import { Login } from "./login";
import { defaultReplay, defaultRun, fill, namedReplay, replayChoices, replayOf, runChoices } from "./pickers";
import { type ConnectionState, connectionStatus, ReconnectingSocket } from "./socket";
import { setText, textElement } from "./text";
import type {
  Position, PushMessage, Replay, Resolution, Run, RunSummary, Services, SymbolListing,
} from "./types";

const REFRESH_MS = 3_000;

function find<T extends HTMLElement>(id: string, kind: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`page: got no element #${id}, expected a ${kind.name}`);
  return found;
}

const text = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** What the user selected, by name or uid; null where the page chooses. */
interface Selection {
  replay: string | null;
  run: string | null;
  symbol: string | null;
  resolution: string | null;
}

export class App {
  private readonly replaySelect = find("replay", HTMLSelectElement);
  private readonly symbolSelect = find("symbol", HTMLSelectElement);
  private readonly runSelect = find("run", HTMLSelectElement);
  private readonly problem = find("problem", HTMLElement);
  private readonly login = new Login(find("login", HTMLFormElement));
  private readonly chart = new Chart(
    find("chart", HTMLElement),
    (before) => void this.bars.loadOlder(before),
    (values) => this.drawLegend(values),
  );
  private readonly socket = new ReconnectingSocket(
    (message) => this.handle(message),
    (state) => {
      this.connection = state;
      this.drawConnection();
    },
  );
  private readonly bars = new BarLoader(
    this.socket,
    this.chart,
    (error) => this.showError(error),
    (shown, supported) => this.checkResolution(shown, supported),
  );

  private connection: ConnectionState = "connecting";
  private services: Services | null = null;
  private loaded = false; // whether each list was asked for
  private complete = false; // whether each list was there at least once
  private resolutions: Resolution[] = [];
  private replays: Replay[] = [];
  private runs: Run[] = [];
  private stored: SymbolListing[] = [];
  private replay: Replay | null = null;
  private run: Run | null = null;
  private position: Position | null = null;
  private summary: RunSummary | null = null;
  private readonly selected: Selection;

  constructor() {
    const query = new URLSearchParams(location.search);
    this.selected = {
      replay: query.get("replay"),
      run: query.get("run"),
      symbol: query.get("symbol"),
      resolution: query.get("resolution"),
    };
  }

  start(): void {
    this.replaySelect.onchange = () => {
      this.selected.replay = this.replaySelect.value;
      this.selected.run = null;
      this.show();
    };
    this.runSelect.onchange = () => {
      this.selected.run = this.runSelect.value;
      this.show();
    };
    this.symbolSelect.onchange = () => {
      this.selected.symbol = this.symbolSelect.value;
      this.show();
    };
    void this.refresh();
  }

  /** Load the lists of replays, runs and symbols every REFRESH_MS. A list that can't be loaded stays as it was. */
  private async refresh(): Promise<void> {
    const problems: string[] = [];
    const load = async (request: () => Promise<void>) => {
      try {
        await request();
      } catch (error) {
        if (error instanceof api.TokenRequired) this.login.show();
        problems.push(text(error));
      }
    };
    if (this.resolutions.length === 0)
      await load(async () => {
        this.resolutions = await api.resolutions();
        this.drawResolutions();
      });
    const lists = [
      load(async () => void (this.replays = await api.replays())),
      load(async () => void (this.runs = await api.runs())),
      load(async () => void (this.stored = await api.storedSymbols())),
    ];
    // Each list is shown once it is there: one that waits for a service that does not answer delays no other.
    await Promise.all(this.loaded ? lists : lists.map((list) => list.then(() => this.show())));
    this.loaded = true;
    this.complete ||= problems.length === 0;
    this.show();
    if (problems.length > 0) this.showProblem([...new Set(problems)].join(" · "));
    else this.problem.hidden = true;
    window.setTimeout(() => void this.refresh(), REFRESH_MS);
  }

  /** The resolution to show where a series has it: the selected one if the gateway has it, else its finest. */
  private resolution(): Resolution | undefined {
    return this.resolutions.find(({ resolution }) => resolution === this.selected.resolution) ?? this.resolutions[0];
  }

  /** Show the selected replay, run and symbol, or the defaults where nothing is selected. */
  private show(): void {
    const resolution = this.resolution();
    if (resolution === undefined) return;
    const selectedRun = this.runs.find((run) => run.run_id === this.selected.run);
    // A selected run selects its replay too, and so does a symbol.
    const selectedReplay =
      this.selected.replay ?? selectedRun?.replay_uid ?? replayOf(this.selected.symbol, this.stored);
    if (selectedReplay === null) this.replay = defaultReplay(this.replays, this.replay);
    else this.replay = selectedReplay === "" ? null : namedReplay(this.replays, selectedReplay);
    const run = this.selected.run === null ? defaultRun(this.runs, this.replay) : (selectedRun ?? null);
    const symbols = this.symbols();
    const symbol =
      symbols.find((s) => s === this.selected.symbol || s.endsWith(`/${this.selected.symbol ?? ""}`)) ??
      symbols.find((s) => run !== null && s.endsWith(`${run.exchange}:${run.symbols[0] ?? ""}`)) ??
      symbols[0];

    fill(this.replaySelect, replayChoices(this.replays, this.stored), this.replay?.uid ?? "");
    const choices = symbols.map((s) => ({ value: s, text: s.replace(/^replay\/[^/]+\//, "") }));
    fill(this.symbolSelect, choices.length > 0 ? choices : [{ value: "", text: "none" }], symbol ?? "");
    fill(this.runSelect, runChoices(this.runs), run?.run_id ?? "");
    if (selectedReplay !== null && selectedReplay !== "" && this.replay === null)
      this.showError(new Error(`replay: got ${selectedReplay}, expected the name or uid of one that has started`));
    this.subscribeRun(run);
    void this.bars.select(symbol ?? "", resolution, this.resolutions);
    this.drawEmpty(this.complete && symbol === undefined);
    this.drawFigures();
    this.writeAddress(symbol);
  }

  private symbols(): string[] {
    const replay = this.replay;
    if (replay !== null) return replay.symbols.map((s) => `replay/${replay.uid}/${replay.exchange}:${s}`);
    return this.stored.map((listing) => listing.ticker);
  }

  /** Write the selection to the address, so that it can be shared. */
  private writeAddress(symbol: string | undefined): void {
    const query = new URLSearchParams();
    if (this.selected.replay !== null) query.set("replay", this.selected.replay);
    if (this.selected.run !== null) query.set("run", this.selected.run);
    if (this.selected.symbol !== null && symbol !== undefined) query.set("symbol", symbol);
    const resolution = this.resolution()?.resolution;
    if (resolution !== undefined && resolution !== this.resolutions[0]?.resolution) query.set("resolution", resolution);
    const search = query.size > 0 ? `?${query.toString()}` : "";
    if (location.search !== search) window.history.replaceState(null, "", search === "" ? location.pathname : search);
  }

  private subscribeRun(run: Run | null): void {
    const before = this.run;
    this.run = run;
    if (before?.run_id === run?.run_id) return;
    if (before !== null) this.socket.unsubscribe({ run: before.run_id });
    this.summary = null;
    this.chart.showRun(null);
    if (run !== null) this.socket.subscribe({ run: run.run_id });
  }

  private async loadRun(run: Run): Promise<void> {
    try {
      const [fills, points] = await Promise.all([api.fills(run.run_id, -1), api.equity(run.run_id)]);
      if (this.run?.run_id === run.run_id) this.chart.showRun({ cash: run.cash, fills, points });
    } catch (error) {
      this.showError(error);
    }
  }

  private handle(message: PushMessage): void {
    switch (message.type) {
      case "bars":
        if (this.bars.matches(message)) this.bars.push(message.bars);
        this.drawLegend({ candle: this.chart.newest(), equity: null });
        break;
      case "reset":
        if (message.run !== "") {
          if (this.run?.run_id === message.run) void this.loadRun(this.run);
        } else if (this.bars.matches(message)) void this.bars.reload(false);
        break;
      case "subscribed":
        if (message.run !== "") {
          if (this.run?.run_id === message.run) void this.loadRun(this.run);
        } else if (this.bars.matches(message)) void this.bars.reload(true);
        break;
      case "fills":
        if (message.run === this.run?.run_id) this.chart.addFills(message.fills);
        break;
      case "equity":
        if (message.run === this.run?.run_id) this.chart.addEquity(message.points);
        break;
      case "run":
        if (message.run === this.run?.run_id) this.summary = message;
        this.drawFigures();
        break;
      case "position":
        if (message.replay === this.replay?.uid) this.position = message;
        this.drawFigures();
        break;
      case "services":
        this.applyServices(message);
        break;
      case "error":
        this.showError(new Error(message.message));
        break;
      case "unsubscribed":
      case "ping":
        break;
    }
  }

  /** Live means that the socket is open and that broker and database answer the gateway. */
  private drawConnection(): void {
    const element = find("connection", HTMLElement);
    const { state, text } = connectionStatus(this.connection, this.services);
    element.dataset["state"] = state;
    setText(element, text);
  }

  private applyServices(services: Services): void {
    const before = this.services;
    this.services = services;
    this.drawConnection();
    const regained = (service: "broker" | "database") => before?.[service] === false && services[service];
    if (regained("broker") || regained("database")) this.socket.repeatSubscriptions();
  }

  private showError(error: unknown): void {
    this.showProblem(text(error));
  }

  private showProblem(message: string): void {
    setText(this.problem, message);
    this.problem.hidden = false;
  }

  private drawFigures(): void {
    draw(find("figures", HTMLElement), figures(this.replay, this.position, this.run, this.summary));
    const progress = find("progress", HTMLElement);
    progress.hidden = this.replay === null;
    if (this.replay === null) return;
    const { range_from, range_to, uid } = this.replay;
    const v = (this.position?.replay === uid ? this.position.v : this.replay.position) ?? range_from;
    const share = (v - range_from) / (range_to - range_from || 1);
    setText(find("progress-from", HTMLElement), time(range_from));
    setText(find("progress-to", HTMLElement), time(range_to));
    find("progress-bar", HTMLProgressElement).value = Math.min(1, Math.max(0, share));
  }

  private drawEmpty(isEmpty: boolean): void {
    const empty = find("empty", HTMLElement);
    empty.hidden = !isEmpty;
    if (!isEmpty || empty.childElementCount > 0) return;
    const commands = ["feed", "replay", "backtest"].map((kind) => `tapedeck apply -f examples/${kind}.yaml`);
    empty.append(
      textElement("h2", "No data yet"),
      textElement("p", "Load bars, replay them, and run a strategy on the replay:"),
      textElement("pre", commands.join("\n")),
      textElement("p", "This page updates by itself."),
    );
  }

  private drawResolutions(): void {
    const group = find("resolutions", HTMLElement);
    for (const { resolution, interval } of this.resolutions) {
      const label = document.createElement("label");
      const input = document.createElement("input");
      const checked = resolution === this.resolution()?.resolution;
      Object.assign(input, { type: "radio", name: "resolution", value: resolution, checked });
      input.onchange = () => {
        this.selected.resolution = resolution;
        this.show();
      };
      setText(label, interval);
      label.prepend(input);
      group.append(label);
    }
  }

  /** Check the resolution that is shown, and disable those that its series does not have. */
  private checkResolution(shown: Resolution, supported: string[]): void {
    for (const input of find("resolutions", HTMLElement).querySelectorAll("input")) {
      input.checked = input.value === shown.resolution;
      input.disabled = !supported.includes(input.value);
    }
  }

  private drawLegend({ candle, equity }: LegendValues): void {
    const legend = find("legend", HTMLElement);
    if (candle === null) {
      setText(legend, "");
      return;
    }
    const [ts, open, high, low, close, volume] = candle;
    const price = (value: number) => number(value, this.chart.decimals);
    const parts = [
      time(ts),
      `O ${price(open)}`,
      `H ${price(high)}`,
      `L ${price(low)}`,
      `C ${price(close)}`,
      `V ${number(volume)}`,
    ];
    if (equity !== null) parts.push(`Equity ${number(equity)}`);
    legend.dataset["tone"] = close >= open ? "up" : "down";
    setText(legend, parts.join("  "));
  }
}
