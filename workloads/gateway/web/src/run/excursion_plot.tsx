// Excursions: how far each trade went against the run before it ended as it did.
import { number, percent } from "../format";
import type { TradeRow } from "./trades";

const [WIDTH, HEIGHT, FOOT] = [480, 220, 18];
const DOTS_MAX = 1_500;

export interface Dot {
  seq: number;
  /** 0 or above: how far the trade went against the run, percent. */
  adverse: number;
  returned: number;
}

/** The trades that have both, evenly thinned where there are many. */
export function dotsOf(rows: readonly TradeRow[], most = DOTS_MAX): Dot[] {
  const known = rows.flatMap(({ seq, adversePercent, returnPercent }) =>
    adversePercent === null || returnPercent === null ? [] : [{ seq, adverse: -adversePercent || 0, returned: returnPercent }],
  );
  const every = Math.ceil(known.length / most);
  return every <= 1 ? known : known.filter((_, i) => i % every === 0);
}

export function ExcursionPlot({ rows, choose }: { rows: TradeRow[]; choose: (trade: TradeRow) => void }) {
  const dots = dotsOf(rows);
  const most = Math.max(...dots.map(({ adverse }) => adverse), 1e-9);
  const [low, high] = dots.reduce(([l, h], { returned }) => [Math.min(l, returned), Math.max(h, returned)], [0, 0]);
  const x = (value: number) => 4 + (value / most) * (WIDTH - 8);
  const y = (value: number) => 4 + ((high - value) / (high - low || 1)) * (HEIGHT - FOOT - 8);
  const bySeq = new Map(rows.map((row) => [row.seq, row]));
  const won = dots.filter(({ returned }) => returned > 0);
  const summary = [
    `${number(dots.length, 0)}${dots.length < rows.length ? ` of ${number(rows.length, 0)}` : ""} trades`,
    `the furthest against the run ${percent(most)}`,
    `of trades that won ${percent(Math.max(0, ...won.map(({ adverse }) => adverse)))}`,
  ].join(", ");
  return (
    <figure class="dots">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`Return by adverse excursion: ${summary}`}>
        <line class="zero" x1={0} x2={WIDTH} y1={y(0)} y2={y(0)} />
        {dots.map(({ seq, adverse, returned }) => (
          <circle
            key={seq}
            cx={x(adverse)}
            cy={y(returned)}
            r={2.5}
            class={returned > 0 ? "gain" : "loss"}
            onClick={() => {
              const row = bySeq.get(seq);
              if (row !== undefined) choose(row);
            }}
          >
            <title>{`trade ${seq}: went ${percent(-adverse)}, returned ${percent(returned, true)}`}</title>
          </circle>
        ))}
        <text x={0} y={HEIGHT - 4}>0 % against</text>
        <text x={WIDTH} y={HEIGHT - 4} text-anchor="end">{percent(most)} against</text>
      </svg>
      <figcaption>{summary}</figcaption>
    </figure>
  );
}
