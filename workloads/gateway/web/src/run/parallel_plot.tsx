// Parallel coordinates: a line for each trial over one axis for each param, and the objective at the end.
import { number, percent } from "../format";
import { useDrawnWidth } from "../shell/drawn_width";
import { nearestLine, openTrial } from "./chosen_trial";
import { plain } from "./inputs_panel";
import { coordinates, type Direction, returnOf, valuesOf } from "./sweep";
import type { Trial } from "./types";

const [ASSUMED_WIDTH, HEIGHT, TOP, FOOT, SIDE] = [900, 300, 34, 20, 40];
/** Names above nearer axes stand in two rows. */
const [NAME_WIDTH, NAME_ROW] = [130, 14];
const LINES_MAX = 1_000;

/** So near to a line a click opens its trial, as a share of the height of an axis. */
const NEAR = 0.04;

interface ParallelProps {
  trials: Trial[];
  names: string[];
  direction: Direction;
  /** The number of the trial that is opened. */
  chosen: number | null;
}

/** A click opens the trial of a line; the table of trials does so by the keyboard. */
export function ParallelPlot({ trials, names, direction, chosen }: ParallelProps) {
  const [figure, width] = useDrawnWidth<HTMLElement>(ASSUMED_WIDTH);
  const lines = coordinates(trials, names);
  const every = Math.ceil(lines.length / LINES_MAX);
  const goodness = (places: number[]) => (direction === "maximize" ? (places.at(-1) ?? 0) : 1 - (places.at(-1) ?? 0));
  // The best lie on top.
  const order = ({ trial, places }: (typeof lines)[number]) => (trial.trial === chosen ? 2 : goodness(places));
  const drawn = lines.filter(({ trial }, i) => i % Math.max(every, 1) === 0 || trial.trial === chosen).sort((a, b) => order(a) - order(b));
  const x = (axis: number) => SIDE + (axis / names.length) * (width - 2 * SIDE);
  const isNarrow = (width - 2 * SIDE) / names.length < NAME_WIDTH;
  const nameRow = (axis: number) => (isNarrow && axis % 2 === 1 ? NAME_ROW : 0);
  // The texts of the outer axes end with the drawing.
  const textOf = (axis: number) =>
    axis === 0 ? ({ x: 0, anchor: "start" } as const) : axis === names.length ? ({ x: width, anchor: "end" } as const) : ({ x: x(axis), anchor: "middle" } as const);
  const y = (place: number) => TOP + (1 - place) * (HEIGHT - TOP - FOOT);
  const open = (event: MouseEvent) => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    const [atX, atY] = [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * HEIGHT];
    const axis = ((atX - SIDE) / (width - 2 * SIDE)) * names.length;
    const found = nearestLine(drawn, Math.min(Math.max(axis, 0), names.length), 1 - (atY - TOP) / (HEIGHT - TOP - FOOT), NEAR);
    if (found !== null) openTrial(found);
  };
  const objectives = lines.flatMap(({ trial }) => trial.objective ?? []);
  const ends = (name: string): [string, string] => {
    const values = valuesOf(trials, name);
    return [plain(values[0]), plain(values.at(-1))];
  };
  const extremes: [string, string] = [number(Math.min(...objectives)), number(Math.max(...objectives))];
  return (
    <figure class="parallel" ref={figure}>
      <svg viewBox={`0 0 ${width} ${HEIGHT}`} role="img" aria-label={`${lines.length} trials by ${names.join(", ")} and objective`} onClick={open}>
        {drawn.map(({ trial, places }) => (
          <polyline
            key={`${trial.window}.${trial.trial}`}
            points={places.map((place, axis) => `${x(axis).toFixed(1)},${y(place).toFixed(1)}`).join(" ")}
            class={trial.trial === chosen ? "chosen" : goodness(places) >= 0.9 ? "best" : ""}
            style={{ opacity: trial.trial === chosen ? "1" : (0.08 + 0.8 * goodness(places) ** 2).toFixed(2) }}
          >
            <title>{`trial ${trial.trial}: objective ${number(trial.objective)}, return ${percent(returnOf(trial), true)}`}</title>
          </polyline>
        ))}
        {[...names, "objective"].map((name, axis) => {
          const [low, high] = axis < names.length ? ends(name) : extremes;
          return (
            <g key={name} text-anchor={textOf(axis).anchor}>
              <line x1={x(axis)} x2={x(axis)} y1={TOP} y2={HEIGHT - FOOT} />
              <text x={textOf(axis).x} y={10 + nameRow(axis)}>{`${name}: ${high}`}</text>
              <text x={textOf(axis).x} y={HEIGHT - 6}>{low}</text>
            </g>
          );
        })}
      </svg>
      {every > 1 && <figcaption>{`${number(drawn.length, 0)} of ${number(lines.length, 0)} trials are drawn`}</figcaption>}
    </figure>
  );
}
