// An hour of the shown data: the address of the form of a Replay that plays it at 10×. What has ended takes no seeks.
import { replays } from "../data/resources";
import type { Run } from "../data/types";
import { deck, resource } from "../deck/replay_state";
import { replay } from "../deck/selection";
import { freeName, hourAddress, marketOf, type StoredMarket } from "../run/play_hour";
import { navigate } from "../shell/router";
import { intervalMs } from "./steps";

const HOUR_MS = intervalMs("1h");

/** The form of the hour around a time of what a run traded; null where the store does not have it. */
export function hourAround(run: Run, ts: number): string | null {
  const known = replays.value ?? [];
  const market = marketOf(run, known);
  return market === null ? null : hourAddress(run, market, ts + HOUR_MS / 2, freeName(run.name, known));
}

/** Where the shown replay has ended, the form of the hour of its data that begins at a time; null where the store lacks it. */
export function hourFrom(ts: number): string | null {
  const shown = replay.value;
  const { store } = (resource.value?.spec["source"] ?? {}) as { store?: Partial<StoredMarket> };
  if (shown === null || store?.exchange === undefined || deck.value.word !== "ENDED") return null;
  const name = freeName(shown.name, replays.value ?? []);
  return hourAddress(shown, { exchange: store.exchange, symbols: shown.symbols }, ts + HOUR_MS, name);
}

export function openHourFrom(ts: number): void {
  const address = hourFrom(ts);
  if (address !== null) navigate(address);
}
