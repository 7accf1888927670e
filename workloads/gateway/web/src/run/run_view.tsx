// One run: its report, loaded again while the run or its replay goes on.
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { Loadable, Polled } from "../data/loadable";
import { replays } from "../data/resources";
import { AddressLink } from "../shell/router";
import { useAll, useWatched } from "../shell/watched";
import { chartAddress, ChartLink, type ChosenTrade, chosenTrade, openTradeAddress } from "./chosen_trade";
import { FailurePanel } from "./failure_panel";
import { hourOfRun, playObstacle, storedMarketOf } from "./hour";
import { PlayHour } from "./play_hour";
import { Report } from "./report";
import { RunActions, SaveRows } from "./run_actions";
import { allEquityOf, equityOf, excursionsOf, holdOf, inputsOf, partOf, partsUntil, pointsOrLoading, reportOf, settledAs, tradesOf } from "./run_parts";
import "./run.css";
import { choose, tradeNumber } from "./selection";
import { SweepPanels } from "./sweep_panels";
import type { RunReport, Trade } from "./types";
import { UnstoredRun } from "./unstored_run";

const ofRun = (run: RunReport, trade: Trade): ChosenTrade => ({ run: run.run_id, exchange: run.exchange, replay: run.replay_uid, trade });

/** Another run is another view: nothing that was chosen in one is kept for the next. */
export const RunView = ({ id }: { id: string }) => <OneRun id={id} key={id} />;

function OneRun({ id }: { id: string }) {
  const polled = useMemo(() => reportOf(id), []);
  const report = useWatched(() => polled, []);
  if (report.value === null) return <main class="view run-view"><UnstoredRun id={id} error={report.error} /></main>;
  return <StoredRun id={id} polled={polled} report={report} run={report.value} />;
}

interface StoredRunProps {
  id: string;
  polled: Polled<RunReport>;
  report: Loadable<RunReport>;
  run: RunReport;
}

/** The parts of a stored run: each is loaded again while the run continues, and all are when it ends. */
function useParts(polled: Polled<RunReport>, run: RunReport) {
  const settled = settledAs(run);
  const parts = useMemo(() => {
    const ofRun = <T,>(load: () => Promise<T>) => partOf(() => settledAs(polled.value), load);
    const id = run.run_id;
    return {
      inputs: ofRun(() => inputsOf(id)),
      equity: ofRun(() => equityOf(id)),
      points: ofRun(() => allEquityOf(id, polled.value ?? run)),
      hold: ofRun(() => holdOf(id)),
      trades: ofRun(() => tradesOf(id)),
      excursions: ofRun(() => excursionsOf(id)),
    };
  }, []);
  useAll(...Object.values(parts));
  const loadedAs = useRef(settled);
  useEffect(() => {
    if (loadedAs.current === settled) return;
    loadedAs.current = settled;
    for (const part of Object.values(parts)) void part.refresh();
  }, [settled]);
  const { inputs, equity, points, hold, trades, excursions } = parts;
  return {
    inputs: inputs.signal.value,
    equity: equity.signal.value,
    points: pointsOrLoading(run, points.signal.value, equity.signal.value),
    hold: hold.signal.value,
    trades: trades.signal.value,
    excursions: excursions.signal.value,
  };
}

function StoredRun({ id, polled, report, run }: StoredRunProps) {
  useAll(replays);
  const parts = partsUntil({ report, ...useParts(polled, run) }, run.shown_until);
  const known = replays.signal.value.value ?? [];
  const market = storedMarketOf(run, known);
  const trades = parts.trades.value?.trades;
  const chosen = useMemo<ChosenTrade | null>(() => {
    const trade = trades?.find(({ seq }) => seq === tradeNumber.value);
    return trade === undefined ? null : ofRun(run, trade);
  }, [run.exchange, run.replay_uid, trades, tradeNumber.value]);
  useEffect(() => void (chosenTrade.value = chosen), [chosen]);
  return (
    <main class="view run-view">
      <Report
        parts={parts}
        chosen={chosen?.trade.seq ?? null}
        choose={({ seq }) => choose({ trade: String(seq) })}
        actions={{
          head: <RunActions run={run} inputs={parts.inputs.value} />,
          position: (symbol: string) => <AddressLink address={openTradeAddress(run, symbol)}>Show the entry</AddressLink>,
          trade: (trade: Trade, text: string) => <AddressLink address={chartAddress(ofRun(run, trade))}>{text}</AddressLink>,
          ...(market !== null && {
            play: (end: number, what: string) => <PlayHour hour={hourOfRun(run, market, end, known)} what={what} />,
          }),
          noPlay: playObstacle(run, replays.signal.value.value),
          equity: <SaveRows run={id} rows={["equity"]} />,
          trades: (
            <>
              <ChartLink />
              <SaveRows run={id} rows={["trades", "fills", "excursions"]} />
            </>
          ),
        }}
      >
        {run.state === "failed" && <FailurePanel run={run} />}
        {run.trials > 0 && <SweepPanels id={id} report={polled} inputs={parts.inputs} />}
      </Report>
    </main>
  );
}
