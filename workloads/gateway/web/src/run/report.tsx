// The report of a run: the same on the page and in a file that opens without a server.
import type { ComponentChildren } from "preact";
import { useMemo } from "preact/hooks";
import { intervalMs } from "../chart/lengths";
import type { Loadable } from "../data/loadable";
import { MISSING, number, percent, PRICE_DECIMALS, time } from "../format";
import { Panel } from "../shell/panel";
import { ScrollBox } from "../shell/scroll_box";
import { BarPlot } from "./bar_plot";
import { equityColumns } from "./curves";
import { EquityPlot } from "./equity_plot";
import { ExcursionPlots } from "./excursion_plot";
import { inOrder } from "./figure_order";
import { headline, type HeadlineFigure } from "./headline";
import { InputsText } from "./inputs_panel";
import { duration } from "./lengths_of_time";
import { OpenOrders, OpenPositions } from "./open_state";
import { PeriodTable } from "./period_table";
import { yearRows } from "./periods";
import { combined } from "./run_parts";
import type { Decimals } from "./trade_table";
import { returnsOf, tradeRows, type TradeRow } from "./trades";
import { TradesTable } from "./trades_panel";
import type { Drawdown, EquityRow, ExcursionList, HoldCurve, RunInputs, RunReport, TradeList } from "./types";
import { isWhole, worstGap, worstHour } from "./worst";
import { WorstMoments } from "./worst_moments";

/** What a report shows, each part with a state of its own. */
export interface RunParts {
  report: Loadable<RunReport>;
  inputs: Loadable<RunInputs>;
  /** As many points as are drawn. */
  equity: Loadable<EquityRow[]>;
  /** All points, where they are loaded: the worst hour is found in them. */
  points: Loadable<EquityRow[]>;
  hold: Loadable<HoldCurve>;
  trades: Loadable<TradeList>;
  excursions: Loadable<ExcursionList>;
}

/** What a reader can do; a file has none of it. */
interface ReportActions {
  /** Beside the title of a panel, such as links to files. */
  head?: ComponentChildren;
  equity?: ComponentChildren;
  trades?: ComponentChildren;
  /** Links to the chart of an open position, and of a trade. */
  position?: (symbol: string) => ComponentChildren;
  trade?: (trade: TradeRow, text: string) => ComponentChildren;
  /** A link that plays the hour before a time. */
  play?: (end: number, what: string) => ComponentChildren;
  /** Why there is no such link. */
  noPlay?: string;
}

interface ReportProps {
  parts: RunParts;
  actions?: ReportActions | undefined;
  /** After the head, such as the log of a run that failed. */
  children?: ComponentChildren;
  /** The number of the chosen trade; null for none. */
  chosen: number | null;
  choose: (trade: TradeRow) => void;
}

export function Report({ parts, actions, children, chosen, choose }: ReportProps) {
  const trades = parts.trades.value;
  const rows = useMemo(
    () => tradeRows(trades?.trades ?? [], parts.excursions.value?.excursions ?? []),
    [trades, parts.excursions.value],
  );
  const points = pointsOf(parts);
  const barMs = intervalMs(parts.report.value?.interval ?? "1m");
  const hour = useMemo(() => worstHour(points, barMs), [points, barMs]);
  const gap = useMemo(() => worstGap(points, barMs), [points, barMs]);
  const columns = useMemo(() => equityColumns(parts.equity.value ?? [], parts.hold.value), [parts.equity.value, parts.hold.value]);
  const decimals: Decimals = (symbol) => parts.inputs.value?.decimals[symbol] ?? PRICE_DECIMALS;
  const ofTrades = { value: trades === null ? null : rows, error: parts.trades.error };
  const run = parts.report.value;
  // The trials of a sweep have an account each; only a walk-forward has one of its own. A run may fail before it has one.
  const needsPoints = run !== null && (run.trials > 0 || run.state === "failed");
  const hasAccount = !needsPoints || (parts.equity.value ?? [null]).length > 0;
  const isComing = parts.points.value === null && parts.points.error === null;
  const noTrades = (found: TradeRow[]) => (found.length === 0 ? <p>No closed trades</p> : null);
  return (
    <div class="report">
      <Panel of={parts.report} class="head-of-run">
        {(run) => (
          <>
            <Title run={run} actions={actions?.head} />
            {hasAccount && <Headline figures={headline(run, parts.equity.value ?? [], rows)} />}
            {hasAccount && (
              <WorstMoments
                hour={hour}
                gap={gap}
                rows={rows}
                interval={run.interval}
                isLoading={isComing}
                isAbout={!isWhole(points)}
                note={tradesNote(parts)}
                play={actions?.play}
                noPlay={actions?.noPlay}
                chartOf={actions?.trade}
              />
            )}
          </>
        )}
      </Panel>
      {children}
      {hasAccount && (
        <>
          <Panel title="Equity" actions={actions?.equity} of={parts.equity} class="wide" empty={(curve) => (curve.length === 0 ? <p>No equity yet</p> : null)}>
            {() => (
              <>
                <EquityPlot columns={columns} trade={rows.find(({ seq }) => seq === chosen) ?? null} worst={isComing ? null : hour} />
                {parts.hold.value?.missing && <p class="note">Buy and hold is not drawn: {parts.hold.value.missing}.</p>}
              </>
            )}
          </Panel>
          <Panel title="Trades" actions={actions?.trades} of={combined(ofTrades, parts.report)} class="wide" empty={([found]) => noTrades(found)}>
            {([found, { interval }]) => (
              <TradesTable rows={found} leftOut={trades?.leftOut ?? null} decimals={decimals} interval={interval} chosen={chosen} choose={choose} />
            )}
          </Panel>
          <Panel title="Months and years" of={parts.report} class="wide" empty={({ periods }) => (periods?.length ? null : <p>{untilEnd(parts, "No whole trading day")}</p>)}>
            {({ periods }) => <PeriodTable rows={yearRows(periods ?? [])} />}
          </Panel>
          <Panel title="Returns of trades" of={ofTrades} empty={noTrades}>
            {(found) => <BarPlot name="Returns of trades" values={returnsOf(found)} format={(value) => percent(value, true)} signed />}
          </Panel>
          <Panel title="Hold times" of={ofTrades} empty={noTrades}>
            {(found) => <BarPlot name="Hold times" values={found.map(({ held }) => held)} format={duration} signed={false} />}
          </Panel>
          <Panel title="Excursions" class="wide" of={combined(ofTrades, parts.excursions)} empty={([found, { missing }]) => noTrades(found) ?? (missing ? <p>No excursions: {missing}.</p> : null)}>
            {([found]) => <ExcursionPlots rows={found} choose={choose} />}
          </Panel>
          <Panel title="Deepest drawdowns" class="wide" of={parts.report} empty={({ drawdowns }) => (drawdowns?.length ? null : <p>{untilEnd(parts, "No drawdown")}</p>)}>
            {({ drawdowns }) => <Drawdowns rows={drawdowns ?? []} play={actions?.play} />}
          </Panel>
          <Panel title="Open at the end" class="wide" of={parts.report} empty={({ positions, orders }) => (positions?.length || orders?.length ? null : <p>{untilEnd(parts, "No open positions, no unfilled orders")}</p>)}>
            {({ positions, orders }) => (
              <>
                {!!positions?.length && <OpenPositions positions={positions} decimals={decimals} chartOf={actions?.position} />}
                {!!orders?.length && <OpenOrders orders={orders} decimals={decimals} />}
              </>
            )}
          </Panel>
        </>
      )}
      {(hasAccount || run?.metrics) && <Panel title="All figures" class="wide" of={parts.report} empty={({ metrics }) => (Object.keys(metrics ?? {}).length === 0 ? <p>{untilEnd(parts, "No figures")}</p> : null)}>
        {(run) => <AllFigures run={run} />}
      </Panel>}
      <Panel title="Inputs" of={combined(parts.report, parts.inputs)} class="wide">
        {([run, inputs]) => <InputsText run={run} inputs={inputs} />}
      </Panel>
    </div>
  );
}

const NO_POINTS: readonly EquityRow[] = [];

/** Of what the worst hour is found: all points, else those that are drawn. */
const pointsOf = ({ points, equity }: RunParts): readonly EquityRow[] =>
  points.value !== null && points.value.length > 0 ? points.value : (equity.value ?? NO_POINTS);

/** Of what the worst trade is found, where that is not all. */
function tradesNote({ trades: { value } }: RunParts): string {
  if (value === null || value.leftOut === 0) return "";
  return `the trade is of the first ${number(value.trades.length, 0)}`;
}

function untilEnd({ report }: RunParts, otherwise: string): string {
  if (report.value === null) return otherwise;
  if (report.value.state === "failed" && report.value.shown_until === null) return "The run failed before its end";
  return report.value.metrics === null ? "Shown when the run has ended, and its replay has reached that" : otherwise;
}

function Title({ run, actions }: { run: RunReport; actions: ComponentChildren }) {
  const state = run.shown_until === null ? run.state : `${run.state}, shown up to ${time(run.shown_until)} UTC, where its replay is`;
  return (
    <header class="run-title">
      <div>
        <h2>{run.name}</h2>
        <p>
          {[marketText(run), run.interval].filter((each) => each !== "").join(" · ")} · <span data-state={run.state}>{state}</span>
        </p>
        {run.message !== "" && <p class="message">{run.message}</p>}
      </div>
      <div class="choices">{actions}</div>
    </header>
  );
}

/** One that failed at its start may not have known its market. */
const marketText = ({ strategy, symbols }: RunReport): string => (symbols.length === 0 ? strategy : `${strategy} on ${symbols.join(", ")}`);

function Headline({ figures }: { figures: HeadlineFigure[] }) {
  return (
    <dl class="headline" aria-label="Headline figures">
      {figures.map(({ name, text, detail, sample, tone, reason }) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd data-tone={tone} title={reason}>{text}</dd>
          <dd class="detail">{text === MISSING ? reason : detail}</dd>
          <dd class="sample">{sample}</dd>
        </div>
      ))}
    </dl>
  );
}

function Drawdowns({ rows, play }: { rows: Drawdown[]; play: ReportActions["play"] }) {
  return (
    <ScrollBox label="Deepest drawdowns">
      <table>
        <thead>
          <tr>
            <th class="number">Depth</th>
            <th>Peak</th>
            <th>Trough</th>
            <th>Recovered</th>
            <th class="number">Days</th>
            {play !== undefined && <th>Play again</th>}
          </tr>
        </thead>
        <tbody>
          {rows.map(({ percent: depth, peak, trough, end, days }) => (
            <tr key={peak}>
              <td class="number">{percent(depth)}</td>
              <td>{time(peak)}</td>
              <td>{time(trough)}</td>
              <td>{end === null ? "not yet" : time(end)}</td>
              <td class="number">{number(days, 1)}</td>
              {play !== undefined && <td>{play(trough, "Hour before the trough")}</td>}
            </tr>
          ))}
        </tbody>
      </table>
    </ScrollBox>
  );
}

function AllFigures({ run }: { run: RunReport }) {
  return (
    <dl class="facts" aria-label="All figures">
      {inOrder(Object.entries(run.metrics ?? {})).map(([name, value]) => (
        <div key={name}>
          <dt>{figureName(name)}</dt>
          <dd title={run.undefined?.[name]}>{value === null ? `– (${run.undefined?.[name] ?? "undefined"})` : figureText(name, value)}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Of these there is an amount of money and a share. */
const OF_TRADE = /^(average|best|worst)_trade(_percent)?$/;
const WRITTEN: Record<string, string> = { sqn: "SQN", cagr: "CAGR", sharpe: "Sharpe", sortino: "Sortino", calmar: "Calmar", mae: "MAE", mfe: "MFE" };

/** A figure's name as a sentence has it: max_drawdown_percent is Max drawdown, and probabilistic_sharpe Probabilistic Sharpe. */
export function figureName(name: string): string {
  const words = name.replace(/_percent$/, "").split("_").map((word) => WRITTEN[word] ?? word).join(" ");
  const unit = OF_TRADE.test(name) ? (name.endsWith("_percent") ? " (%)" : " (money)") : "";
  return words.charAt(0).toUpperCase() + words.slice(1) + unit;
}

export const figureText = (name: string, value: number | null): string =>
  name.endsWith("_percent") ? percent(value) : number(value, Number.isInteger(value) ? 0 : 2);
