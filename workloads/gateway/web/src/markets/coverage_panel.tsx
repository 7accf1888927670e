// Coverage by day: a strip for each series of the chosen symbols, darker where more is stored, and its holes.
import { type Loadable, Polled } from "../data/loadable";
import { get } from "../data/request";
import { number, time } from "../format";
import { Choice } from "../run/heat_map";
import { duration } from "../run/lengths_of_time";
import { Panel } from "../shell/panel";
import { setQuery } from "../shell/router";
import { useWatched } from "../shell/watched";
import { ChartLink } from "./chart_link";
import { columnText, shareOf, type StripColumn, stripColumns, summaryOf, summaryText } from "./coverage";
import { closeOf, DAY_MS } from "./intervals";
import { span, SPANS } from "./selection";
import type { Hole, SeriesCoverage, StoredSeries, StoredSymbol } from "./types";

const COVERAGE_MS = 60_000;
const DAYS_MAX = 10_000;
const PAGES_MAX = 5;
const COLUMNS_MAX = 366;
const HOLES_SHOWN = 200;
/** So many are in sight without a click. */
const HOLES_OPEN = 20;

export function CoveragePanel({ chosen }: { chosen: Loadable<StoredSymbol[]> }) {
  const days = span.value;
  const series = (of: StoredSymbol[]) => of.flatMap((symbol) => symbol.series.map((each) => ({ symbol, each })));
  return (
    <Panel
      title="Coverage by day"
      class="wide"
      of={chosen}
      actions={<Choice name="Last days" value={days} options={SPANS} choose={(value) => setQuery({ days: value }, true)} />}
      empty={(found) => (series(found).length === 0 ? <p>None of the chosen symbols has bars of its own</p> : null)}
    >
      {(found) => (
        <ul class="coverage">
          {series(found).map(({ symbol, each }) => (
            <li key={`${symbol.symbol} ${each.interval}`}>
              <SeriesStrip symbol={symbol} series={each} days={days} />
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

/** The first day to show, so that the last ones of a series are shown; none for all of it. */
export function startOf({ interval, first, last }: StoredSeries, days: string): number | undefined {
  if (days === "all") return undefined;
  const lastDay = Math.floor((closeOf(last, interval) - 1) / DAY_MS);
  return Math.max(first, (lastDay - Number(days) + 1) * DAY_MS);
}

async function coverageOf(symbol: string, series: StoredSeries, days: string): Promise<SeriesCoverage> {
  const found: SeriesCoverage = { days: [], holes: [], next: null };
  const query = { symbol, interval: series.interval, from: startOf(series, days), limit: DAYS_MAX };
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const part = await get<SeriesCoverage>("/api/v1/coverage", { ...query, cursor: found.next ?? undefined });
    // A day that a page cuts is in the next one, too.
    const rest = found.days.filter(({ day }) => !part.days.some((again) => again.day === day));
    Object.assign(found, { days: [...rest, ...part.days], holes: [...found.holes, ...part.holes], next: part.next });
    if (part.next === null) break;
  }
  return found;
}

function SeriesStrip({ symbol, series, days }: { symbol: StoredSymbol; series: StoredSeries; days: string }) {
  const coverage = useWatched(
    () => new Polled(() => coverageOf(symbol.symbol, series, days), COVERAGE_MS),
    [symbol.symbol, series.interval, series.first, series.last, days],
  );
  const name = `${symbol.symbol}, ${series.interval}`;
  return (
    <>
      <ChartLink symbol={symbol.symbol} interval={series.interval}>{name}</ChartLink>
      <Panel of={coverage} empty={(found) => (found.days.length === 0 ? "No day is over yet" : null)}>
        {(found) => <Strip coverage={found} name={name} />}
      </Panel>
    </>
  );
}

function Strip({ coverage, name }: { coverage: SeriesCoverage; name: string }) {
  const columns = stripColumns(coverage.days, COLUMNS_MAX);
  const text = `${summaryText(summaryOf(coverage))}${coverage.next === null ? "" : "; later days are not loaded"}`;
  return (
    <>
      <svg class="days" viewBox={`0 0 ${columns.length} 1`} preserveAspectRatio="none" role="img" aria-label={`${name}: ${text}`}>
        {columns.map((column, i) => (
          <Day column={column} at={i} key={column.from} />
        ))}
      </svg>
      {coverage.holes.length === 0 ? <p class="summary">{text}</p> : <Holes holes={coverage.holes} text={text} name={name} />}
    </>
  );
}

function Day({ column, at }: { column: StripColumn; at: number }) {
  const share = shareOf(column);
  const kind = share === null ? "closed" : share === 1 ? "whole" : share === 0 ? "missing" : "part";
  return (
    <g data-day={kind}>
      <title>{columnText(column)}</title>
      <rect x={at} width={1} y={0} height={1} class="ground" />
      {share !== null && share > 0 && <rect x={at} width={1} y={1 - share} height={share} class="stored" />}
      {at > 0 && <line x1={at} x2={at} y1={0} y2={1} />}
    </g>
  );
}

function Holes({ holes, text, name }: { holes: Hole[]; text: string; name: string }) {
  const shown = holes.slice(0, HOLES_SHOWN);
  return (
    <details open={holes.length <= HOLES_OPEN}>
      <summary>{text}</summary>
      <div class="scroll rows" tabIndex={0} role="region" aria-label={`Holes of ${name}`}>
        <table>
          <thead>
            <tr>
              <th scope="col">From</th>
              <th scope="col">To</th>
              <th scope="col" class="number">Length</th>
            </tr>
          </thead>
          <tbody>
            {shown.map(({ from, to }) => (
              <tr key={from}>
                <td>{time(from)}</td>
                <td>{time(to)}</td>
                <td class="number">{duration(to - from)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {shown.length < holes.length && <p class="note">{`The first ${number(HOLES_SHOWN, 0)} of ${number(holes.length, 0)} holes`}</p>}
    </details>
  );
}
