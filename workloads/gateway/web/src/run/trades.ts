// What is computed of trades: their returns and hold times, and figures of some of them.
import { mean, median } from "./statistics";
import type { EquityRow, Excursion, Trade } from "./types";

/** A trade with what the table shows beside its own columns; times in milliseconds. */
export interface TradeRow extends Trade {
  held: number;
  /** The profit after commission in percent of the value at entry; null where that is 0 or less. */
  returnPercent: number | null;
  adversePercent: number | null;
  favourablePercent: number | null;
}

export function tradeRows(trades: readonly Trade[], excursions: readonly Excursion[]): TradeRow[] {
  const bySeq = new Map(excursions.map((each) => [each.seq, each]));
  return trades.map((trade) => {
    const value = trade.entry_price * Math.abs(trade.size);
    const excursion = bySeq.get(trade.seq);
    return {
      ...trade,
      held: trade.exit_ts - trade.entry_ts,
      returnPercent: value > 0 ? (trade.pnl_net / value) * 100 : null,
      adversePercent: excursion?.adverse_percent ?? null,
      favourablePercent: excursion?.favourable_percent ?? null,
    };
  });
}

export const returnsOf = (rows: readonly TradeRow[]): number[] =>
  rows.flatMap(({ returnPercent }) => (returnPercent === null ? [] : [returnPercent]));

export interface TradeFigures {
  trades: number;
  wins: number;
  losses: number;
  profitFactor: number | null;
  averagePercent: number | null;
  averageHold: number | null;
  medianHold: number | null;
}

/** The figures of closed trades, defined as the report of the API defines them. */
export function tradeFigures(rows: readonly TradeRow[]): TradeFigures {
  const profits = rows.map(({ pnl_net }) => pnl_net);
  const won = profits.filter((profit) => profit > 0);
  const lost = profits.filter((profit) => profit < 0);
  const total = (values: number[]) => values.reduce((sum, value) => sum + value, 0);
  const held = rows.map((row) => row.held);
  return {
    trades: rows.length,
    wins: won.length,
    losses: lost.length,
    profitFactor: lost.length === 0 ? null : total(won) / -total(lost),
    averagePercent: mean(returnsOf(rows)),
    averageHold: mean(held),
    medianHold: median(held),
  };
}

export interface EquityFigures {
  points: number;
  returnPercent: number | null;
  /** Null before the first point, as the return. */
  maxDrawdownPercent: number | null;
}

/** Return and deepest drawdown of a curve, which keeps its extremes when it is thinned. */
export function equityFigures(cash: number, curve: readonly EquityRow[]): EquityFigures {
  const last = curve.at(-1);
  return {
    points: curve.length,
    returnPercent: last === undefined || cash === 0 ? null : (last.value / cash - 1) * 100,
    maxDrawdownPercent: last === undefined ? null : curve.reduce((deepest, { drawdown_percent }) => Math.max(deepest, drawdown_percent ?? 0), 0),
  };
}
