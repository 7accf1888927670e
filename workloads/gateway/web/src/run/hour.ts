// An hour of what a run or a replay has shown: the Replay that plays it, at a speed that one can follow, and the form of that.
import { signal } from "@preact/signals";
import { intervalMs } from "../chart/lengths";
import { get, send } from "../data/request";
import { refreshResources, replays, storeOf } from "../data/resources";
import { type Bar, FINAL_PHASES, type Resource } from "../data/types";
import { NAME_MAX, namesIn, nextName } from "../names";
import { DEFAULT_NAMESPACE } from "../new/apply";
import { given, initialValues, type Tree } from "../new/fields";
import { FORMS, manifestOf } from "../new/forms";
import { navigate } from "../shell/router";
import { HOUR_MS } from "./lengths_of_time";
import type { RunSummary } from "./types";

export const SPEED = 10;
const ENDING = "-hour";
/** Of so many symbols is looked for a bar: of more the Replay finds out. */
const LOOKED_AT = 20;
export const NO_BARS = "The store has no bar of this hour";

/** Bars of the store. */
export interface StoredMarket {
  exchange: string;
  symbols: readonly string[];
}

export interface Hour extends StoredMarket {
  /** Of the Replay that plays it. */
  name: string;
  interval: string;
  end: number;
  /** The symbol of the chart. */
  shown: string;
  /** The id of the run that is shown on it; empty for none. */
  run: string;
}

/** Whether an hour has several bars of an interval to play. */
export const hasHours = (interval: string): boolean => intervalMs(interval) < HOUR_MS;

/** A name for a Replay of an hour of a run or a replay that no Replay has where it is made. */
export function freeName(of: string, known: readonly Resource[]): string {
  const taken = namesIn(DEFAULT_NAMESPACE, known);
  const base = baseOf(of);
  const name = base.slice(0, NAME_MAX - ENDING.length) + ENDING;
  return taken.has(name) ? nextName(name, taken) : name;
}

/** Of the name of an hour's Replay what it is an hour of. */
const baseOf = (name: string): string => name.replace(/-hour(-\d+)?$/, "");

/** What a Replay of the store plays, to be compared. */
interface PlayedStore {
  exchange?: string;
  symbols?: string[];
  interval?: string;
  from?: string;
  to?: string;
}

/** The Replay of this hour of the same run that plays or stands still; undefined where there is none, or it has ended. */
export function playingHour(hour: Hour, known: readonly Resource[]): Resource | undefined {
  return known.find(({ metadata: { name, namespace }, spec, status }) => {
    const { store } = (spec["source"] ?? {}) as { store?: PlayedStore };
    const isOf = namespace === DEFAULT_NAMESPACE && name !== baseOf(name) && baseOf(name) === baseOf(hour.name);
    const isSame =
      store?.exchange === hour.exchange && store.symbols?.join() === hour.symbols.join() && store.interval === hour.interval &&
      Date.parse(store.from ?? "") === hour.end - HOUR_MS && Date.parse(store.to ?? "") === hour.end;
    return isOf && isSame && !FINAL_PHASES.includes(status?.phase ?? "");
  });
}

/** What a run traded, where the store has it and an hour of it can be played: of its own range, or of its replay's. */
export function storedMarketOf(run: RunSummary, known: readonly Resource[]): StoredMarket | null {
  if (!hasHours(run.interval)) return null;
  if (run.replay_uid === "") return run;
  const store = storeOf(known.find(({ metadata }) => metadata.uid === run.replay_uid));
  return store === null ? null : { exchange: store.exchange, symbols: run.symbols };
}

/** Why no hour of a run can be played; empty where one can, and while its replay is not known. */
export function playObstacle(run: RunSummary, known: readonly Resource[] | null): string {
  if (!hasHours(run.interval)) return `No hour can be played: a bar has ${run.interval}`;
  if (known === null || storedMarketOf(run, known) !== null) return "";
  const isThere = known.some(({ metadata }) => metadata.uid === run.replay_uid);
  return `No hour can be played: ${isThere ? "its Replay plays bars that the store does not have" : "its Replay was deleted"}`;
}

/** The hour of a run that ends at a time. */
export const hourOfRun = (run: RunSummary, { exchange, symbols }: StoredMarket, end: number, known: readonly Resource[]): Hour => ({
  name: freeName(run.name, known), exchange, symbols, interval: run.interval, end, shown: symbols[0] ?? "", run: run.run_id,
});

/** The values of the form of a Replay. */
function valuesOf({ name, exchange, symbols, interval, end }: Hour): Record<string, string> {
  const time = (ms: number) => new Date(ms).toISOString().replace(".000", "");
  return { name, exchange, symbols: symbols.join(", "), interval, from: time(end - HOUR_MS), to: time(end), speed: String(SPEED) };
}

/** The address of the form, for those who want to change something. */
export const hourAddress = (hour: Hour): string => `/new?${new URLSearchParams({ kind: "replay", ...valuesOf(hour) }).toString()}`;

/** The Replay that the form makes of it as it is. */
export function hourManifest(hour: Hour): Tree {
  const values = { ...initialValues(FORMS.replay), ...given(FORMS.replay, new URLSearchParams(valuesOf(hour))) };
  return manifestOf("replay", FORMS.replay, values, []);
}

/** The Deck with the Replay of this uid, its market, its bars, and the run. */
export function playedAddress({ exchange, shown, interval, run }: Hour, uid: string): string {
  const query = { replay: uid, symbol: `replay/${uid}/${exchange}:${shown}`, interval, ...(run !== "" && { run }) };
  return `/?${new URLSearchParams(query).toString()}`;
}

/** Whether the store has a bar of the hour, of one of its symbols. */
export async function hasBars({ exchange, symbols, interval, end }: Hour): Promise<boolean> {
  for (const symbol of symbols.slice(0, LOOKED_AT)) {
    const query = { symbol: `${exchange}:${symbol}`, interval, from: end - HOUR_MS, to: end, limit: 1 };
    if ((await get<{ bars: Bar[] }>("/api/v1/bars", query)).bars.length > 0) return true;
  }
  return symbols.length > LOOKED_AT;
}

/** Whether the store is known to have no bar of an hour. Where that cannot be asked, the Replay finds out. */
export const isEmptyHour = (hour: Hour): Promise<boolean> => hasBars(hour).then((found) => !found, () => false);

/** Whether a Replay of an hour is being made: a second click makes no second one. */
export const isMakingHour = signal(false);

/** Play the hour, and go to the Deck that shows it. Raises where the store has no bar of it, or the gateway refuses it. */
export async function playHour(hour: Hour): Promise<void> {
  if (isMakingHour.peek()) return;
  isMakingHour.value = true;
  try {
    if (await isEmptyHour(hour)) throw new Error(NO_BARS);
    await replays.refresh();
    const { metadata } = await replayOf(hour);
    await refreshResources();
    navigate(playedAddress(hour, metadata.uid));
  } finally {
    isMakingHour.value = false;
  }
}

/** The Replay of the hour, from its start: the one that plays already, else another one. What has ended takes no seek. */
async function replayOf(hour: Hour): Promise<Resource> {
  const path = `/api/v1/namespaces/${DEFAULT_NAMESPACE}/replays`;
  const playing = playingHour(hour, replays.signal.peek().value ?? []);
  if (playing === undefined) return send<Resource>("POST", path, hourManifest(hour));
  await send("POST", `${path}/${playing.metadata.name}/controls`, { seek: hour.end - HOUR_MS, paused: false });
  return playing;
}
