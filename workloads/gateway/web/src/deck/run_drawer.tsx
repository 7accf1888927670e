// The right drawer: the shown run's state and headline figures, as they change.
import { runs } from "../data/resources";
import type { Loadable } from "../data/loadable";
import type { RunFeed } from "../data/run_feed";
import type { Run, RunFigures } from "../data/types";
import { MISSING, number, percent } from "../format";
import type { DrawnTrade } from "../run/open_trade";
import { Panel } from "../shell/panel";
import { Link } from "../shell/router";
import { layout } from "./layout";
import { choose, isOpenTrade, parameter, replay, run, tradeNumber } from "./selection";

interface Figure {
  name: string;
  text: string;
  hint?: string;
  tone?: "up" | "down";
}

// The metrics of a run that are shown; its report has all of them.
const SHOWN_METRICS: readonly [metric: string, name: string][] = [
  ["buy_and_hold_percent", "Buy and hold"],
  ["sharpe", "Sharpe"],
  ["probabilistic_sharpe", "P(Sharpe > 0)"],
  ["sortino", "Sortino"],
  ["win_rate_percent", "Win rate (closed trades)"],
  ["profit_factor", "Profit factor (closed trades)"],
  ["exposure_percent", "Exposure"],
];
// What is open, shown where there is any.
const OPEN_METRICS: readonly [metric: string, name: string, digits: number][] = [
  ["open_positions", "Open positions", 0],
  ["unrealised_profit", "Unrealised profit", 2],
  ["open_orders", "Orders not filled", 0],
];

interface RunDrawerProps {
  feed: RunFeed | null;
  trade: Loadable<DrawnTrade>;
  format: (ts: number | null) => string;
}

export function RunDrawer({ feed, trade, format }: RunDrawerProps) {
  if (!layout.value.drawer) return null;
  const shown = run.value;
  return (
    <aside class="drawer" aria-label="Run">
      <Panel title="Run" of={runs.signal.value} actions={<RunChoice all={runs.value ?? []} />} empty={() => (shown === null ? "No run on this replay." : null)}>
        {() =>
          shown !== null && (
            <>
              <Figures run={shown} feed={feed} format={format} />
              <ShownTrade trade={trade} format={format} />
            </>
          )
        }
      </Panel>
    </aside>
  );
}

/** The runs of the shown replay, or all where there is none. */
function RunChoice({ all }: { all: readonly Run[] }) {
  const shown = replay.value;
  const choices = shown === null ? all : all.filter(({ replay_uid }) => replay_uid === shown.uid);
  if (choices.length === 0) return null;
  return (
    <select
      id="run"
      aria-label="Shown run"
      value={parameter("run") === "" ? "" : (run.value?.run_id ?? "")}
      onChange={({ currentTarget }) => choose({ run: currentTarget.value })}
    >
      <option value="">none</option>
      {choices.map(({ run_id, name, strategy, state }) => (
        <option key={run_id} value={run_id}>
          {`${name}: ${strategy}${state === "running" ? "" : ` (${state})`}`}
        </option>
      ))}
    </select>
  );
}

function Figures({ run: shown, feed, format }: { run: Run; feed: RunFeed | null; format: (ts: number | null) => string }) {
  const told = feed?.figures.value ?? null;
  return (
    <>
      <dl id="figures">
        {told !== null &&
          figuresOf(told).map(({ name, text, hint, tone }) => (
            <div key={name} title={hint}>
              <dt>{name}</dt>
              <dd data-figure={name} class={tone}>
                {text}
              </dd>
            </div>
          ))}
      </dl>
      {told !== null && <p class="note">{`As of ${format(told.ts)}`}</p>}
      {told === null && feed?.error.value === null && <p class="note loading">Loading</p>}
      {feed !== null && feed.error.value !== null && <p class="note stale">{feed.error.value}</p>}
      <p class="note">
        <Link to={{ view: "run", id: shown.run_id }}>Report</Link>
      </p>
    </>
  );
}

/** The trade that is drawn on the chart. */
function ShownTrade({ trade: { value, error }, format }: { trade: Loadable<DrawnTrade>; format: (ts: number | null) => string }) {
  if (tradeNumber.value === null && !isOpenTrade.value) return null;
  return (
    <p class="note" id="trade">
      {value !== null && `${tradeText(value, format)} `}
      {value === null && <span class="stale">{error ?? "Loading the trade"} </span>}
      <button onClick={() => choose({ trade: null })}>Hide the trade</button>
    </p>
  );
}

function tradeText({ seq, side, entry_ts, exit_ts }: DrawnTrade, format: (ts: number | null) => string): string {
  if (exit_ts === null) return `Open trade: ${side}, since ${format(entry_ts)}`;
  return `Trade ${seq}: ${side}, ${format(entry_ts)} to ${format(exit_ts)}`;
}

/** The figures of a run, in their order. */
export function figuresOf(told: RunFigures): Figure[] {
  const shown: Figure[] = [
    { name: "Run", text: stateText(told), ...(told.state === "failed" ? { tone: "down" as const } : {}) },
    { name: "Value", text: number(told.value) },
    { name: "Return", text: percent(told.return_percent, true), ...toneOf(told.return_percent) },
    { name: "Max drawdown", text: percent(told.max_drawdown_percent) },
    { name: "Trades", text: number(told.trades, 0) },
  ];
  for (const [metric, name] of SHOWN_METRICS) {
    const value = told.metrics?.[metric];
    const reason = told.undefined?.[metric];
    if (typeof value === "number") shown.push({ name, text: metricText(metric, value, told) });
    else if (reason !== undefined) shown.push({ name, text: MISSING, hint: reason });
  }
  for (const [metric, name, digits] of OPEN_METRICS) {
    const value = told.metrics?.[metric];
    if (value) shown.push({ name, text: number(value, digits) });
  }
  return shown;
}

const toneOf = (value: number): { tone?: "up" | "down" } => (value > 0 ? { tone: "up" } : value < 0 ? { tone: "down" } : {});

function metricText(metric: string, value: number, { metrics }: RunFigures): string {
  const error = metrics?.[`${metric}_error`];
  if (typeof error === "number") return `${number(value)} ± ${number(error)}`;
  return metric.endsWith("percent") ? percent(value) : number(value);
}

function stateText({ state, message, shown_until }: RunFigures): string {
  if (shown_until !== null) return `${state}, shown up to the replay's position`;
  return message === "" ? state : `${state}: ${message}`;
}
