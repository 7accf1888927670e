// Returns and volume of the chosen symbols, by day, week or month.
import type { Loadable } from "../data/loadable";
import { MISSING, number } from "../format";
import { Choice } from "../run/heat_map";
import { Panel } from "../shell/panel";
import { setQuery } from "../shell/router";
import { ScrollBox } from "../shell/scroll_box";
import { useWatched } from "../shell/watched";
import { heatOf, lastPeriods, PERIODS_SHOWN, type PeriodReport, periodName, periodReports } from "./analytics";
import { ChartLink } from "./chart_link";
import { changeText } from "./market_rows";
import { period } from "./selection";
import { PERIODS, type StoredSymbol } from "./types";

export function PeriodPanels({ chosen }: { chosen: Loadable<StoredSymbol[]> }) {
  const of = period.value;
  const symbols = chosen.value;
  const key = symbols === null ? "" : symbols.map(({ symbol }) => symbol).join(" ");
  const report = useWatched(() => periodReports(symbols ?? [], of), [key, of]);
  const shown: Loadable<PeriodReport[]> = symbols === null ? { value: null, error: chosen.error } : report;
  const empty = (found: PeriodReport[]) =>
    found.length === 0 ? <p>None of the chosen symbols has bars</p> : found.every((each) => lastPeriods(each).length === 0) ? <p>{`No ${of} is over yet`}</p> : null;
  const choice = <Choice name="By" value={of} options={PERIODS} choose={(value) => setQuery({ period: value }, true)} />;
  return (
    <>
      <Panel title="Returns" class="wide" of={shown} actions={choice} empty={empty}>
        {(found) => (
          <>
            {found.map((each) => <ReturnTable report={each} key={keyOf(each)} />)}
            <ApartNote reports={found} />
          </>
        )}
      </Panel>
      <Panel title="Volume" class="wide" of={shown} empty={empty}>
        {(found) => (
          <>
            {found.map((each) => <VolumeTable report={each} key={keyOf(each)} />)}
            <ApartNote reports={found} />
          </>
        )}
      </Panel>
    </>
  );
}

const keyOf = ({ returns }: PeriodReport): string => returns.map(({ symbol }) => symbol).join(" ");

/** Tables of their own are no fault. */
function ApartNote({ reports }: { reports: readonly PeriodReport[] }) {
  if (reports.length < 2) return null;
  return <p class="note">{`The symbols end at different times: each has the last ${PERIODS_SHOWN} periods of its own`}</p>;
}

function Heads({ opens }: { opens: number[] }) {
  return (
    <thead>
      <tr>
        <th scope="col">Symbol</th>
        {opens.map((ts) => (
          <th scope="col" class="number" key={ts}>{periodName(ts, period.value)}</th>
        ))}
      </tr>
    </thead>
  );
}

function ReturnTable({ report }: { report: PeriodReport }) {
  const opens = lastPeriods(report);
  const all = report.returns.flatMap(({ returns }) => returns.filter(({ ts }) => opens.includes(ts)).map((each) => each.return ?? 0));
  return (
    <ScrollBox label={`Returns by ${period.value}: ${keyOf(report)}`} startsAtEnd>
      <table class="heat">
        <Heads opens={opens} />
        <tbody>
          {report.returns.map(({ symbol, returns }) => {
            const byOpen = new Map(returns.map((each) => [each.ts, each.return]));
            return (
              <tr key={symbol}>
                <th scope="row"><ChartLink symbol={symbol} /></th>
                {opens.map((ts) => (
                  <Change change={byOpen.get(ts) ?? null} all={all} key={ts} />
                ))}
              </tr>
            );
          })}
        </tbody>
      </table>
    </ScrollBox>
  );
}

function Change({ change, all }: { change: number | null; all: readonly number[] }) {
  const tone = change === null || change === 0 ? undefined : change > 0 ? "up" : "down";
  return (
    <td class="number" data-tone={tone} style={{ "--heat": change === null ? "0" : heatOf(change, all).toFixed(2) }}>
      {changeText(change)}
    </td>
  );
}

function VolumeTable({ report }: { report: PeriodReport }) {
  const opens = lastPeriods(report);
  return (
    <ScrollBox label={`Volume by ${period.value}, in the base currency: ${keyOf(report)}`} startsAtEnd>
      <table class="heat">
        <Heads opens={opens} />
        <tbody>
          {report.volumes.map(({ symbol, periods }) => {
            const byOpen = new Map(periods.map(({ ts, volume }) => [ts, volume]));
            const all = opens.map((ts) => byOpen.get(ts) ?? 0); // of one symbol: each is in a currency of its own
            return (
              <tr key={symbol}>
                <th scope="row"><ChartLink symbol={symbol} /></th>
                {opens.map((ts) => {
                  const volume = byOpen.get(ts) ?? null;
                  return (
                    <td class="number" data-tone="heat" style={{ "--heat": heatOf(volume ?? 0, all).toFixed(2) }} key={ts}>
                      {volume === null ? MISSING : number(volume)}
                    </td>
                  );
                })}
              </tr>
            );
          })}
        </tbody>
      </table>
    </ScrollBox>
  );
}
