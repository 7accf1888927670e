// What is open at the end of a run: positions, and orders that were never filled.
import type { ComponentChildren } from "preact";
import { number, size as sizeText, time } from "../format";
import { ScrollBox } from "../shell/scroll_box";
import type { Decimals } from "./trade_table";
import type { OpenOrder, OpenPosition } from "./types";

interface PositionsProps {
  positions: OpenPosition[];
  decimals: Decimals;
  /** The link of a symbol to its chart; none where there is no chart, as in a file. */
  chartOf?: ((symbol: string) => ComponentChildren) | undefined;
}

export function OpenPositions({ positions, decimals, chartOf }: PositionsProps) {
  return (
    <ScrollBox label="Open positions" class="small">
      <table>
        <thead>
          <tr>
            <th>Symbol</th>
            <th class="number">Size</th>
            <th class="number">Price</th>
            <th class="number">Last close</th>
            <th class="number">Unrealised</th>
            {chartOf !== undefined && <th>Chart</th>}
          </tr>
        </thead>
        <tbody>
          {positions.map(({ symbol, size, price, close, unrealised }) => (
            <tr key={symbol}>
              <td>{symbol}</td>
              <td class="number">{sizeText(size)}</td>
              <td class="number">{number(price, decimals(symbol))}</td>
              <td class="number">{number(close, decimals(symbol))}</td>
              <td class={`number ${(unrealised ?? 0) > 0 ? "up" : (unrealised ?? 0) < 0 ? "down" : ""}`}>{number(unrealised)}</td>
              {chartOf !== undefined && <td>{chartOf(symbol)}</td>}
            </tr>
          ))}
        </tbody>
      </table>
    </ScrollBox>
  );
}

export function OpenOrders({ orders, decimals }: { orders: OpenOrder[]; decimals: Decimals }) {
  return (
    <ScrollBox label="Orders that were not filled" class="small">
      <table>
        <thead>
          <tr>
            <th>Symbol</th>
            <th>Side</th>
            <th>Type</th>
            <th>Made</th>
            <th class="number">Size</th>
            <th class="number">Price</th>
            <th>Reason</th>
          </tr>
        </thead>
        <tbody>
          {orders.map((order, i) => (
            <tr key={i}>
              <td>{order.symbol}</td>
              <td>{order.side}</td>
              <td>{order.kind}</td>
              <td>{time(order.ts)}</td>
              <td class="number">{sizeText(order.size)}</td>
              <td class="number">{number(order.price, decimals(order.symbol))}</td>
              <td>{order.reason}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </ScrollBox>
  );
}
