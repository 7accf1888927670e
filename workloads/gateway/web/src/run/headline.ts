// The six figures at the head of a report, each with the number of cases that it is made of.
import { MISSING, number, percent, time } from "../format";
import { duration, HOUR_MS } from "./lengths_of_time";
import { shareInterval } from "./statistics";
import { equityFigures, tradeFigures, type TradeRow } from "./trades";
import type { EquityRow, RunReport } from "./types";

export interface HeadlineFigure {
  name: string;
  text: string;
  /** What it is to be compared with, or how far it can be trusted. */
  detail: string;
  /** The number of cases: bars, returns, trades. */
  sample: string;
  tone: "up" | "down" | "plain";
  /** Why it is missing. */
  reason: string;
}

const LATER = "it is computed when the run has ended, and its replay has reached that";
const DAY_MS = 86_400_000;

const tone = (value: number | null, border = 0): HeadlineFigure["tone"] =>
  value === null || value === border ? "plain" : value > border ? "up" : "down";

const counted = (count: number | null, one: string): string =>
  count === null ? "" : `${number(count, 0)} ${one}${count === 1 ? "" : "s"}`;

/** The figures of a run's end; before it those of what is known so far. */
export function headline(run: RunReport, curve: readonly EquityRow[], rows: readonly TradeRow[]): HeadlineFigure[] {
  const [ofCurve, ofTrades] = [equityFigures(run.cash, curve), tradeFigures(rows)];
  const figure = (name: string): number | null => run.metrics?.[name] ?? null;
  const hasEnded = run.metrics?.["return_percent"] !== undefined; // one that failed has no figures
  const chosen = (name: string, soFar: number | null) => (hasEnded ? figure(name) : soFar);
  const reason = (name: string) =>
    run.undefined?.[name] ?? (hasEnded ? "" : run.state === "failed" ? "the run failed before its end" : LATER);

  const returned = chosen("return_percent", ofCurve.returnPercent);
  const hold = figure("buy_and_hold_percent");
  const depth = chosen("max_drawdown_percent", ofCurve.maxDrawdownPercent);
  const [deepest] = run.drawdowns ?? [];
  const depthDays = figure("max_drawdown_days");
  const [sharpe, error, probability] = [figure("sharpe"), figure("sharpe_error"), figure("probabilistic_sharpe")];
  const [trades, wins, losses] = [
    chosen("trades", ofTrades.trades) ?? 0, chosen("wins", ofTrades.wins) ?? 0, chosen("losses", ofTrades.losses) ?? 0,
  ];
  const interval = shareInterval(wins, trades);
  const factor = chosen("profit_factor", ofTrades.profitFactor);
  const average = chosen("average_trade_percent", ofTrades.averagePercent);
  const hours = figure("average_hold_hours");
  const closed = counted(trades, "closed trade");
  const figures: HeadlineFigure[] = [
    {
      name: "Return",
      text: percent(returned, true),
      detail: hold === null ? "" : `buy and hold ${percent(hold, true)}`,
      sample: hasEnded ? counted(run.bars, "bar") : "so far",
      tone: tone(returned),
      reason: reason("return_percent"),
    },
    {
      name: "Max drawdown",
      text: percent(depth),
      detail: [depthDays === null ? "" : `lasted ${duration(depthDays * DAY_MS)}`, deepest === undefined ? "" : `lowest at ${time(deepest.trough)}`]
        .filter((each) => each !== "")
        .join(", "),
      sample: hasEnded ? counted(run.bars, "bar") : "so far",
      tone: "plain",
      reason: reason("max_drawdown_percent"),
    },
    {
      name: "Sharpe",
      text: sharpe === null ? MISSING : error === null ? number(sharpe) : `${number(sharpe)} ± ${number(error)}`,
      detail: probability === null ? "" : `above 0 with probability ${percent(probability * 100)}`,
      sample: reason("sharpe").includes("daily return") ? "" : counted(figure("daily_returns"), "daily return"), // not twice
      tone: tone(sharpe),
      reason: reason("sharpe"),
    },
    {
      name: "Win rate",
      text: trades === 0 ? MISSING : percent((wins / trades) * 100),
      detail: interval === null ? "" : `95 %: ${percent(interval[0] * 100)} to ${percent(interval[1] * 100)}`,
      sample: closed,
      tone: "plain",
      reason: "the run has no closed trade",
    },
    {
      name: "Profit factor",
      text: number(factor),
      detail: trades === 0 ? "" : `${number(wins, 0)} won, ${number(losses, 0)} lost`,
      sample: closed,
      tone: tone(factor, 1),
      reason: run.undefined?.["profit_factor"] ?? "no closed trade has a loss",
    },
    {
      name: "Average trade",
      text: percent(average, true),
      detail: `held ${duration(hours === null ? ofTrades.averageHold : hours * HOUR_MS)} on average`,
      sample: closed,
      tone: tone(average),
      reason: run.undefined?.["average_trade_percent"] ?? "the run has no closed trade",
    },
  ];
  return figures.map((each) => (each.text === MISSING ? { ...each, detail: "" } : { ...each, reason: "" }));
}
