// What the store has: all symbols in a table, and the chosen ones side by side.
import { useMemo } from "preact/hooks";
import type { Loadable } from "../data/loadable";
import "../run/run.css";
import { useWatched } from "../shell/watched";
import { CoveragePanel } from "./coverage_panel";
import { exchangesOf, marketSymbols, moverReports, movesBySymbol } from "./market_lists";
import "./markets.css";
import { MoversPanel } from "./movers_panel";
import { PeriodPanels } from "./period_panels";
import { chosenNames, chosenOf } from "./selection";
import { StatisticsPanels } from "./statistics_panels";
import { SymbolsPanel } from "./symbols_panel";
import type { MoverReport, StoredSymbol } from "./types";

export function MarketsView() {
  const all = useWatched(marketSymbols, []);
  const symbols = all.value ?? [];
  const exchanges = exchangesOf(symbols);
  const reports = useWatched(() => moverReports(exchanges), [exchanges.join(" ")]);
  const moves = useMemo(() => movesBySymbol(reports.value ?? []), [reports.value]);
  const names = chosenNames.value.join(" ");
  const chosen = useMemo(() => chosenOf(symbols, chosenNames.value), [all.value, names]);
  const loadable: Loadable<StoredSymbol[]> = { value: all.value === null ? null : chosen, error: all.error };
  const moved: Loadable<MoverReport[]> = all.value === null ? { value: null, error: all.error } : reports;
  return (
    <main class="view markets">
      <div class="report">
        <SymbolsPanel all={all} moves={moves} chosen={chosen} />
        <CoveragePanel all={symbols} chosen={loadable} />
        <MoversPanel reports={moved} symbols={symbols} />
        <PeriodPanels chosen={loadable} />
        <StatisticsPanels chosen={loadable} />
      </div>
    </main>
  );
}
