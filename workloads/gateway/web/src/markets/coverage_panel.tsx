// What is missing in the data: of each stored series its holes, the series that lack most first, over one axis of time.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Loadable } from "../data/loadable";
import { feeds } from "../data/resources";
import type { Resource } from "../data/types";
import { number } from "../format";
import { Choice } from "../run/heat_map";
import { Panel } from "../shell/panel";
import { setQuery } from "../shell/router";
import { whenResized } from "../shell/resized";
import { useAll } from "../shell/watched";
import { type CoveredSeries, leadText, nameOf, rowsOf, seriesOf, startOf } from "./coverage";
import { axisOf, type DayAxis } from "./coverage_axis";
import { AllHoles } from "./coverage_holes";
import { CoverageLoads, coverageOf } from "./coverage_load";
import { AxisRow, StripRow } from "./coverage_strip";
import { closeOf } from "./intervals";
import { filtered } from "./market_rows";
import { chosenNames, coveredOf, COVERED, filterText, SERIES_MAX, shownExchange, span, SPANS } from "./selection";
import type { StoredSymbol } from "./types";

/** So wide is a cell at least, in pixels, and so wide the strips are taken to be before they are measured. */
const [CELL_WIDTH, STRIP_WIDTH] = [3, 1_100];
const NO_FEEDS: readonly Resource[] = [];

export function CoveragePanel({ all, chosen }: { all: readonly StoredSymbol[]; chosen: Loadable<StoredSymbol[]> }) {
  const days = span.value;
  const covered = coveredOf(seriesOf(all).length, chosenNames.value);
  const [exchange, text] = [shownExchange.value, filterText.value];
  const isFiltered = exchange !== "" || text.trim() !== "";
  const series = useMemo(() => {
    if (covered !== "all symbols" && chosenNames.value.length > 0) return seriesOf(chosen.value ?? []); // ticked ones stay
    const of = covered === "all symbols" ? all : (chosen.value ?? []);
    return seriesOf(isFiltered ? filtered(of, exchange, text) : of);
  }, [covered, all, chosen.value, exchange, text]);
  const shown = useMemo(() => series.slice(0, SERIES_MAX), [series]);
  const actions = (
    <span class="filters">
      <Choice name="Series of" value={covered} options={COVERED} choose={(value) => setQuery({ covered: value }, true)} />
      <Choice name="Last days of each series" value={days} options={SPANS} choose={(value) => setQuery({ days: value }, true)} />
    </span>
  );
  const none = () => (series.length === 0 ? <p>{`None of the ${isFiltered ? "symbols that the filters leave" : "chosen symbols"} has bars of its own`}</p> : null);
  return (
    <Panel title="Coverage: what is missing" class="wide" of={chosen} actions={actions} empty={none}>
      {() => (
        <>
          <Coverage shown={shown} days={days} key={`${days} ${shown.map(nameOf).join()}`} />
          {shown.length < series.length && <p class="note">{`The first ${number(shown.length, 0)} of ${number(series.length, 0)} series: choose symbols for others`}</p>}
        </>
      )}
    </Panel>
  );
}

/** Other series, or other days, are loaded from the beginning; for one bar more nothing is. */
function Coverage({ shown, days }: { shown: readonly CoveredSeries[]; days: string }) {
  useAll(feeds);
  const latest = useRef(shown);
  latest.current = shown;
  const loads = useMemo(() => new CoverageLoads(shown.length, (at) => coverageOf(latest.current[at] as CoveredSeries, days)), []);
  useEffect(() => loads.watch(), [loads]);
  const found = loads.found.value;
  const rows = useMemo(() => rowsOf(shown.flatMap((each, at) => found[at] === undefined ? [] : { ...each, coverage: found[at] })), [shown, found]);
  const [list, width] = useWidth();
  const axis = useAxis(shown, days, Math.floor(width / CELL_WIDTH));
  const lacking = rows.filter(({ summary }) => summary !== null && summary.holes > 0);
  return (
    <>
      <p class="lead" role="status">{leadText(rows)}</p>
      <Legend hasBreaks={axis.stretches.length > 1} />
      <div class="coverage-frame" tabIndex={0} role="region" aria-label="Coverage of each series">
        <AxisRow axis={axis} width={width} />
        <ul class="coverage" ref={list}>
          {rows.map((row) => (
            <li class="coverage-row" key={nameOf(row)}>
              <StripRow row={row} axis={axis} width={width} />
            </li>
          ))}
        </ul>
      </div>
      <AllHoles rows={lacking} feeds={feeds.signal.value.value ?? NO_FEEDS} />
    </>
  );
}

function Legend({ hasBreaks }: { hasBreaks: boolean }) {
  const kinds = [["stored", "stored"], ["lacking", "missing"], ["closed", "market closed"], ...(hasBreaks ? [["left-out", "time left out"]] : [])];
  return (
    <p class="coverage-legend">
      {kinds.map(([kind, text]) => (
        <span key={kind}><i class={kind} />{text}</span>
      ))}
    </p>
  );
}

/** The same object while the axis is the same: with another one every strip is drawn again. */
function useAxis(shown: readonly CoveredSeries[], days: string, most: number): DayAxis {
  const kept = useRef<DayAxis | null>(null);
  const ranges = shown.map(({ series }) => ({ from: startOf(series, days), to: closeOf(series.last, series.interval) }));
  const axis = axisOf(ranges, most);
  if (JSON.stringify(axis) !== JSON.stringify(kept.current)) kept.current = axis;
  return kept.current ?? axis;
}

/** About how wide the strips are: other cells for each pixel that a window gets wider would help nobody. */
function useWidth() {
  const list = useRef<HTMLUListElement>(null);
  const [width, setWidth] = useState(STRIP_WIDTH);
  useEffect(() => {
    const { current } = list;
    if (current === null) return;
    const measure = () => {
      const drawn = current.previousElementSibling?.querySelector(".ticks")?.clientWidth ?? 0;
      if (drawn > 0) setWidth(Math.ceil(drawn / 30) * 30);
    };
    return whenResized([current], measure);
  }, []);
  return [list, width] as const;
}
