// The table of all symbols: last prices as they are pushed, returns, and what is stored.
import { useEffect, useMemo } from "preact/hooks";
import type { Loadable } from "../data/loadable";
import { number, time } from "../format";
import { Panel } from "../shell/panel";
import { navigate, setQuery } from "../shell/router";
import { type GridColumn, RowGrid } from "../shell/row_grid";
import { marketChart } from "./chart_link";
import { finestInterval } from "./intervals";
import { LivePrices } from "./live_prices";
import type { Moves } from "./market_lists";
import {
  alsoText, atText, barsText, changeText, lastText, type MarketColumnId, type MarketRow, marketRows, marketTable, ofExchange, spanOf,
} from "./market_rows";
import { CHOSEN_MAX, filterText, order, setOrder, shownExchange, toggleSymbol } from "./selection";
import type { StoredSymbol } from "./types";

interface SymbolsProps {
  all: Loadable<StoredSymbol[]>;
  moves: ReadonlyMap<string, Moves>;
  chosen: readonly StoredSymbol[];
}

export function SymbolsPanel({ all, moves, chosen }: SymbolsProps) {
  return (
    <Panel title="Symbols" class="wide" of={all} empty={(found) => (found.length === 0 ? <NoSymbols /> : null)}>
      {(found) => <SymbolTable all={found} moves={moves} chosen={chosen} />}
    </Panel>
  );
}

function NoSymbols() {
  return (
    <>
      <p>The store has no symbols yet. Load files, or follow an exchange:</p>
      <pre>{"tapedeck import ~/data\ntapedeck fetch --exchange binance --symbols BTC/USDT --last 30d"}</pre>
    </>
  );
}

function SymbolTable({ all, moves, chosen }: { all: StoredSymbol[]; moves: ReadonlyMap<string, Moves>; chosen: readonly StoredSymbol[] }) {
  const live = useMemo(() => new LivePrices(), []);
  useEffect(() => () => live.close(), []);
  const names = chosen.map(({ symbol }) => symbol).join(" ");
  const exchange = shownExchange.value;
  const table = useMemo(() => marketTable(ofExchange(marketRows(all, moves, chosen), exchange)), [all, moves, names, exchange]);
  const { column, descending } = order.value;
  const shown = useMemo(() => table({ column, descending }, filterText.value), [table, column, descending, filterText.value]);
  return (
    <>
      <Filters all={all} shown={shown.length} chosen={chosen.length} />
      <RowGrid
        rows={shown}
        columns={columnsOf(live, chosen)}
        order={order.value}
        setOrder={setOrder}
        filter={`${exchange} ${filterText.value}`}
        label="Symbols: arrow keys move, Enter opens the chart, Space chooses a symbol for the panels below"
        keyOf={({ symbol }) => symbol.symbol}
        isChosen={({ isChosen }) => isChosen}
        open={({ symbol }) => navigate(marketChart(symbol.symbol, finestInterval(symbol)))}
        mark={({ symbol }) => toggleSymbol(chosen, symbol)}
        onSight={(rows) => live.follow(rows.map(({ symbol }) => symbol))}
      />
    </>
  );
}

function columnsOf(live: LivePrices, chosen: readonly StoredSymbol[]): GridColumn<MarketRow, MarketColumnId>[] {
  const prices = live.prices.value;
  const pushed = ({ symbol }: MarketRow) => prices.get(symbol.symbol);
  const change = (id: "day" | "week" | "month", title: string): GridColumn<MarketRow, MarketColumnId> => ({
    id, title, isNumber: true, cell: ({ moves }) => changeText(moves?.[id]), tone: ({ moves }) => moves?.[id] ?? null,
  });
  return [
    { id: "chosen", title: "Chosen", isNumber: true, cell: (row) => <Chosen row={row} chosen={chosen} /> },
    { id: "symbol", title: "Symbol", isNumber: false, cell: ({ symbol }) => symbol.symbol },
    { id: "last", title: "Last", isNumber: true, cell: (row) => lastText(row, pushed(row)) },
    { id: "at", title: "At", isNumber: true, cell: (row) => atText(row, pushed(row)) },
    change("day", "Day"),
    change("week", "Week"),
    change("month", "Month"),
    { id: "bars", title: "Bars", isNumber: false, cell: ({ symbol }) => barsText(symbol) },
    { id: "from", title: "From", isNumber: true, cell: ({ symbol }) => time(spanOf(symbol)?.first ?? null) },
    { id: "to", title: "To", isNumber: true, cell: ({ symbol }) => time(spanOf(symbol)?.last ?? null) },
    { id: "also", title: "Also", isNumber: false, cell: ({ symbol }) => alsoText(symbol) },
  ];
}

function Chosen({ row: { symbol, isChosen }, chosen }: { row: MarketRow; chosen: readonly StoredSymbol[] }) {
  return (
    <label class="check" onClick={(event) => event.stopPropagation()}>
      <input
        type="checkbox"
        tabIndex={-1}
        aria-label={`Choose ${symbol.symbol}`}
        checked={isChosen}
        onChange={() => toggleSymbol(chosen, symbol)}
      />
    </label>
  );
}

function Filters({ all, shown, chosen }: { all: StoredSymbol[]; shown: number; chosen: number }) {
  const exchanges = [...new Set(all.map(({ exchange }) => exchange))];
  const count = `${number(shown, 0)}${shown === all.length ? "" : ` of ${number(all.length, 0)}`} symbols`;
  return (
    <form class="filters" onSubmit={(event) => event.preventDefault()}>
      <input
        type="search"
        aria-label="Filter symbols"
        placeholder="BTC, coinbase, 1m, tickers"
        value={filterText.value}
        onInput={({ currentTarget }) => setQuery({ find: currentTarget.value === "" ? null : currentTarget.value }, true)}
      />
      <select
        aria-label="Exchange"
        value={shownExchange.value}
        onChange={({ currentTarget }) => setQuery({ exchange: currentTarget.value === "" ? null : currentTarget.value }, true)}
      >
        <option value="">All exchanges</option>
        {exchanges.map((each) => (
          <option value={each} key={each}>{each}</option>
        ))}
      </select>
      <span role="status">{`${count}; ${chosen} of at most ${CHOSEN_MAX} chosen for the panels below`}</span>
    </form>
  );
}
