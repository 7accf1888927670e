// A metric of trials by the values of any two params, as a table whose cells are coloured.
import { useMemo } from "preact/hooks";
import { loaded, type Loadable, Polled } from "../data/loadable";
import { get } from "../data/request";
import { MISSING, number } from "../format";
import { Panel } from "../shell/panel";
import { ScrollBox } from "../shell/scroll_box";
import { useWatched } from "../shell/watched";
import { cellName, openTrial, trialsOfCells } from "./chosen_trial";
import { plain } from "./inputs_panel";
import { PARTS_MS } from "./run_parts";
import { figureName } from "./report";
import { axisOf, choose, heatMetric, OBJECTIVE } from "./selection";
import { breakEven, type CellColour, colouring, type Direction } from "./sweep";
import type { Matrix, Trial } from "./types";

/** What stands where there are no two params to choose. */
const NONE: Loadable<Matrix | "none"> = loaded("none");

interface HeatMapProps {
  id: string;
  /** Those of the window, which cells open, and the one that is opened. */
  trials: readonly Trial[];
  chosen: Trial | undefined;
  names: string[];
  metrics: string[];
  window: number;
  /** The name of the metric that ranks trials, and the value of the account at the start. */
  objective: string;
  direction: Direction;
  cash: number;
}

export function HeatMap({ id, trials, chosen, names, metrics, window, objective, direction, cash }: HeatMapProps) {
  const x = axisOf("x", names, names[0] ?? "");
  const y = axisOf("y", names, names[1] ?? names[0] ?? "");
  const metric = heatMetric(metrics);
  const path = `/api/v1/sweeps/${encodeURIComponent(id)}/matrix`;
  const matrix: Loadable<Matrix | "none"> = useWatched(
    () => new Polled<Matrix | "none">(() => (x === "" ? Promise.resolve("none") : get<Matrix>(path, { x, y, metric, window })), PARTS_MS),
    [id, x, y, metric, window],
  );
  const ofCells = useMemo(() => trialsOfCells(trials, x, y, direction), [trials, x, y, direction]);
  const choices = (
    <span class="filters">
      <Choice name="Across" value={x} options={names} choose={(value) => choose({ x: value })} />
      <Choice name="Down" value={y} options={names} choose={(value) => choose({ y: value })} />
      <Choice name="Colour" value={metric} options={[OBJECTIVE, ...metrics]} choose={(value) => choose({ metric: value === OBJECTIVE ? "" : value })} />
    </span>
  );
  return (
    <Panel
      title="Heat map"
      class="wide"
      actions={choices}
      of={names.length === 0 ? NONE : matrix}
      empty={(found) => (found === "none" || found.values.length === 0 ? <p>No two params with several values</p> : null)}
    >
      {(found) =>
        found !== "none" && (
          <MatrixTable
            matrix={found}
            lowIsGood={metric === OBJECTIVE && direction === "minimize"}
            border={breakEven(metric === OBJECTIVE ? objective : metric, cash)}
            trials={ofCells}
            chosen={chosen === undefined ? "" : cellName(chosen.params[x], chosen.params[y])}
          />
        )
      }
    </Panel>
  );
}

export function Choice(props: { name: string; value: string; options: readonly string[]; choose: (value: string) => void }) {
  return (
    <label>
      {`${props.name} `}
      <select value={props.value} onChange={(event) => props.choose(event.currentTarget.value)}>
        {props.options.map((each) => (
          <option value={each} key={each}>{each}</option>
        ))}
      </select>
    </label>
  );
}

interface MatrixProps {
  matrix: Matrix;
  lowIsGood: boolean;
  /** The value between loss and gain; null of a metric that knows neither. */
  border: number | null;
  /** The trial that a cell opens, and the cell of the one that is opened, by names of cells. */
  trials: ReadonlyMap<string, Trial>;
  chosen: string;
}

export function MatrixTable({ matrix, lowIsGood, border, trials, chosen }: MatrixProps) {
  const all = matrix.values.flat().filter((value): value is number => value !== null);
  const colourOf = colouring(all, border, lowIsGood);
  return (
    <ScrollBox label={`${figureName(matrix.metric)} by ${matrix.x} and ${matrix.y}`}>
      <table class="heat matrix">
        <thead>
          <tr>
            <th scope="col">{`${matrix.y} \\ ${matrix.x}`}</th>
            {matrix.xs.map((value) => (
              <th scope="col" class="number" key={plain(value)}>{plain(value)}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {matrix.values.map((row, i) => (
            <tr key={plain(matrix.ys[i])}>
              <th scope="row">{plain(matrix.ys[i])}</th>
              {row.map((value, j) => {
                const name = cellName(matrix.xs[j], matrix.ys[i]);
                const colour = value === null ? null : colourOf(value);
                return (
                  <MatrixCell value={value} colour={colour} count={matrix.counts[i]?.[j] ?? 0} trial={trials.get(name)} isChosen={name === chosen} key={j} />
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </ScrollBox>
  );
}

interface CellProps {
  value: number | null;
  colour: CellColour | null;
  count: number;
  trial: Trial | undefined;
  isChosen: boolean;
}

function MatrixCell({ value, colour, count, trial, isChosen }: CellProps) {
  const text = value === null ? MISSING : number(value);
  const trials = count === 1 ? "1 trial" : `${number(count, 0)} trials`;
  return (
    <td class="number" data-tone={colour?.tone} style={{ "--heat": colour === null ? "0" : colour.heat.toFixed(2) }} title={trials}>
      {trial === undefined ? text : (
        <button
          type="button"
          class="quiet"
          aria-pressed={isChosen}
          title={`${trials}: opens ${count > 1 ? "the best, " : ""}trial ${trial.trial}`}
          onClick={() => openTrial(trial)}
        >
          {text}
        </button>
      )}
    </td>
  );
}
