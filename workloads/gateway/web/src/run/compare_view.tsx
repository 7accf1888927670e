// Two to six runs side by side. All of it can be reached and chosen by keyboard.
import { useMemo } from "preact/hooks";
import { Polled } from "../data/loadable";
import { addressOf, get } from "../data/request";
import { runs } from "../data/resources";
import { Panel } from "../shell/panel";
import { setQuery } from "../shell/router";
import { useWatched } from "../shell/watched";
import { commonDecimals, type Comparison, normalised, runLabels, RUNS_MAX, RUNS_MIN, toggled, tradeDifferences } from "./compare";
import { inputDifferences, lineText } from "./compare_inputs";
import { ComparedCurves, ComparedFigures, ComparedInputs, ComparedTrades } from "./compare_panels";
import "./run.css";
import { allSettledAs, combined, equityOf, inputsOf, partOf, PARTS_MS, tradesOf } from "./run_parts";
import type { EquityRow, RunSummary } from "./types";

export function CompareView({ ids }: { ids: string[] }) {
  const chosen = [...new Set(ids)].slice(0, RUNS_MAX);
  return (
    <main class="view compare">
      <Chooser chosen={chosen} />
      {chosen.length < RUNS_MIN ? (
        <p class="note">Choose two to six runs.</p>
      ) : (
        <Compared ids={chosen} key={chosen.join(" ")} />
      )}
    </main>
  );
}

function Chooser({ chosen }: { chosen: string[] }) {
  const listed = useWatched(() => runs, []);
  return (
    <Panel title="Runs" of={listed} empty={(found) => (found.length === 0 ? <p>No runs yet</p> : null)}>
      {(found) => (
        <details open={chosen.length < RUNS_MIN}>
          <summary>{chosen.length} chosen</summary>
          <ul class="chooser">
            {found.map((run) => (
              <li key={run.run_id}>
                <label>
                  <input
                    type="checkbox"
                    checked={chosen.includes(run.run_id)}
                    disabled={chosen.length >= RUNS_MAX && !chosen.includes(run.run_id)}
                    onChange={() => setQuery({ run: toggled(chosen, run.run_id) }, true)}
                  />
                  {run.name} <span class="muted">{`${run.strategy}, ${run.state}, ${run.run_id.slice(0, 8)}`}</span>
                </label>
              </li>
            ))}
          </ul>
        </details>
      )}
    </Panel>
  );
}

function Compared({ ids }: { ids: string[] }) {
  const polled = useMemo(
    () => new Polled(() => get<Comparison>(addressOf("/api/v1/runs/compare", { run: ids })), PARTS_MS),
    [],
  );
  const settled = () => allSettledAs(polled.value?.runs ?? null);
  const comparison = useWatched(() => polled, []);
  const curves = useWatched(() => partOf(settled, () => Promise.all(ids.map(equityOf))), []);
  const trades = useWatched(() => partOf(settled, () => Promise.all(ids.map(tradesOf))), []);
  const inputs = useWatched(() => partOf(settled, () => Promise.all(ids.map(inputsOf))), []);
  const decimals = useMemo(() => commonDecimals(inputs.value ?? []), [inputs.value]);
  const lists = trades.value;
  const different = useMemo(() => (lists === null ? [] : tradeDifferences(lists.map((list) => list.trades))), [lists]);
  const isCut = lists?.some(({ leftOut }) => leftOut !== 0) ?? false;
  return (
    <div class="report">
      <Panel title="Equity, 100 at the start of each run" class="wide" of={combined(comparison, curves)}>
        {([{ runs: found }, each]) => (
          <>
            <ComparedCurves runs={found} curves={normalised(found.map(({ cash }, i) => ({ cash, curve: each[i] ?? [] })))} />
            <LineNote runs={found} curves={each} />
          </>
        )}
      </Panel>
      <Panel
        title="Inputs that differ"
        class="wide"
        of={combined(comparison, inputs)}
        empty={([{ params }, each]) => (inputDifferences(params, each).length === 0 ? <p>All inputs are the same</p> : null)}
      >
        {([{ runs: found, params }, each]) => <ComparedInputs runs={found} rows={inputDifferences(params, each)} />}
      </Panel>
      <Panel title="Figures" class="wide" of={comparison} empty={({ metrics }) => (metrics.length === 0 ? <p>No run has ended yet</p> : null)}>
        {(found) => <ComparedFigures comparison={found} />}
      </Panel>
      <Panel
        title="Trades that differ"
        class="wide"
        of={combined(comparison, trades)}
        empty={() => (different.length === 0 ? <p>{`All trades are the same${isCut ? ", as far as they are loaded" : ""}`}</p> : null)}
      >
        {([{ runs: found }]) => <ComparedTrades runs={found} differences={different} isCut={isCut} decimals={decimals} />}
      </Panel>
    </div>
  );
}

function LineNote({ runs: found, curves }: { runs: RunSummary[]; curves: readonly EquityRow[][] }) {
  const labels = runLabels(found);
  const text = lineText(found.map(({ trials }, i) => ({ label: labels[i] ?? "", trials, points: curves[i]?.length ?? 0 })));
  return text === "" ? null : <p class="note">{text}</p>;
}
