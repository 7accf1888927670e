// The holes of a series, the longest first: each leads to the chart, and all of them to the form of a Feed that fetches or reads them.
import { useMemo, useState } from "preact/hooks";
import type { Resource } from "../data/types";
import { number } from "../format";
import { fillAddress, importAddress } from "../new/fill_form";
import { AddressLink } from "../shell/router";
import { type CoveredSeries, holeAddress, holesText, holeText, lengthOf, nameOf, type SeriesRow } from "./coverage";
import { isDownloaded } from "./downloaded";
import type { Hole } from "./types";

const HOLES_SHOWN = 200;
/** So many are in sight without a click. */
const HOLES_OPEN = 20;

/** The holes of so many series are listed, and of as many more with each click. */
const SERIES_LISTED = 50;
/** Those of so many are in sight without a click. */
const SERIES_OPEN = 12;

export function AllHoles({ rows, feeds }: { rows: readonly SeriesRow[]; feeds: readonly Resource[] }) {
  const [listed, setListed] = useState(SERIES_LISTED);
  const more = Math.min(SERIES_LISTED, rows.length - listed);
  return (
    <>
      {rows.slice(0, listed).map((row, at) => (
        <SeriesHoles row={row} feeds={feeds} startsOpen={at < SERIES_OPEN} key={nameOf(row)} />
      ))}
      {more > 0 && <button type="button" onClick={() => setListed(listed + more)}>{`List the holes of ${more} more series`}</button>}
    </>
  );
}

/** ``startsOpen``: whether a short list is in sight without a click. */
function SeriesHoles({ row, feeds, startsOpen }: { row: SeriesRow; feeds: readonly Resource[]; startsOpen: boolean }) {
  const holes = row.coverage.value?.holes ?? [];
  const [isOpen, setOpen] = useState(startsOpen && holes.length <= HOLES_OPEN);
  const address = useMemo(() => fetchAddress(row, holes, feeds), [row.coverage, feeds]);
  if (row.summary === null || holes.length === 0) return null;
  return (
    <div class="series-holes" id={holesId(row)}>
      <h3>{nameOf(row)}</h3>
      <AddressLink address={address}>{isDownloaded(row.symbol.exchange) ? "Fetch what is missing" : "Import a file with these times"}</AddressLink>
      <details open={isOpen} onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
        <summary>{holesText(row.summary)}</summary>
        {isOpen && <HoleList row={row} holes={holes} />}
      </details>
    </div>
  );
}

const holesId = (of: CoveredSeries): string => `holes of ${nameOf(of)}`;

/** Bring the holes of a series into sight, open; of a series that is not listed nothing happens. */
export function showHoles(of: CoveredSeries): void {
  const list = document.getElementById(holesId(of));
  const details = list?.querySelector("details");
  if (details) details.open = true;
  list?.scrollIntoView({ block: "start" });
  list?.querySelector<HTMLElement>("summary")?.focus({ preventScroll: true });
}

/** What leads to the gaps: the exchange's history, or files where there is none. */
function fetchAddress({ symbol, series }: SeriesRow, holes: readonly Hole[], feeds: readonly Resource[]): string {
  if (!isDownloaded(symbol.exchange)) return importAddress({ exchange: symbol.exchange, symbol: symbol.name, interval: series.interval });
  const range = { from: holes[0]?.from ?? 0, to: holes.at(-1)?.to ?? 0 };
  return fillAddress({ exchange: symbol.exchange, symbol: symbol.name, interval: series.interval, ...range }, feeds);
}

function HoleList({ row, holes }: { row: SeriesRow; holes: readonly Hole[] }) {
  const shown = useMemo(() => [...holes].sort((one, other) => lengthOf(other) - lengthOf(one)).slice(0, HOLES_SHOWN), [holes]);
  const days = row.coverage.value?.days ?? [];
  return (
    <>
      <ol class="hole-list" aria-label={`Holes of ${nameOf(row)}`}>
        {shown.map((hole) => (
          <li key={hole.from}>
            <AddressLink address={holeAddress(row, hole)}>{holeText(hole, row.series.interval, days)}</AddressLink>
          </li>
        ))}
      </ol>
      {shown.length < holes.length && <p class="note">{`The longest ${number(HOLES_SHOWN, 0)} of ${number(holes.length, 0)} holes`}</p>}
    </>
  );
}
