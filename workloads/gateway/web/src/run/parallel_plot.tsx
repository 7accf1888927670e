// Parallel coordinates: a line for each trial over one axis for each param, and the objective at the end.
import { number, percent } from "../format";
import { nearestLine, openTrial } from "./chosen_trial";
import { plain } from "./inputs_panel";
import { coordinates, type Direction, returnOf, valuesOf } from "./sweep";
import type { Trial } from "./types";

const [WIDTH, HEIGHT, TOP, FOOT, SIDE] = [900, 260, 22, 20, 40];
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
  const lines = coordinates(trials, names);
  const every = Math.ceil(lines.length / LINES_MAX);
  const goodness = (places: number[]) => (direction === "maximize" ? (places.at(-1) ?? 0) : 1 - (places.at(-1) ?? 0));
  // The best lie on top.
  const order = ({ trial, places }: (typeof lines)[number]) => (trial.trial === chosen ? 2 : goodness(places));
  const drawn = lines.filter(({ trial }, i) => i % Math.max(every, 1) === 0 || trial.trial === chosen).sort((a, b) => order(a) - order(b));
  const x = (axis: number) => SIDE + (axis / names.length) * (WIDTH - 2 * SIDE);
  const y = (place: number) => TOP + (1 - place) * (HEIGHT - TOP - FOOT);
  const open = (event: MouseEvent) => {
    const { left, top, width, height } = (event.currentTarget as Element).getBoundingClientRect();
    // The drawing is in the middle of its box, and as large as fits.
    const scale = Math.min(width / WIDTH, height / HEIGHT);
    const atX = (event.clientX - left - (width - WIDTH * scale) / 2) / scale;
    const atY = (event.clientY - top - (height - HEIGHT * scale) / 2) / scale;
    const axis = ((atX - SIDE) / (WIDTH - 2 * SIDE)) * names.length;
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
    <figure class="parallel">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`${lines.length} trials by ${names.join(", ")} and objective`} onClick={open}>
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
            <g key={name} text-anchor="middle">
              <line x1={x(axis)} x2={x(axis)} y1={TOP} y2={HEIGHT - FOOT} />
              <text x={x(axis)} y={10}>{`${name}: ${high}`}</text>
              <text x={x(axis)} y={HEIGHT - 6}>{low}</text>
            </g>
          );
        })}
      </svg>
      {every > 1 && <figcaption>{`${number(drawn.length, 0)} of ${number(lines.length, 0)} trials are drawn`}</figcaption>}
    </figure>
  );
}
