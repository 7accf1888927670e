// The opened trial of a sweep: its params and metrics, the trials around it, its test windows, and the way to a report of it.
import { useEffect, useMemo, useRef } from "preact/hooks";
import { backtests } from "../data/resources";
import { number, percent, time } from "../format";
import { AddressLink } from "../shell/router";
import { ScrollBox } from "../shell/scroll_box";
import { useAll } from "../shell/watched";
import { openTrial, rankOf, testsOf } from "./chosen_trial";
import { Facts, plain } from "./inputs_panel";
import { figureName, figureText } from "./report";
import { choose } from "./selection";
import { type Direction, neighbours, ranked, returnOf, robustness } from "./sweep";
import { trialAddress } from "./trial_form";
import { NEIGHBOURS, paramsText } from "./trial_text";
import type { RunInputs, RunReport, Trial, WalkForwardWindow } from "./types";

const AROUND_SHOWN = 26;

interface TrialProps {
  run: RunReport;
  inputs: RunInputs;
  /** Those of its window. */
  trials: readonly Trial[];
  trial: Trial;
  windows: readonly WalkForwardWindow[];
  /** The name of the metric that ranks trials. */
  objective: string;
  direction: Direction;
}

export function TrialPanel({ run, inputs, trials, trial, windows, objective, direction }: TrialProps) {
  useAll(backtests);
  const place = useRef<HTMLElement>(null);
  const opener = useRef<Element | null>(null);
  useEffect(() => {
    const focused = document.activeElement;
    // From a neighbour the way back leads to what opened the panel; its button may be gone, which leaves the focus to the page.
    if (focused !== document.body && place.current?.contains(focused) !== true) opener.current = focused;
    place.current?.focus({ preventScroll: true });
    place.current?.scrollIntoView({ block: "start" });
  }, [trial.window, trial.trial]);
  const close = () => {
    choose({ trial: "" });
    if (opener.current instanceof HTMLElement && opener.current.isConnected) opener.current.focus();
  };
  const address = trialAddress(run, inputs.spec, trial, backtests.signal.value.value ?? []);
  const title = `Trial ${trial.trial}${windows.length > 0 ? ` of window ${trial.window}` : ""}`;
  return (
    <section class="panel wide opened-trial" data-state="ready" aria-label="Opened trial" tabIndex={-1} ref={place}>
      <header class="panel-title">
        <h2>{title}</h2>
        <span class="filters">
          {address !== null && <AddressLink address={address}>Run this trial</AddressLink>}
          <button type="button" onClick={close}>Close the trial</button>
        </span>
      </header>
      <p class="note">
        {"A sweep keeps the params and the metrics of a trial, and no orders, trades or equity: so a trial has no report of its own. "}
        {address === null ? "" : "Run it as a Backtest to get one."}
      </p>
      <p class="lead">{standingText(trials, trial, objective, direction)}</p>
      <Facts name="Params of the trial" facts={Object.entries(trial.params).map(([name, value]) => [name, plain(value)])} />
      <Facts name="Metrics of the trial" facts={Object.entries(trial.metrics).map(([name, value]) => [figureName(name), figureText(name, value)])} />
      <Facts name="Bars of the trial" facts={[["From", time(trial.start)], ["To", time(trial.end)]]} />
      <Around trials={trials} trial={trial} objective={objective} direction={direction} />
      {windows.length > 0 && <Tests windows={windows} trial={trial} />}
    </section>
  );
}

/** What it reached, and where it stands; of one that is not ranked why. */
function standingText(trials: readonly Trial[], trial: Trial, objective: string, direction: Direction): string {
  const rank = rankOf(trials, trial, direction);
  if (rank === null) return `Not ranked: ${trial.message === "" ? "it is not feasible" : trial.message}`;
  return `${figureName(objective)} ${figureText(objective, trial.objective)}: place ${number(rank.place, 0)} of ${number(rank.of, 0)}`;
}

type AroundProps = Pick<TrialProps, "trials" | "trial" | "objective" | "direction">;

function Around({ trials, trial, objective, direction }: AroundProps) {
  const { around, are, found } = useMemo(() => {
    const { trials: others, are: kind } = neighbours(trials, trial);
    const inOrder = [...ranked(others, direction), ...others.filter((each) => !each.feasible || each.objective === null)];
    return { around: inOrder, are: kind, found: robustness(trials, trial, direction) };
  }, [trials, trial, direction]);
  if (around.length === 0) return null;
  return (
    <>
      <h3>Its neighbours</h3>
      <p class="note">
        {`${number(found.neighbours, 0)}, ${NEIGHBOURS[are]}; median ${figureText(objective, found.median)}, worst ${figureText(objective, found.worst)}`}
      </p>
      <ScrollBox label="Neighbours of the trial">
        <table>
          <thead>
            <tr>
              <th scope="col">Trial</th>
              <th scope="col">Params</th>
              <th scope="col" class="number">Objective</th>
              <th scope="col" class="number">Return</th>
            </tr>
          </thead>
          <tbody>
            {around.slice(0, AROUND_SHOWN).map((each) => (
              <tr key={each.trial}>
                <td><button type="button" class="quiet opens" onClick={() => openTrial(each)}>{`Trial ${each.trial}`}</button></td>
                <td>{paramsText(each.params)}</td>
                <td class="number">{figureText(objective, each.objective)}</td>
                <td class="number">{percent(returnOf(each), true)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </ScrollBox>
      {around.length > AROUND_SHOWN && <p class="note">{`The best ${AROUND_SHOWN} of ${number(around.length, 0)} neighbours`}</p>}
    </>
  );
}

function Tests({ windows, trial }: { windows: readonly WalkForwardWindow[]; trial: Trial }) {
  const { traded, of, windows: shown } = testsOf(windows, trial);
  const chosen = `Its params were chosen for ${number(traded, 0)} of ${number(of, 0)} test windows`;
  const own = shown.find(({ window }) => window === trial.window);
  const other = own === undefined || own.in_sample?.trial === trial.trial ? "" : "; after its own window others were traded";
  return (
    <>
      <h3>Its test windows</h3>
      <p class="note">{chosen + other}</p>
      {shown.length > 0 && (
        <ScrollBox label="Test windows of the trial">
          <table>
            <thead>
              <tr>
                <th scope="col">Window</th>
                <th scope="col">Traded from</th>
                <th scope="col">to</th>
                <th scope="col">Params</th>
                <th scope="col" class="number">Out-of-sample</th>
                <th scope="col" class="number">Return</th>
              </tr>
            </thead>
            <tbody>
              {shown.map(({ window, params, out_of_sample: test }) => (
                <tr key={window}>
                  <td>{window}</td>
                  <td>{time(test.start)}</td>
                  <td>{time(test.end)}</td>
                  <td>{paramsText(params)}</td>
                  <td class="number">{number(test.objective)}</td>
                  <td class="number">{percent(returnOf(test), true)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </ScrollBox>
      )}
    </>
  );
}
