// The order in which a report has all its figures: return, risk, trades, costs, and what is open. The API has none.

const ORDER: readonly string[] = [
  "return_percent", "buy_and_hold_percent", "final_value", "lowest_value", "cagr_percent", "annual_return_percent",
  "max_drawdown_percent", "max_drawdown_amount", "max_drawdown_days", "volatility_percent", "sharpe", "sharpe_error", "probabilistic_sharpe",
  "sortino", "calmar", "daily_returns", "exposure_percent",
  "trades", "wins", "losses", "draws", "win_rate_percent", "profit_factor", "expectancy_ratio", "sqn", "average_trade", "average_trade_percent",
  "best_trade", "best_trade_percent", "worst_trade", "worst_trade_percent", "average_hold_hours",
  "commission", "fills", "rejected_orders",
  "open_positions", "unrealised_profit", "open_orders",
];
const PLACES = new Map(ORDER.map((name, place) => [name, place]));

/** Figures that are not known come last, by name. */
export function inOrder<Value>(figures: readonly [name: string, value: Value][]): [name: string, value: Value][] {
  const place = (name: string) => PLACES.get(name) ?? ORDER.length;
  return [...figures].sort(([one], [other]) => place(one) - place(other) || one.localeCompare(other));
}
