// Excursions: how far each trade went against the run (MAE) and for it (MFE) before it ended as it did.
import { number, percent } from "../format";
import { useDrawnWidth } from "../shell/drawn_width";
import type { TradeRow } from "./trades";

const [ASSUMED_WIDTH, HEIGHT, FOOT] = [480, 220, 18];
const DOTS_MAX = 1_500;

export type Side = "adverse" | "favourable";

interface Words {
  title: string;
  direction: string;
  /** The outcome whose trades tell most: how much a stop would have cost, or a target would have brought. */
  outcome: string;
  hasOutcome: (dot: Dot) => boolean;
}

const WORDS: Record<Side, Words> = {
  adverse: { title: "adverse excursion (MAE)", direction: "against", outcome: "won", hasOutcome: ({ returned }) => returned > 0 },
  favourable: { title: "favourable excursion (MFE)", direction: "for", outcome: "lost", hasOutcome: ({ returned }) => returned < 0 },
};

export interface Dot {
  seq: number;
  /** 0 or above: how far the trade went to one side, percent. */
  moved: number;
  returned: number;
}

/** The trades that have both figures. */
export function dotsOf(rows: readonly TradeRow[], side: Side): Dot[] {
  return rows.flatMap(({ seq, adversePercent, favourablePercent, returnPercent }) => {
    const moved = side === "adverse" ? adversePercent : favourablePercent;
    return moved === null || returnPercent === null ? [] : [{ seq, moved: Math.abs(moved), returned: returnPercent }];
  });
}

/** Evenly fewer dots where there are many, among them those at the edges. */
export function thinned(dots: readonly Dot[], most = DOTS_MAX): readonly Dot[] {
  const every = Math.ceil(dots.length / most);
  if (every <= 1) return dots;
  const furthest = (value: (dot: Dot) => number) => dots.reduce((found, dot) => (value(dot) > value(found) ? dot : found));
  const edges = new Set([furthest(({ moved }) => moved), furthest(({ returned }) => returned), furthest(({ returned }) => -returned)]);
  return dots.filter((dot, i) => i % every === 0 || edges.has(dot));
}

/** What the plot says of all its trades, drawn or not. */
export function summaryOf(dots: readonly Dot[], drawn: number, trades: number, side: Side): string {
  const { direction, outcome, hasOutcome } = WORDS[side];
  return [
    `${number(dots.length, 0)}${dots.length < trades ? ` of ${number(trades, 0)}` : ""} trades`,
    `the furthest ${direction} the run ${percent(furthestOf(dots))}`,
    `of trades that ${outcome} ${percent(furthestOf(dots.filter(hasOutcome)))}`,
    ...(drawn < dots.length ? [`${number(drawn, 0)} are drawn`] : []),
  ].join(", ");
}

const furthestOf = (dots: readonly Dot[]): number => dots.reduce((most, { moved }) => Math.max(most, moved), 0);

interface PlotProps {
  rows: TradeRow[];
  choose: (trade: TradeRow) => void;
}

export const ExcursionPlots = (props: PlotProps) => (
  <div class="side-by-side">
    <ExcursionPlot {...props} side="adverse" />
    <ExcursionPlot {...props} side="favourable" />
  </div>
);

function ExcursionPlot({ rows, choose, side }: PlotProps & { side: Side }) {
  const [figure, width] = useDrawnWidth<HTMLElement>(ASSUMED_WIDTH);
  const dots = dotsOf(rows, side);
  const drawn = thinned(dots);
  const { title, direction } = WORDS[side];
  const most = furthestOf(dots);
  const [low, high] = dots.reduce(([l, h], { returned }) => [Math.min(l, returned), Math.max(h, returned)], [0, 0]);
  const x = (value: number) => 4 + (value / (most || 1)) * (width - 8);
  const y = (value: number) => 4 + ((high - value) / (high - low || 1)) * (HEIGHT - FOOT - 8);
  const bySeq = new Map(rows.map((row) => [row.seq, row]));
  const summary = summaryOf(dots, drawn.length, rows.length, side);
  return (
    <figure class="dots" ref={figure}>
      <svg viewBox={`0 0 ${width} ${HEIGHT}`} role="img" aria-label={`Return by ${title}: ${summary}`}>
        <line class="zero" x1={0} x2={width} y1={y(0)} y2={y(0)} />
        {drawn.map(({ seq, moved, returned }) => (
          <circle
            key={seq}
            cx={x(moved)}
            cy={y(returned)}
            r={2.5}
            class={returned > 0 ? "gain" : "loss"}
            onClick={() => {
              const row = bySeq.get(seq);
              if (row !== undefined) choose(row);
            }}
          >
            <title>{`trade ${seq}: went ${percent(moved)} ${direction} the run, returned ${percent(returned, true)}`}</title>
          </circle>
        ))}
        <text x={0} y={HEIGHT - 4}>{`0 % ${direction}`}</text>
        <text x={width} y={HEIGHT - 4} text-anchor="end">{`${percent(most)} ${direction}`}</text>
      </svg>
      <figcaption>{`${title.charAt(0).toUpperCase()}${title.slice(1)}: ${summary}`}</figcaption>
    </figure>
  );
}
