// A histogram: bars of counts, with what lies left of 0 and right of it in different colours, and the median marked.
import { number } from "../format";
import { useDrawnWidth } from "../shell/drawn_width";
import { ascending, histogram, median, quantile } from "./statistics";

const [ASSUMED_WIDTH, HEIGHT, FOOT] = [480, 150, 18];

interface BarPlotProps {
  values: readonly number[];
  name: string;
  format: (value: number) => string;
  /** Whether values below 0 are losses. */
  signed: boolean;
}

export function BarPlot({ values, name, format, signed }: BarPlotProps) {
  const [figure, width] = useDrawnWidth<HTMLElement>(ASSUMED_WIDTH);
  const bins = histogram(values);
  const [first, last] = [bins[0], bins.at(-1)];
  if (first === undefined || last === undefined) return null;
  const greatest = Math.max(...bins.map(({ count }) => count));
  const place = (value: number) => ((value - first.from) / (last.to - first.from)) * width;
  const middle = median(values) ?? 0;
  const sorted = ascending(values);
  const summary = [
    `${number(values.length, 0)} values`,
    `median ${format(middle)}`,
    `middle half ${format(quantile(sorted, 0.25) ?? 0)} to ${format(quantile(sorted, 0.75) ?? 0)}`,
    `from ${format(sorted[0] ?? 0)} to ${format(sorted.at(-1) ?? 0)}`,
  ].join(", ");
  return (
    <figure class="bars" ref={figure}>
      <svg viewBox={`0 0 ${width} ${HEIGHT}`} role="img" aria-label={`${name}: ${summary}`}>
        {bins.map(({ from, to, count }) => {
          const height = (count / greatest) * (HEIGHT - FOOT - 4);
          return (
            <rect
              key={from}
              x={place(from) + 0.5}
              width={Math.max(place(to) - place(from) - 1, 0.5)}
              y={HEIGHT - FOOT - height}
              height={height}
              class={!signed ? "bar" : from >= 0 ? "bar gain" : "bar loss"}
            >
              <title>{`${format(from)} to ${format(to)}: ${number(count, 0)}`}</title>
            </rect>
          );
        })}
        <line class="median" x1={place(middle)} x2={place(middle)} y1={0} y2={HEIGHT - FOOT} />
        <text x={0} y={HEIGHT - 4}>{format(first.from)}</text>
        <text x={width} y={HEIGHT - 4} text-anchor="end">{format(last.to)}</text>
      </svg>
      <figcaption>{summary}</figcaption>
    </figure>
  );
}
