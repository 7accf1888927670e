// The symbols of an exchange whose prices rose and fell most.
import type { Loadable } from "../data/loadable";
import { number, time } from "../format";
import { Choice } from "../run/heat_map";
import { Panel } from "../shell/panel";
import { setQuery } from "../shell/router";
import { ChartLink } from "./chart_link";
import { changeText, priceDecimals } from "./market_rows";
import { moversExchange, moversPeriod } from "./selection";
import { type Mover, type MoverReport, PERIODS, type StoredSymbol } from "./types";

const SHOWN = 10;

export function MoversPanel({ reports, symbols }: { reports: Loadable<MoverReport[]>; symbols: readonly StoredSymbol[] }) {
  const exchanges = [...new Set((reports.value ?? []).map(({ exchange }) => exchange))];
  const exchange = exchanges.find((each) => each === moversExchange.value) ?? exchanges[0] ?? "";
  const find = (found: MoverReport[]) => found.find((each) => each.exchange === exchange && each.period === moversPeriod.value);
  const choices = (
    <span class="filters">
      {exchanges.length > 1 && (
        <Choice name="Of" value={exchange} options={exchanges} choose={(value) => setQuery({ movers: value }, true)} />
      )}
      <Choice name="In a" value={moversPeriod.value} options={PERIODS} choose={(value) => setQuery({ moves: value }, true)} />
    </span>
  );
  const empty = (found: MoverReport[]) => {
    const report = find(found);
    if (report === undefined) return <p>No exchange has bars of its own</p>;
    return report.up.length + report.down.length === 0 ? <p>{`No price has moved in the last ${report.period}`}</p> : null;
  };
  return (
    <Panel title="Top movers" class="wide" of={reports} actions={choices} empty={empty}>
      {(found) => <Movers report={find(found)} symbols={symbols} />}
    </Panel>
  );
}

function Movers({ report, symbols }: { report: MoverReport | undefined; symbols: readonly StoredSymbol[] }) {
  if (report === undefined) return null;
  const bySymbol = new Map(symbols.map((each) => [each.symbol, each]));
  const decimals = ({ symbol, close }: Mover) => priceDecimals(bySymbol.get(symbol), [close]);
  const list = (title: string, movers: Mover[], tone: "up" | "down") => (
    <table aria-label={`${title} of ${report.exchange}`}>
      <thead>
        <tr>
          <th scope="col">{title}</th>
          <th scope="col" class="number">Change</th>
          <th scope="col" class="number">Close</th>
        </tr>
      </thead>
      <tbody>
        {movers.slice(0, SHOWN).map((mover) => (
          <tr key={mover.symbol}>
            <th scope="row"><ChartLink symbol={mover.symbol} /></th>
            <td class={`number ${tone}`}>{changeText(mover.change)}</td>
            <td class="number">{number(mover.close, decimals(mover))}</td>
          </tr>
        ))}
        {movers.length === 0 && (
          <tr>
            <td colSpan={3}>None</td>
          </tr>
        )}
      </tbody>
    </table>
  );
  return (
    <>
      <div class="movers">
        {list("Rises", report.up, "up")}
        {list("Falls", report.down, "down")}
      </div>
      <p class="note">{`Up to ${time(report.at)} UTC`}</p>
    </>
  );
}
