// A sweep: heat map, parallel coordinates, best trials, what is around the best, and whether it is luck.
import { useMemo } from "preact/hooks";
import type { Loadable, Polled } from "../data/loadable";
import { get } from "../data/request";
import { MISSING, number, percent, time } from "../format";
import { Panel } from "../shell/panel";
import { ScrollBox } from "../shell/scroll_box";
import { useWatched } from "../shell/watched";
import { openTrial, trialNumber } from "./chosen_trial";
import { Choice, HeatMap } from "./heat_map";
import { ParallelPlot } from "./parallel_plot";
import { figureText } from "./report";
import { combined, partOf, runPath, settledAs, TRIALS_MAX, trialsOf } from "./run_parts";
import { choose, windowOf } from "./selection";
import {
  directionOf, lossText, luck, metricOf, outOfSampleText, paramNames, ranked, resultName, returnOf, robustness, searched, windowRows,
  type Direction, type WindowRow,
} from "./sweep";
import { TrialPanel } from "./trial_panel";
import { TrialTable } from "./trial_table";
import { NEIGHBOURS, paramsText } from "./trial_text";
import type { RunInputs, RunReport, Trial, TrialList, WalkForwardWindow } from "./types";

const windowsOf = async (id: string) => (await get<{ windows: WalkForwardWindow[] }>(`${runPath(id)}/windows`)).windows;

export function SweepPanels({ id, report, inputs }: { id: string; report: Polled<RunReport>; inputs: Loadable<RunInputs> }) {
  const settled = () => settledAs(report.value);
  const trials = useWatched(() => partOf(settled, () => trialsOf(id)), [id]);
  const windows = useWatched(() => partOf(settled, () => windowsOf(id)), [id]);
  const spec = inputs.value?.spec.sweep;
  const direction = directionOf(spec);
  const objective = resultName(metricOf(spec));
  const list = trials.value?.trials;
  const numbers = [...new Set((list ?? []).map((each) => each.window))].sort((a, b) => a - b).map(String);
  const window = windowOf(numbers);
  const ofWindow = useMemo(() => searched(list ?? [], window), [list, window]);
  const isWhole = trials.value?.isCut === false && report.value?.state !== "running";
  const losses = useMemo(() => lossText(ofWindow), [ofWindow]);
  const names = useMemo(() => paramNames(searched(list ?? [])), [list]);
  const best = ranked(ofWindow, direction)[0];
  const opened = trialNumber();
  const trial = ofWindow.find((each) => each.trial === opened);
  const none = ({ trials: found }: TrialList) => (found.length === 0 ? <p>No trials yet, or beyond the position of the replay</p> : null);
  const both = combined(trials, inputs);
  return (
    <>
      <Panel
        title="Is the best trial luck?"
        class="wide"
        actions={numbers.length > 1 && <Choice name="Window" value={String(window)} options={numbers} choose={(text) => choose({ window: text })} />}
        of={both}
        empty={([found]) => none(found)}
      >
        {([found]) => (
          <>
            {!!windows.value?.length && <p class="lead">{outOfSampleText(windowRows(windows.value), (value) => figureText(objective, value))}</p>}
            {isWhole && losses !== "" && <p class="lead">{losses}</p>}
            {report.value !== null && windows.value?.length === 0 && <LuckFacts run={report.value} />}
            {best === undefined ? <p class="note">No trial is feasible</p> : <RobustnessFacts trials={ofWindow} best={best} objective={objective} direction={direction} />}
            {found.isCut && <p class="note">{`The first ${number(TRIALS_MAX, 0)} trials are loaded; the heat map has all.`}</p>}
          </>
        )}
      </Panel>
      {trial !== undefined && report.value !== null && inputs.value !== null && (
        <TrialPanel
          run={report.value}
          inputs={inputs.value}
          trials={ofWindow}
          trial={trial}
          windows={windows.value ?? []}
          objective={objective}
          direction={direction}
        />
      )}
      {opened !== null && list !== undefined && trial === undefined && (
        <p class="note wide">{`trial: got ${opened}, expected the number of one that is loaded`}</p>
      )}
      {names.length > 0 && (
        <HeatMap id={id} trials={ofWindow} chosen={trial} names={names} metrics={metricNames(ofWindow)} window={window} objective={objective} direction={direction} cash={report.value?.cash ?? 0} key={names.join()} />
      )}
      <Panel title="Trials by params" class="wide" of={both} empty={([found]) => none(found)}>
        {() => <ParallelPlot trials={ofWindow} names={names} direction={direction} chosen={opened} />}
      </Panel>
      <Panel title={`Trials by ${metricOf(spec)}`} class="wide" of={both} empty={([found]) => none(found)}>
        {() => <TrialTable trials={ofWindow} names={names} direction={direction} chosen={opened} />}
      </Panel>
      {!!windows.value?.length && (
        <Panel title="Windows of the walk-forward" class="wide" of={windows}>
          {(found) => <Windows rows={windowRows(found)} windows={found} />}
        </Panel>
      )}
    </>
  );
}

const metricNames = (trials: readonly Trial[]): string[] => [...new Set(trials.flatMap(({ metrics }) => Object.keys(metrics)))].sort();

function Fact({ name, text, detail }: { name: string; text: string; detail?: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{text}</dd>
      {detail !== undefined && <dd class="detail">{detail}</dd>}
    </div>
  );
}

function LuckFacts({ run }: { run: RunReport }) {
  const { deflated, sharpe, error, known, verdict } = luck(run);
  return (
    <dl class="headline" aria-label="Deflated Sharpe ratio">
      <Fact
        name="Deflated Sharpe"
        text={deflated === null ? MISSING : percent(deflated * 100)}
        detail="the probability that the true Sharpe ratio of the best trial is above what the best of as many trials reaches by chance"
      />
      <Fact name="The best trial" text={verdict} />
      <Fact name="Its Sharpe" text={sharpe === null ? MISSING : `${number(sharpe)} ± ${number(error)}`} detail={known} />
    </dl>
  );
}

interface RobustnessProps {
  trials: Trial[];
  best: Trial;
  /** The name of the metric. */
  objective: string;
  direction: Direction;
}

function RobustnessFacts({ trials, best, objective, direction }: RobustnessProps) {
  const found = robustness(trials, best, direction);
  return (
    <dl class="headline" aria-label="Neighbours of the best trial">
      <Fact name="Best objective" text={figureText(objective, found.best)} detail={`return ${percent(returnOf(best), true)}; ${paramsText(best.params)}`} />
      <Fact name="Its neighbours" text={number(found.neighbours, 0)} detail={`${number(found.feasible, 0)} feasible; ${NEIGHBOURS[found.are]}`} />
      <Fact name="Median neighbour" text={figureText(objective, found.median)} detail={found.rank === null ? "" : `better than ${percent(found.rank * 100)} of all trials`} />
      <Fact name="Worst neighbour" text={figureText(objective, found.worst)} detail="a good optimum has good neighbours" />
    </dl>
  );
}

function Windows({ rows, windows: all }: { rows: WindowRow[]; windows: WalkForwardWindow[] }) {
  return (
    <>
      <p class="note">The equity below is that of all windows, one after another</p>
      <ScrollBox label="Each window in-sample and out-of-sample">
        <table>
          <thead>
            <tr>
              <th scope="col">Window</th>
              <th scope="col">Traded from</th>
              <th scope="col">to</th>
              <th scope="col">Params</th>
              <th scope="col" class="number">In-sample</th>
              <th scope="col" class="number">Out-of-sample</th>
              <th scope="col" class="number">Return</th>
              <th scope="col" class="number">Trades</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.window}>
                <td>{row.window}</td>
                <td>{time(row.start)}</td>
                <td>{time(row.end)}</td>
                <td><TradedTrial params={row.params} trial={all.find(({ window }) => window === row.window)?.in_sample ?? null} /></td>
                <td class="number">{number(row.inSample)}</td>
                <td class="number">{number(row.outOfSample)}</td>
                <td class={`number ${(row.returnPercent ?? 0) > 0 ? "up" : (row.returnPercent ?? 0) < 0 ? "down" : ""}`}>{percent(row.returnPercent, true)}</td>
                <td class="number">{number(row.trades, 0)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </ScrollBox>
    </>
  );
}

/** The params that a window traded; they open the trial that they were found by. */
function TradedTrial({ params, trial }: { params: Record<string, unknown>; trial: Trial | null }) {
  if (trial === null) return <>{paramsText(params)}</>;
  return <button type="button" class="quiet opens" onClick={() => openTrial(trial)}>{paramsText(params)}</button>;
}
