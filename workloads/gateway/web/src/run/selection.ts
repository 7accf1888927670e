// What the views of runs show: what their address says, and defaults for the rest. A choice replaces the present entry.
import { computed } from "@preact/signals";
import { formatOrder, oneOf, parameter, parseOrder } from "../shell/parameters";
import { setQuery } from "../shell/router";
import { COLUMN_IDS, type Order, TRADE_FILTERS, type TradeFilter } from "./trade_table";

/** Choose; what is the default, "", leaves the address. */
export const choose = (changes: Record<string, string>): void =>
  setQuery(Object.fromEntries(Object.entries(changes).map(([name, value]) => [name, value === "" ? null : value])), true);

/** The number of the chosen trade; null for none. */
export const tradeNumber = computed<number | null>(() => (/^\d{1,15}$/.test(parameter("trade")) ? Number(parameter("trade")) : null));

const sort = computed(() => parameter("sort"));
export const order = computed<Order>(() => parseOrder(sort.value, COLUMN_IDS, "seq"));
export const setOrder = (wanted: Order): void => choose({ sort: formatOrder(wanted) });

export const filterText = computed(() => parameter("find"));
export const outcome = computed<TradeFilter>(() => oneOf(TRADE_FILTERS, parameter("outcome"), "all"));

/** The window of a walk-forward, of those that there are. */
export const windowOf = (numbers: readonly string[]): number => Number(oneOf(numbers, parameter("window"), numbers[0] ?? "0"));

/** The axes and the metric of the heat map. */
export const axisOf = (axis: "x" | "y", names: readonly string[], otherwise: string): string => oneOf(names, parameter(axis), otherwise);
export const OBJECTIVE = "objective";
export const heatMetric = (metrics: readonly string[]): string => oneOf(metrics, parameter("metric"), OBJECTIVE);

/** Whether a comparison also has the figures that are the same. */
export const hasSame = computed(() => parameter("same") === "1");
