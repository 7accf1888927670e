// The panels of a comparison: curves, params, figures, trades.
import { useMemo } from "preact/hooks";
import type uPlot from "uplot";
import { denoised, MISSING, number, signedNumber, size, time } from "../format";
import { colors } from "../shell/theme";
import { Link } from "../shell/router";
import { ScrollBox } from "../shell/scroll_box";
import { barOf } from "./bar_times";
import { type Compared, type Comparison, differences, differs, type NormalisedCurves, runLabels, type TradeDifference } from "./compare";
import { plain } from "./inputs_panel";
import { amountAxis, daysOf, lengthAxis, Plot, type PlotOptions, SINCE_START, TIME, timeAxis, UTC } from "./plot";
import { figureName, figureText } from "./report";
import { choose, hasSame } from "./selection";
import type { Decimals } from "./trade_table";
import type { RunSummary, Trade } from "./types";

const HEIGHT = 300;
const TRADES_SHOWN = 500;
const DASHES: number[][] = [[], [6, 3], [2, 2], [8, 2, 2, 2], [1, 3], [10, 4]]; // beside colours, for who can't tell those

export function ComparedCurves({ runs, curves }: { runs: RunSummary[]; curves: NormalisedCurves }) {
  const scheme = colors.value;
  const labels = runLabels(runs);
  const names = labels.join("\n");
  const { isAligned } = curves;
  const options = useMemo<PlotOptions>(() => {
    const strokes = [scheme.accent, scheme.series1, scheme.series2, scheme.series3, scheme.up, scheme.down];
    return {
      ...(isAligned ? { scales: { x: { time: false } } } : UTC),
      series: [
        isAligned ? SINCE_START : TIME,
        ...labels.map((label, i) => ({
          label, stroke: strokes[i] ?? scheme.text, width: 1.5, dash: DASHES[i] ?? [], spanGaps: true,
          value: (_: uPlot, value: number | null) => number(value),
        })),
      ],
      axes: [isAligned ? lengthAxis(scheme) : timeAxis(scheme), amountAxis(scheme)],
    };
  }, [scheme, names, isAligned]);
  const data = useMemo<uPlot.AlignedData>(() => [isAligned ? curves.ts.map(daysOf) : curves.ts, ...curves.values], [curves]);
  const ends = curves.values.map((values, i) => `${labels[i]} ends at ${number(values.findLast((value) => value !== null))}`);
  return (
    <>
      <Plot options={options} data={data} height={HEIGHT} label={`Equity, 100 at the start: ${ends.join(", ")}`} />
      {isAligned && <p class="note">The runs are of different times: each line begins at the left, and the axis has the days since its start</p>}
    </>
  );
}

function Heads({ runs, first }: { runs: RunSummary[]; first: string[] }) {
  const labels = runLabels(runs);
  return (
    <thead>
      <tr>
        {first.map((title) => (
          <th scope="col" key={title}>{title}</th>
        ))}
        {runs.map((run, i) => (
          <th scope="col" class="number" key={run.run_id}>
            <Link to={{ view: "run", id: run.run_id }}>{labels[i]}</Link>
          </th>
        ))}
      </tr>
    </thead>
  );
}

export function ComparedInputs({ runs, rows }: { runs: RunSummary[]; rows: Compared[] }) {
  return (
    <ScrollBox label="Inputs that differ, by run">
      <table>
        <Heads runs={runs} first={["Input"]} />
        <tbody>
          {rows.map(({ name, values }) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              {values.map((value, i) => (
                <td class="number input" key={i}>{value === null ? MISSING : plain(value)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </ScrollBox>
  );
}

export function ComparedFigures({ comparison }: { comparison: Comparison }) {
  const all = hasSame.value;
  const shown = all ? comparison.metrics : comparison.metrics.filter(({ values }) => differs(values));
  return (
    <>
      <label class="filters">
        <input type="checkbox" checked={all} onChange={(event) => choose({ same: event.currentTarget.checked ? "1" : "" })} />
        Also figures that are the same
      </label>
      {shown.length === 0 ? (
        <p class="note">All figures are the same</p>
      ) : (
        <ScrollBox label="Figures by run, with the difference from the first">
          <table>
            <Heads runs={comparison.runs} first={["Figure"]} />
            <tbody>
              {shown.map((figure) => (
                <FigureRow figure={figure} key={figure.name} />
              ))}
            </tbody>
          </table>
        </ScrollBox>
      )}
    </>
  );
}

function FigureRow({ figure: { name, values } }: { figure: Compared }) {
  const from = differences(values);
  return (
    <tr>
      <th scope="row">{figureName(name)}</th>
      {values.map((value, i) => (
        <td class="number" key={i}>
          {typeof value === "number" ? figureText(name, value) : MISSING}
          {i > 0 && <span class="muted">{` ${differenceText(from[i] ?? null, !name.endsWith("_percent") && values.every(isCount))}`}</span>}
        </td>
      ))}
    </tr>
  );
}

const isCount = (value: unknown): boolean => value === null || Number.isInteger(value);

/** ``isOfCounts``: the values have no decimals, and neither has what is between them. */
export const differenceText = (difference: number | null, isOfCounts = false): string =>
  difference === null ? "" : denoised(difference) === 0 ? "=" : signedNumber(difference, isOfCounts ? 0 : 2);

interface TradesProps {
  runs: RunSummary[];
  differences: TradeDifference[];
  isCut: boolean;
  decimals: Decimals;
}

export function ComparedTrades(props: TradesProps) {
  const shown = props.differences.slice(0, TRADES_SHOWN);
  const interval = props.runs[0]?.interval ?? "";
  const missing = props.differences.filter(({ is }) => is === "missing").length;
  const text = tradeCountText(missing, props.differences.length - missing);
  const cut = props.isCut ? "; not all trades are loaded, so later ones may seem missing" : "";
  return (
    <>
      <p class="note">{`${text}${shown.length < props.differences.length ? `; the first ${TRADES_SHOWN} are shown` : ""}${cut}`}</p>
      <ScrollBox label="Trades that differ, by run" class="rows">
        <table>
          <Heads runs={props.runs} first={["Symbol", "Side", "Entry bar", "Exit bar"]} />
          <tbody>
            {shown.map((row, i) => (
              <tr key={i}>
                <td>{row.symbol}</td>
                <td>{row.side}</td>
                <td>{time(barOf(row.entry_ts, interval))}</td>
                <td>{time(barOf(row.exit_ts, interval))}</td>
                {row.trades.map((trade, run) => (
                  <td class="number" key={run}>{tradeText(trade, props.decimals)}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </ScrollBox>
    </>
  );
}

/** Such as: 1 trade was not made by all runs; 84 trades have other prices or sizes. */
export function tradeCountText(missing: number, changed: number): string {
  const counted = (count: number) => `${number(count, 0)} ${count === 1 ? "trade" : "trades"}`;
  return [
    ...(missing === 0 ? [] : [`${counted(missing)} ${missing === 1 ? "was" : "were"} not made by all runs`]),
    ...(changed === 0 ? [] : [`${counted(changed)} ${changed === 1 ? "has" : "have"} other prices or sizes`]),
  ].join("; ");
}

export const tradeText = (trade: Trade | null, decimals: Decimals): string =>
  trade === null ? "not made" : `${number(trade.pnl_net)} (${size(trade.size)} at ${number(trade.entry_price, decimals(trade.symbol))})`;
