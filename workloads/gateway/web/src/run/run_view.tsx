// One run: its report, loaded again while the run or its replay goes on.
import { useEffect, useMemo, useState } from "preact/hooks";
import { useWatched } from "../shell/watched";
import { ChartLink, chosenTrade, openTradeAddress, ToChart } from "./chosen_trade";
import { FailurePanel } from "./failure_panel";
import { Report } from "./report";
import { RunActions, SaveRows } from "./run_actions";
import { equityOf, excursionsOf, holdOf, inputsOf, partOf, partsUntil, reportOf, settledAs, tradesOf } from "./run_parts";
import "./run.css";
import { SweepPanels } from "./sweep_panels";
import type { TradeRow } from "./trades";

/** Another run is another view: nothing that was chosen in one is kept for the next. */
export const RunView = ({ id }: { id: string }) => <OneRun id={id} key={id} />;

function OneRun({ id }: { id: string }) {
  const polled = useMemo(() => reportOf(id), []);
  const settled = () => settledAs(polled.value);
  const loadedParts = {
    report: useWatched(() => polled, []),
    inputs: useWatched(() => partOf(settled, () => inputsOf(id)), []),
    equity: useWatched(() => partOf(settled, () => equityOf(id)), []),
    hold: useWatched(() => partOf(settled, () => holdOf(id)), []),
    trades: useWatched(() => partOf(settled, () => tradesOf(id)), []),
    excursions: useWatched(() => partOf(settled, () => excursionsOf(id)), []),
  };
  useEffect(() => void (chosenTrade.value = null), []);
  const [chosen, setChosen] = useState<TradeRow | null>(null);
  const run = loadedParts.report.value;
  const parts = partsUntil(loadedParts, run?.shown_until ?? null);
  const choose = (trade: TradeRow) => {
    setChosen(trade);
    if (run !== null) chosenTrade.value = { run: id, exchange: run.exchange, replay: run.replay_uid, trade };
  };
  return (
    <main class="view run-view">
      <Report
        parts={parts}
        chosen={chosen !== null && parts.trades.value?.trades.some(({ seq }) => seq === chosen.seq) === true ? chosen : null}
        choose={choose}
        actions={{
          head: run !== null && <RunActions run={run} inputs={parts.inputs.value} />,
          ...(run !== null && { position: (symbol: string) => <ToChart address={openTradeAddress(run, symbol)}>Show the entry</ToChart> }),
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
