// An hour of the shown data: the address of the form of a Replay that plays it at 10×. What has ended takes no seeks.
import { computed } from "@preact/signals";
import { replays, storeOf } from "../data/resources";
import type { PlayedReplay, Run } from "../data/types";
import { deck, resource } from "../deck/replay_state";
import { isEmbedded, replay } from "../deck/selection";
import { HOUR_MS } from "../run/lengths_of_time";
import { freeName, hasHours, hourAddress, storedMarketOf, type StoredMarket } from "../run/play_hour";
import { navigate } from "../shell/router";

const MINUTE_MS = 60_000;

/** The form of the hour around a time of what a run traded; null where the store does not have it. */
export function hourAround(run: Run, ts: number): string | null {
  const known = replays.value ?? [];
  const market = storedMarketOf(run, known);
  return market === null ? null : hourAddress(run, market, ts + HOUR_MS / 2, freeName(run.name, known));
}

/** The shown replay where it has ended and its hours can be played, and its bars; null elsewhere. A page of others has no form. */
const ended = computed<{ shown: PlayedReplay; market: StoredMarket } | null>(() => {
  const [shown, store] = [replay.value, storeOf(resource.value)];
  if (shown === null || store === null || isEmbedded.value || deck.value.word !== "ENDED" || !hasHours(shown.interval)) return null;
  return { shown, market: { exchange: store.exchange, symbols: shown.symbols } };
});

/** Whether an hour of the shown replay can be played by the form. */
export const canPlayHour = computed(() => ended.value !== null);

/** The form of the hour that begins in the minute of a time; null where none can be played. */
export function hourFrom(ts: number): string | null {
  if (ended.value === null) return null;
  const { shown, market } = ended.value;
  const from = Math.floor(ts / MINUTE_MS) * MINUTE_MS;
  return hourAddress(shown, market, from + HOUR_MS, freeName(shown.name, replays.value ?? []));
}

export function openHourFrom(ts: number): void {
  const address = hourFrom(ts);
  if (address !== null) navigate(address);
}
