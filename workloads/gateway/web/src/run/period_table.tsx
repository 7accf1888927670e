// Results by month and year: a row for each year, coloured by return.
import { MISSING, number, percent } from "../format";
import { ScrollBox } from "../shell/scroll_box";
import { strength, type YearRow } from "./periods";
import type { Period } from "./types";

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

export function PeriodTable({ rows }: { rows: YearRow[] }) {
  return (
    <ScrollBox label="Returns by month and year, in percent">
      <table class="heat">
        <thead>
          <tr>
            <th scope="col">Year</th>
            {MONTHS.map((month) => (
              <th scope="col" class="number" key={month}>{month}</th>
            ))}
            <th scope="col" class="number">Year</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ year, months, total }) => (
            <tr key={year}>
              <th scope="row">{year}</th>
              {months.map((month, i) => (
                <PeriodCell period={month} heat={month === null ? 0 : strength(month, rows)} key={i} />
              ))}
              <PeriodCell period={total} heat={0} />
            </tr>
          ))}
        </tbody>
      </table>
    </ScrollBox>
  );
}

function PeriodCell({ period, heat }: { period: Period | null; heat: number }) {
  if (period === null) return <td class="number empty" />;
  const value = period.return_percent;
  return (
    <td
      class="number"
      data-tone={value === null || value === 0 ? "plain" : value > 0 ? "up" : "down"}
      style={{ "--heat": heat.toFixed(2) }}
      title={periodText(period)}
    >
      {value === null ? MISSING : number(value, 1)}
    </td>
  );
}

export const periodText = (period: Period): string =>
  [
    `${period.period}: ${percent(period.return_percent, true)}`,
    `drawdown ${percent(period.max_drawdown_percent)}`,
    `${number(period.trades, 0)} trades, ${number(period.wins, 0)} won`,
    `profit ${number(period.profit)}`,
  ].join(", ");
