// One run: its report, loaded again while the run or its replay goes on.
import { useEffect, useMemo } from "preact/hooks";
import type { Polled } from "../data/loadable";
import { replays } from "../data/resources";
import { AddressLink } from "../shell/router";
import { useAll, useWatched } from "../shell/watched";
import { chartAddress, ChartLink, type ChosenTrade, chosenTrade, openTradeAddress } from "./chosen_trade";
import { FailurePanel } from "./failure_panel";
import { hourOfRun, storedMarketOf } from "./hour";
import { PlayHour } from "./play_hour";
import { Report } from "./report";
import { RunActions, SaveRows } from "./run_actions";
import { allEquityOf, equityOf, excursionsOf, holdOf, inputsOf, partOf, partsUntil, reportOf, settledAs, tradesOf } from "./run_parts";
import "./run.css";
import { choose, tradeNumber } from "./selection";
import { SweepPanels } from "./sweep_panels";
import type { EquityRow, RunReport, Trade } from "./types";

/** All points of a run, once its report says whether it has ended. */
async function pointsOf(id: string, report: Polled<RunReport>): Promise<EquityRow[]> {
  if (report.value === null) await report.refresh();
  return allEquityOf(id, report.value);
}

const ofRun = (run: RunReport, trade: Trade): ChosenTrade => ({ run: run.run_id, exchange: run.exchange, replay: run.replay_uid, trade });

/** Another run is another view: nothing that was chosen in one is kept for the next. */
export const RunView = ({ id }: { id: string }) => <OneRun id={id} key={id} />;

function OneRun({ id }: { id: string }) {
  useAll(replays);
  const polled = useMemo(() => reportOf(id), []);
  const settled = () => settledAs(polled.value);
  const loadedParts = {
    report: useWatched(() => polled, []),
    inputs: useWatched(() => partOf(settled, () => inputsOf(id)), []),
    equity: useWatched(() => partOf(settled, () => equityOf(id)), []),
    points: useWatched(() => partOf(settled, () => pointsOf(id, polled)), []),
    hold: useWatched(() => partOf(settled, () => holdOf(id)), []),
    trades: useWatched(() => partOf(settled, () => tradesOf(id)), []),
    excursions: useWatched(() => partOf(settled, () => excursionsOf(id)), []),
  };
  const run = loadedParts.report.value;
  const parts = partsUntil(loadedParts, run?.shown_until ?? null);
  const known = replays.signal.value.value ?? [];
  const market = run === null ? null : storedMarketOf(run, known);
  const trades = parts.trades.value?.trades;
  const chosen = useMemo<ChosenTrade | null>(() => {
    const trade = trades?.find(({ seq }) => seq === tradeNumber.value);
    return run === null || trade === undefined ? null : ofRun(run, trade);
  }, [run?.exchange, run?.replay_uid, trades, tradeNumber.value]);
  useEffect(() => void (chosenTrade.value = chosen), [chosen]);
  return (
    <main class="view run-view">
      <Report
        parts={parts}
        chosen={chosen?.trade.seq ?? null}
        choose={({ seq }) => choose({ trade: String(seq) })}
        actions={{
          head: run !== null && <RunActions run={run} inputs={parts.inputs.value} />,
          ...(run !== null && {
            position: (symbol: string) => <AddressLink address={openTradeAddress(run, symbol)}>Show the entry</AddressLink>,
            trade: (trade: Trade, text: string) => <AddressLink address={chartAddress(ofRun(run, trade))}>{text}</AddressLink>,
          }),
          ...(run !== null && market !== null && {
            play: (end: number, what: string) => <PlayHour hour={hourOfRun(run, market, end, known)} what={what} />,
          }),
          equity: <SaveRows run={id} rows={["equity"]} />,
          trades: (
            <>
              <ChartLink />
              <SaveRows run={id} rows={["trades", "fills", "excursions"]} />
            </>
          ),
        }}
      >
        {run?.state === "failed" && <FailurePanel run={run} />}
        {run !== null && run.trials > 0 && <SweepPanels id={id} report={polled} inputs={parts.inputs} />}
      </Report>
    </main>
  );
}
