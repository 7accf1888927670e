// Volatility of the chosen symbols, and how their returns go together, by the bars of an interval.
import type { Loadable } from "../data/loadable";
import { fixed, MISSING, number, percent } from "../format";
import { Choice } from "../run/heat_map";
import { Panel } from "../shell/panel";
import { setQuery } from "../shell/router";
import { ScrollBox } from "../shell/scroll_box";
import { useWatched } from "../shell/watched";
import { BARS_OF_STATISTICS, type StatisticsReport, statisticsReport } from "./analytics";
import { ChartLink } from "./chart_link";
import { interval, INTERVALS } from "./selection";
import type { CorrelationReport, StoredSymbol } from "./types";

export function StatisticsPanels({ chosen }: { chosen: Loadable<StoredSymbol[]> }) {
  const of = interval.value;
  const symbols = chosen.value;
  const key = symbols === null ? "" : symbols.map(({ symbol }) => symbol).join(" ");
  const report = useWatched(() => statisticsReport(symbols ?? [], of), [key, of]);
  const shown: Loadable<StatisticsReport> = symbols === null ? { value: null, error: chosen.error } : report;
  const choice = <Choice name="Bars of" value={of} options={INTERVALS} choose={(value) => setQuery({ interval: value }, true)} />;
  return (
    <>
      <Panel
        title="Volatility"
        of={shown}
        actions={choice}
        empty={({ volatility }) => (volatility.length === 0 ? <p>{`None of the chosen symbols has bars of ${of}`}</p> : null)}
      >
        {(found) => <VolatilityTable report={found} interval={of} />}
      </Panel>
      <Panel
        title="Correlation"
        of={shown}
        empty={({ correlation }) => (correlation === null ? <p>{`Choose two or more symbols with bars of ${of}`}</p> : null)}
      >
        {({ correlation, areApart }) =>
          correlation !== null && (
            <>
              <CorrelationTable report={correlation} />
              <p class="note">{pairsText(correlation, areApart)}</p>
            </>
          )
        }
      </Panel>
    </>
  );
}

function VolatilityTable({ report, interval: of }: { report: StatisticsReport; interval: string }) {
  return (
    <>
      <ScrollBox label="Volatility by symbol">
        <table>
          <thead>
            <tr>
              <th scope="col">Symbol</th>
              <th scope="col" class="number">{`Of ${of}`}</th>
              <th scope="col" class="number">Of a year</th>
              <th scope="col" class="number">Returns</th>
            </tr>
          </thead>
          <tbody>
            {report.volatility.map(({ symbol, volatility, annualised, returns }) => (
              <tr key={symbol}>
                <th scope="row"><ChartLink symbol={symbol} /></th>
                <td class="number">{volatility === null ? MISSING : percent(volatility * 100)}</td>
                <td class="number">{annualised === null ? MISSING : percent(annualised * 100)}</td>
                <td class="number">{number(returns, 0)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </ScrollBox>
      <p class="note">{`The deviation of logarithmic returns of the last ${BARS_OF_STATISTICS} bars${endText(report)}${leftOutText(report)}`}</p>
    </>
  );
}

const endText = ({ areApart }: StatisticsReport): string => (areApart ? " of each symbol, which end at different times" : "");

/** Of which returns the pairs are, and what a dash means where there is one. */
export function pairsText({ matrix }: CorrelationReport, areApart: boolean): string {
  const hasNone = matrix.some((row, i) => row.some((value, j) => i !== j && value === null));
  const times = `Of each pair the returns that both have, of the last ${BARS_OF_STATISTICS} bars`;
  return `${times}${areApart ? " up to the end of the older" : ""}${hasNone ? `; ${MISSING}: too few in common` : ""}`;
}

const leftOutText = ({ leftOut }: StatisticsReport): string => (leftOut.length === 0 ? "" : `; without ${leftOut.join(", ")}`);

/** A symbol without its exchange, where that tells it from the others. */
export function shortNames(symbols: readonly string[]): string[] {
  const short = symbols.map((symbol) => symbol.slice(symbol.indexOf(":") + 1));
  return short.map((name, i) => (short.filter((each) => each === name).length > 1 ? (symbols[i] ?? name) : name));
}

function CorrelationTable({ report: { symbols, matrix, counts } }: { report: CorrelationReport }) {
  const short = shortNames(symbols);
  return (
    <ScrollBox label="Correlation of each pair of symbols">
      <table class="heat matrix">
        <thead>
          <tr>
            <td />
            {short.map((name, i) => (
              <th scope="col" class="number" key={symbols[i]}>{name}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {matrix.map((row, i) => (
            <tr key={symbols[i]}>
              <th scope="row">{short[i]}</th>
              {row.map((value, j) => (
                <td
                  class="number"
                  key={symbols[j]}
                  data-tone={value === null ? undefined : value > 0 ? "up" : "down"}
                  style={{ "--heat": Math.abs(value ?? 0).toFixed(2) }}
                  title={`${number(counts[i]?.[j] ?? 0, 0)} common returns`}
                >
                  {value === null ? MISSING : fixed(value)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </ScrollBox>
  );
}
