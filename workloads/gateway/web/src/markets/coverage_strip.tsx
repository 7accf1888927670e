// A series of the coverage: its name, what it lacks, and its strip on the axis that all of them share.
import { useSignal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { navigate } from "../shell/router";
import { ChartLink } from "./chart_link";
import { holeAddress, holesText, nameOf, type SeriesRow, storedText } from "./coverage";
import { axisText, axisTicks, breaksOf, cellsOf, columnText, type DayAxis, holeIn, kindOf, pathsOf } from "./coverage_axis";
import { showHoles } from "./coverage_holes";
import type { SeriesCoverage } from "./types";

const TICK_WIDTH = 96;
/** Narrower cells have no lines between them. */
const LINED_CELL = 5;

const share = (cells: number, axis: DayAxis): string => `${((cells / axis.cells) * 100).toFixed(3)}%`;

export function AxisRow({ axis, width }: { axis: DayAxis; width: number }) {
  return (
    <div class="coverage-row axis">
      <span class="note">{axisText(axis)}</span>
      <div class="ticks" data-axis={`${axis.stretches[0]?.from ?? 0} ${axis.cells} ${axis.each}`}>
        {breaksOf(axis).map(({ at, text }) => (
          <i class="break" key={text} title={text} style={{ left: share(at, axis), width: share(axis.gap, axis) }} />
        ))}
        {axisTicks(axis, Math.max(1, Math.floor(width / TICK_WIDTH))).map(({ place, text }) => (
          <span key={text} style={{ left: share(place, axis) }}>{text}</span>
        ))}
      </div>
    </div>
  );
}

/** The same content while nothing of it changes: of a thousand rows each draws itself once, not with each that is loaded. */
export function StripRow({ row, axis, width }: { row: SeriesRow; axis: DayAxis; width: number }) {
  return useMemo(() => <RowContent row={row} axis={axis} width={width} />, [row.coverage, axis, width]);
}

function RowContent({ row, axis, width }: { row: SeriesRow; axis: DayAxis; width: number }) {
  const { coverage: { value, error }, summary } = row;
  return (
    <>
      <div class="about">
        <ChartLink symbol={row.symbol.symbol} interval={row.series.interval}>{nameOf(row)}</ChartLink>
        {summary !== null && (
          <p class="summary">
            <b data-lacks={summary.holes > 0}>
              {summary.holes === 0 ? holesText(summary) : (
                <button type="button" class="link" title="List the holes" onClick={() => showHoles(row)}>{holesText(summary)}</button>
              )}
            </b>
            {`: ${storedText(summary)}`}
          </p>
        )}
        {value === null && error === null && <p class="note loading">Loading</p>}
        {error !== null && <p class="note stale" role="status">{value === null ? error : `Not up to date: ${error}`}</p>}
      </div>
      {value !== null && value.days.length === 0 && <p class="note">No day is over yet</p>}
      {value !== null && value.days.length > 0 && <Strip row={row} coverage={value} axis={axis} width={width} />}
    </>
  );
}

interface StripProps {
  row: SeriesRow;
  coverage: SeriesCoverage;
  axis: DayAxis;
  width: number;
}

/** What a cell has is where the pointer rests on it; a click on one opens its longest hole, which the list has as a link. */
function Strip({ row, coverage, axis, width }: StripProps) {
  const pointed = useSignal("");
  const cells = useMemo(() => cellsOf(coverage.days, axis), [coverage, axis]);
  const paths = useMemo(() => pathsOf(cells, coverage.holes, axis), [cells]);
  const counts = useMemo(() => {
    const of = (kind: string) => cells.filter((cell) => kindOf(cell) === kind).length;
    return { "data-whole": of("whole"), "data-part": of("part"), "data-missing": of("missing"), "data-closed": of("closed") };
  }, [cells]);
  const lines = width / axis.cells < LINED_CELL ? "" : Array.from({ length: axis.cells - 1 }, (_, at) => `M${at + 1} 0v1`).join("");
  const cellAt = ({ currentTarget, clientX }: MouseEvent): number => {
    const { left, width: drawn } = (currentTarget as Element).getBoundingClientRect();
    return Math.min(axis.cells - 1, Math.max(0, Math.floor(((clientX - left) / Math.max(1, drawn)) * axis.cells)));
  };
  const point = (event: MouseEvent) => {
    const at = cellAt(event);
    pointed.value = columnText(cells[at] ?? null, at, axis);
  };
  const open = (event: MouseEvent) => {
    const hole = holeIn(coverage.holes, cellAt(event), axis);
    if (hole !== undefined) navigate(holeAddress(row, hole));
  };
  const label = row.summary === null ? nameOf(row) : `${nameOf(row)}: ${holesText(row.summary)}`;
  return (
    <svg
      class="days"
      viewBox={`0 0 ${axis.cells} 1`}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
      onPointerMove={point}
      onClick={open}
      {...counts}
    >
      <title>{pointed}</title>
      <rect width={axis.cells} height={1} class="hit" />
      <path d={paths.closed} class="ground" />
      <path d={paths.missing} class="lacking" />
      <path d={paths.stored} class="stored" />
      <path d={lines} class="lines" />
      <path d={paths.holes} class="lacking" />
      {breaksOf(axis).map(({ at, text }) => (
        <rect key={text} x={at} width={axis.gap} height={1} class="break" />
      ))}
    </svg>
  );
}
