// An hour of the shown data, to be played by a Replay of its own at 10×. What has ended takes no seeks.
import { computed } from "@preact/signals";
import { messageOf } from "../data/request";
import { replays, storeOf } from "../data/resources";
import type { PlayedReplay, Run } from "../data/types";
import { isOfMarket, marketOf } from "../deck/defaults";
import { deck, resource } from "../deck/replay_state";
import { isEmbedded, replay, run, symbolOf } from "../deck/selection";
import { freeName, hasHours, type Hour, hourAddress, hourOfRun, playHour, storedMarketOf, type StoredMarket } from "../run/hour";
import { HOUR_MS } from "../run/lengths_of_time";
import type { DrawnTrade } from "../run/open_trade";
import { navigate } from "../shell/router";
import { controlProblem } from "./controls";

const MINUTE_MS = 60_000;

/** The hour around the entry of a run's trade; null where the store does not have it. */
export function hourAround(of: Run, { entry_ts, symbol }: Pick<DrawnTrade, "entry_ts" | "symbol">): Hour | null {
  const known = replays.value ?? [];
  const market = storedMarketOf(of, known);
  return market === null ? null : { ...hourOfRun(of, market, entry_ts + HOUR_MS / 2, known), shown: symbol };
}

/** The shown replay where it has ended and its hours can be played, and its bars; null elsewhere. A page of others makes none. */
const ended = computed<{ shown: PlayedReplay; market: StoredMarket } | null>(() => {
  const [shown, store] = [replay.value, storeOf(resource.value)];
  if (shown === null || store === null || isEmbedded.value || deck.value.word !== "ENDED" || !hasHours(shown.interval)) return null;
  return { shown, market: { exchange: store.exchange, symbols: shown.symbols } };
});

/** Whether an hour of the shown replay can be played. */
export const canPlayHour = computed(() => ended.value !== null);

/** The hour that begins in the minute of a time, with the shown symbol and run; null where none can be played. */
function hourFrom(ts: number): Hour | null {
  if (ended.value === null) return null;
  const { shown, market } = ended.value;
  const from = Math.floor(ts / MINUTE_MS) * MINUTE_MS;
  const symbol = /:(.*)$/.exec(marketOf(symbolOf(0)))?.[1] ?? "";
  const isRunOf = run.value !== null && isOfMarket(run.value, shown);
  return {
    ...market, name: freeName(shown.name, replays.value ?? []), interval: shown.interval, end: from + HOUR_MS,
    shown: symbol, run: isRunOf ? (run.value?.run_id ?? "") : "",
  };
}

/** Play the hour from a time at once; what refuses that is told below the transport bar. */
export function playHourFrom(ts: number): void {
  const hour = hourFrom(ts);
  if (hour === null) return;
  controlProblem.value = null;
  playHour(hour).catch((error: unknown) => (controlProblem.value = messageOf(error)));
}

/** Go to the form of the hour from a time. */
export function changeHourFrom(ts: number): void {
  const hour = hourFrom(ts);
  if (hour !== null) navigate(hourAddress(hour));
}
