// The figures above the chart: the replay's position and the run's results.
import { number, percent, time } from "./format";
import { setHint, setText } from "./text";
import type { RunSummary, Position, Replay, Run } from "./types";

export interface Figure {
  name: string;
  text: string;
  hint?: string;
  tone?: "up" | "down" | "plain";
}

const tone = (value: number): "up" | "down" | "plain" => (value > 0 ? "up" : value < 0 ? "down" : "plain");
// The metrics of a run that are shown; its report has all of them.
const SHOWN_METRICS: [metric: string, name: string][] = [
  ["buy_and_hold_percent", "Buy and hold"],
  ["sharpe", "Sharpe"],
  ["probabilistic_sharpe", "P(Sharpe > 0)"],
  ["sortino", "Sortino"],
  ["win_rate_percent", "Win rate (closed trades)"],
  ["profit_factor", "Profit factor (closed trades)"],
  ["exposure_percent", "Exposure"],
];
// What is open, shown where there is any.
const OPEN_METRICS: [metric: string, name: string, digits: number][] = [
  ["open_positions", "Open positions", 0],
  ["unrealised_profit", "Unrealised profit", 2],
  ["open_orders", "Orders not filled", 0],
];

export function figures(
  replay: Replay | null,
  position: Position | null,
  run: Run | null,
  summary: RunSummary | null,
): Figure[] {
  const shown: Figure[] = [];
  if (replay !== null) {
    const v = position?.replay === replay.uid ? position.v : replay.position;
    const bars = position?.replay === replay.uid ? position.published : replay.published;
    shown.push({ name: "Virtual time", text: time(v) });
    shown.push({ name: "Bars published", text: number(bars, 0) });
  }
  if (run !== null && summary !== null && summary.run === run.run_id) {
    shown.push({ name: "Value", text: number(summary.value) });
    shown.push({ name: "Return", text: percent(summary.return_percent, true), tone: tone(summary.return_percent) });
    shown.push({ name: "Max drawdown", text: percent(summary.max_drawdown_percent) });
    shown.push({ name: "Trades", text: number(summary.trades, 0) });
    for (const [metric, name] of SHOWN_METRICS) {
      const value = summary.metrics?.[metric];
      const reason = summary.undefined?.[metric];
      if (typeof value === "number") shown.push({ name, text: metricText(metric, value, summary) });
      else if (reason !== undefined) shown.push({ name, text: "–", hint: reason });
    }
    for (const [metric, name, digits] of OPEN_METRICS) {
      const value = summary.metrics?.[metric];
      if (value) shown.push({ name, text: number(value, digits) });
    }
    const state = stateText(summary);
    shown.push({ name: "Run", text: state, tone: summary.state === "failed" ? "down" : "plain" });
  }
  return shown;
}

function metricText(metric: string, value: number, summary: RunSummary): string {
  const error = summary.metrics?.[`${metric}_error`];
  if (typeof error === "number") return `${number(value)} ± ${number(error)}`;
  return metric.endsWith("percent") ? percent(value) : number(value);
}

function stateText({ state, message, shown_until }: RunSummary): string {
  if (shown_until !== null) return `${state}, shown up to the replay's position`;
  return message === "" ? state : `${state}: ${message}`;
}

/** Draw the figures; only elements whose text changed are written. */
export function draw(list: HTMLElement, shown: Figure[]): void {
  while (list.children.length > shown.length) list.lastElementChild?.remove();
  shown.forEach((figure, i) => {
    let box = list.children[i];
    if (box === undefined) {
      box = document.createElement("div");
      box.append(document.createElement("dt"), document.createElement("dd"));
      list.append(box);
    }
    const [name, value] = [box.children[0], box.children[1]];
    if (name !== undefined) setText(name, figure.name);
    if (value instanceof HTMLElement) {
      setText(value, figure.text);
      value.dataset["tone"] = figure.tone ?? "plain";
      value.dataset["figure"] = figure.name;
      setHint(value, figure.hint ?? "");
    }
  });
}
