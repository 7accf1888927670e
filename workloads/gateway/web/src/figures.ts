// The headline numbers.
import { number, percent, time } from "./format";
import type { Headline, Position, Replay, Run } from "./types";

export interface Figure {
  name: string;
  text: string;
  tone?: "up" | "down" | "plain";
}

const tone = (value: number): "up" | "down" | "plain" => (value > 0 ? "up" : value < 0 ? "down" : "plain");
// Of all that a run is measured by, what is looked at first; the rest is in its report.
const CHOSEN: [metric: string, name: string][] = [
  ["buy_and_hold_percent", "Buy and hold"],
  ["sharpe", "Sharpe"],
  ["sortino", "Sortino"],
  ["win_rate_percent", "Win rate"],
  ["profit_factor", "Profit factor"],
  ["exposure_percent", "Exposure"],
];

export function figures(
  replay: Replay | null,
  position: Position | null,
  run: Run | null,
  headline: Headline | null,
): Figure[] {
  const shown: Figure[] = [];
  if (replay !== null) {
    const v = position?.replay === replay.uid ? position.v : replay.position;
    const bars = position?.replay === replay.uid ? position.published : replay.published;
    shown.push({ name: "Virtual time", text: time(v) });
    shown.push({ name: "Bars published", text: number(bars, 0) });
  }
  if (run !== null && headline !== null && headline.run === run.run_id) {
    shown.push({ name: "Value", text: number(headline.value) });
    shown.push({ name: "Return", text: percent(headline.return_percent, true), tone: tone(headline.return_percent) });
    shown.push({ name: "Max drawdown", text: percent(headline.max_drawdown_percent) });
    shown.push({ name: "Trades", text: number(headline.trades, 0) });
    for (const [metric, name] of CHOSEN) {
      const value = headline.metrics?.[metric];
      if (value === undefined || value === null) continue;
      shown.push({ name, text: metric.endsWith("percent") ? percent(value) : number(value) });
    }
    const told = headline.message === "" ? headline.state : `${headline.state}: ${headline.message}`;
    shown.push({ name: "Run", text: told, tone: headline.state === "failed" ? "down" : "plain" });
  }
  return shown;
}

/** Draw them; only what changed is touched. */
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
    if (name !== undefined && name.textContent !== figure.name) name.textContent = figure.name;
    if (value instanceof HTMLElement) {
      if (value.textContent !== figure.text) value.textContent = figure.text;
      value.dataset["tone"] = figure.tone ?? "plain";
      value.dataset["figure"] = figure.name;
    }
  });
}
