// The right drawer: the shown run's state and headline figures, as they change.
import type { ComponentChildren } from "preact";
import { runs } from "../data/resources";
import type { Loadable } from "../data/loadable";
import type { RunFeed } from "../data/run_feed";
import type { Run, RunFigures } from "../data/types";
import { MISSING, number, percent } from "../format";
import { barOf } from "../run/bar_times";
import type { DrawnTrade } from "../run/open_trade";
import { PlayHour } from "../run/play_hour";
import { hasOwnAccount } from "../run/sweep";
import { Panel } from "../shell/panel";
import { Link } from "../shell/router";
import { hourAround } from "../transport/hour_from";
import { runsOfMarket } from "./defaults";
import { type Figure, figuresSoFar, toneOf } from "./figures_so_far";
import { layout } from "./layout";
import { putAwayText } from "./put_away";
import { choose, isBorrowed, isElsewhere, isOpenTrade, parameter, replay, run, tradeNumber } from "./selection";
import { SweepNote } from "./sweep_note";

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

/** So many runs are offered to be shown on a replay: the newest. */
const OFFERED_RUNS = 5;

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
      <Panel title="Run" of={runs.signal.value} actions={<RunChoice all={runs.value ?? []} />} empty={(all) => (shown === null ? <NoRun all={all} /> : null)}>
        {() =>
          shown !== null && (
            <>
              <PutAwayNote />
              {isElsewhere.value && <p class="note">{`It traded ${shown.symbols.join(", ")} of ${shown.exchange}, which the first chart does not show.`}</p>}
              <FiguresOf run={shown} feed={feed} format={format} />
              <p class="note">
                <Link to={{ view: "run", id: shown.run_id }}>Report</Link>
              </p>
              <ShownTrade run={shown} trade={trade} format={format} />
            </>
          )
        }
      </Panel>
    </aside>
  );
}

function FiguresOf({ run: of, feed, format }: { run: Run; feed: RunFeed | null; format: (ts: number | null) => string }) {
  if (!hasOwnAccount(of)) return <SweepState run={of} feed={feed} />;
  return isBorrowed.value ? <Borrowed run={of} feed={feed} format={format} /> : <Figures feed={feed} format={format} />;
}

function SweepState({ run: of, feed }: { run: Run; feed: RunFeed | null }) {
  const told = feed?.figures.value ?? null;
  return (
    <>
      <FigureList figures={told === null ? [] : [stateFigure(told)]} />
      <SweepNote run={of} isBorrowed={isBorrowed.value} />
      <FeedProblem feed={feed} />
    </>
  );
}

/** The runs of the shown replay, or all where there is none. */
function RunChoice({ all }: { all: readonly Run[] }) {
  const shown = replay.value;
  const choices = shown === null ? all : all.filter(({ replay_uid, run_id }) => replay_uid === shown.uid || run_id === run.value?.run_id);
  if (choices.length === 0) return null;
  return (
    <select
      id="run"
      aria-label="Shown run"
      value={parameter("run") === "" ? "" : (run.value?.run_id ?? "")}
      title={run.value === null ? undefined : choiceText(run.value)}
      onChange={({ currentTarget }) => choose({ run: currentTarget.value })}
    >
      <option value="">none</option>
      {choices.map((each) => (
        <option key={each.run_id} value={each.run_id}>
          {choiceText(each)}
        </option>
      ))}
    </select>
  );
}

/** Its strategy is told where its name does not. */
const choiceText = ({ name, strategy, state }: Run): string =>
  `${name}${name === strategy ? "" : `: ${strategy}`}${state === "running" ? "" : ` (${state})`}`;

/** Other runs whose market the replay plays, to be shown on it. */
function NoRun({ all }: { all: readonly Run[] }) {
  const shown = replay.value;
  const others = shown === null ? [] : runsOfMarket(all, shown).filter(hasOwnAccount).slice(0, OFFERED_RUNS);
  return (
    <>
      <PutAwayNote />
      <p>{shown === null ? "No run of this market." : "No run on this replay."}</p>
      {others.map(({ run_id, name }) => (
        <p key={run_id}>
          <button onClick={() => choose({ run: run_id, replay: shown?.uid ?? null })}>{`Show ${name} here`}</button>
        </p>
      ))}
    </>
  );
}

function PutAwayNote() {
  const text = putAwayText();
  return text === null ? null : <p class="note stale" role="status">{text}</p>;
}

/** Figures up to the position: those of the whole run would tell what comes after it. */
function Borrowed({ run: of, feed, format }: { run: Run; feed: RunFeed | null; format: (ts: number | null) => string }) {
  if (replay.value === null) return <p class="note loading">Loading the replay</p>;
  const equity = feed?.equity.value ?? [];
  const last = equity.at(-1);
  return (
    <>
      <FigureList figures={figuresSoFar(of.cash, equity, feed?.fills.value ?? [])} />
      {last !== undefined && <p class="note">{`As of ${format(last[1])}`}</p>}
      <p class="note">This run was not on this replay. It is shown up to the position.</p>
      <FeedProblem feed={feed} />
    </>
  );
}

function FigureList({ figures }: { figures: readonly Figure[] }) {
  return (
    <dl id="figures">
      {figures.map(({ name, text, hint, tone }) => (
        <div key={name} title={hint}>
          <dt>{name}</dt>
          <dd data-figure={name} class={tone}>
            {text}
          </dd>
        </div>
      ))}
    </dl>
  );
}

function FeedProblem({ feed }: { feed: RunFeed | null }): ComponentChildren {
  const problem = feed?.error.value ?? null;
  return problem === null ? null : <p class="note stale">{problem}</p>;
}

function Figures({ feed, format }: { feed: RunFeed | null; format: (ts: number | null) => string }) {
  const told = feed?.figures.value ?? null;
  const hasNoAccount = told?.state === "failed" && feed?.equity.value.length === 0; // it failed at its start
  return (
    <>
      <FigureList figures={told === null ? [] : hasNoAccount ? [stateFigure(told)] : figuresOf(told)} />
      {told !== null && !hasNoAccount && <p class="note">{`As of ${format(told.ts)}`}</p>}
      {told === null && feed?.error.value === null && <p class="note loading">Loading</p>}
      <FeedProblem feed={feed} />
    </>
  );
}

interface ShownTradeProps {
  run: Run;
  trade: Loadable<DrawnTrade>;
  format: (ts: number | null) => string;
}

/** The trade that is drawn on the chart. */
function ShownTrade({ run: of, trade: { value, error }, format }: ShownTradeProps) {
  if (tradeNumber.value === null && !isOpenTrade.value) return null;
  const hour = value === null ? null : hourAround(of, value);
  return (
    <p class="note" id="trade">
      {value !== null && `${tradeText(value, of.interval, format)} `}
      {value === null && <span class="stale">{error ?? "Loading the trade"} </span>}
      <button onClick={() => choose({ trade: null })}>Hide the trade</button>{" "}
      {hour !== null && <PlayHour hour={hour} what="Play this hour" />}
    </p>
  );
}

/** By the bars on which the chart draws its ends. */
function tradeText({ seq, side, entry_ts, exit_ts }: DrawnTrade, interval: string, format: (ts: number | null) => string): string {
  const bar = (ts: number) => format(barOf(ts, interval));
  if (exit_ts === null) return `Open trade: ${side}, since the bar of ${bar(entry_ts)}`;
  return `Trade ${seq}: ${side}, from the bar of ${bar(entry_ts)} to that of ${bar(exit_ts)}`;
}

const stateFigure = (told: RunFigures): Figure => ({
  name: "Run", text: stateText(told), ...(told.state === "failed" ? { tone: "down" as const } : {}),
});

/** The figures of a run, in their order. */
export function figuresOf(told: RunFigures): Figure[] {
  const shown: Figure[] = [
    stateFigure(told),
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

function metricText(metric: string, value: number, { metrics }: RunFigures): string {
  const error = metrics?.[`${metric}_error`];
  if (typeof error === "number") return `${number(value)} ± ${number(error)}`;
  return metric.endsWith("percent") ? percent(value) : number(value);
}

function stateText({ state, message, shown_until }: RunFigures): string {
  if (shown_until !== null) return `${state}, shown up to the replay's position`;
  return message === "" ? state : `${state}: ${message}`;
}
