// What the Deck shows: what its address says, and defaults for the rest. A chart of the grid has parameters of its own.
import { batch, computed, effect, type ReadonlySignal, signal } from "@preact/signals";
import { played, replays, resolutions, runs, storedSymbols } from "../data/resources";
import { FINAL_PHASES, type PlayedReplay, type Resolution } from "../data/types";
import { deckAddress, navigate } from "../shell/router";
import { OPEN_TRADE } from "../run/chosen_trade";
import { defaultReplay, defaultRun, hasTraded, isOfMarket, marketOf, namedReplay, namedSymbol, replayOf, shownSymbol, symbolsOf } from "./defaults";
import { isFollowing, type Sight, sightOf } from "./sights";

export const CHARTS_MAX = 4;

const query = computed(() => new URLSearchParams(deckAddress.value.split("?")[1] ?? ""));
const parameters = new Map<string, ReadonlySignal<string | null>>();

/** A parameter of the Deck, or of one of its charts; null where it is not there. Who reads it is told of its changes alone. */
export function parameter(name: string, chart = 0): string | null {
  const full = parameterName(name, chart);
  let found = parameters.get(full);
  if (found === undefined) parameters.set(full, (found = computed(() => query.value.get(full))));
  return found.value;
}

export const parameterName = (name: string, chart: number): string => (chart === 0 ? name : `${name}${chart + 1}`);

/** Choose something: an entry of the history, unless it replaces the present one. Null removes a parameter. */
export function choose(changes: Record<string, string | null>, replace = false): void {
  const next = new URLSearchParams(query.value);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) next.delete(name);
    else next.set(name, value);
  }
  if (next.get("run") !== query.value.get("run")) next.delete("trade"); // it is one of the run's
  const text = next.toString();
  navigate(text === "" ? "/" : `/?${text}`, replace);
}

/** The address of what the Deck shows, also of what nobody has chosen: the defaults are others when something else plays. */
export function chosenAddress(): string {
  const all = new URLSearchParams(query.peek());
  const symbol = symbolOf(0);
  const shownNow = { replay: replay.peek()?.uid ?? "", run: runId.peek() ?? "", symbol, interval: resolutionOf(0)?.interval ?? "" };
  for (const [name, value] of Object.entries(shownNow)) if (value !== "") all.set(name, value);
  for (let chart = 0; chart < chartCount.peek(); chart += 1)
    for (const [name, ts] of Object.entries(sightOf(chart) ?? {})) all.set(parameterName(name, chart), String(ts));
  return `/?${all.toString()}`;
}

/**
 * The same for somebody else. A chart that shows the newest bar of what goes on has no times: a range would hold the other's
 * chart where this one is now.
 */
export function sharedAddress(): string {
  const all = new URLSearchParams(chosenAddress().slice("/?".length));
  if (replay.peek()?.ended === true) return `/?${all.toString()}`;
  for (let chart = 0; chart < chartCount.peek(); chart += 1)
    if (isFollowing(chart)) for (const name of Object.keys(noSight(chart))) all.delete(name);
  return `/?${all.toString()}`;
}

/** The same address on another replay of the same data. A run of another market is left. */
export function addressOn(uid: string): string {
  const [shownNow, shownRun] = [replay.peek(), run.peek()];
  const all = new URLSearchParams(chosenAddress().slice("/?".length));
  const next = new URLSearchParams([...all].map(([name, value]) => [name, value.replace(`replay/${shownNow?.uid}/`, `replay/${uid}/`)]));
  next.set("replay", uid);
  if (shownNow !== null && shownRun !== null && !isOfMarket(shownRun, shownNow)) for (const name of ["run", "trade"]) next.delete(name);
  return `/?${next.toString()}`;
}

/** The range of times that the address wants a chart to have in sight; null where it has none. */
export function wantedSight(chart: number): Sight | null {
  const [from, to] = [parameter("from", chart) ?? "", parameter("to", chart) ?? ""];
  if (!isTime(from) || !isTime(to)) return null;
  const sight = { from: Number(from), to: Number(to) };
  return sight.from <= sight.to ? sight : null;
}

const isTime = (text: string): boolean => /^\d{1,15}$/.test(text);

/** Without the range of a chart: it is of what was shown before. */
export const noSight = (chart: number): Readonly<Record<string, null>> =>
  Object.fromEntries(["from", "to"].map((name) => [parameterName(name, chart), null]));

/** The same of all charts. */
export const NO_SIGHTS: Readonly<Record<string, null>> = Object.fromEntries(
  Array.from({ length: CHARTS_MAX }, (_, chart) => Object.entries(noSight(chart))).flat(),
);

/** The replay that was shown last: it is kept as the default after its end. */
const shown = signal<PlayedReplay | null>(null);

const wantedReplay = computed<string | null>(() => {
  const selectedRun = (runs.value ?? []).find(({ run_id }) => run_id === parameter("run"));
  // A selected run selects its replay too, and so does a symbol.
  return parameter("replay") ?? selectedRun?.replay_uid ?? replayOf(parameter("symbol"), storedSymbols.value);
});

export const replay = computed<PlayedReplay | null>(() => {
  const wanted = wantedReplay.value;
  if (wanted === "") return null;
  const known = played.value ?? [];
  return wanted === null ? defaultReplay(known, shown.value) : namedReplay(known, wanted);
});

/** The Replay that the address names by its uid, while it has played nothing: it was just made, or has failed at its start. */
const named = computed(() => {
  if (played.value === null || replay.value !== null) return null;
  const found = (replays.value ?? []).find(({ metadata }) => metadata.uid === wantedReplay.value);
  return found === undefined || found.status?.phase === "Complete" ? null : found;
});
const hasFailed = computed(() => FINAL_PHASES.includes(named.value?.status?.phase ?? ""));

/** The name of the Replay that will be shown once it has started; null where there is none. */
export const starting = computed<string | null>(() => (named.value === null || hasFailed.value ? null : named.value.metadata.name));

/** What is wrong with the address; null where it can be shown. */
export const addressProblem = computed<string | null>(() => {
  const wanted = wantedReplay.value;
  if (wanted === null || wanted === "" || replay.value !== null || played.value === null || starting.value !== null) return null;
  if (hasFailed.value) return `${named.value?.metadata.name}: ${named.value?.status?.message ?? ""}`;
  return `replay: got ${wanted}, expected the name or uid of one that has started`;
});

export const run = computed(() => {
  const wanted = parameter("run");
  const known = runs.value ?? [];
  const market = marketOf(parameter("symbol") ?? "");
  // Beside a market of the store no run of another one is shown that nobody has chosen.
  const candidates = replay.value === null && market !== "" ? known.filter((each) => hasTraded(each, market)) : known;
  if (wanted === null) return defaultRun(candidates, replay.value);
  return known.find(({ run_id }) => run_id === wanted) ?? null;
});

export const runId = computed(() => run.value?.run_id ?? null);
/** The uid of the shown replay, or what names it while the replays are not known: "" for none, null where the newest will be shown. */
const replayName = computed(() => replay.value?.uid ?? (played.value === null || starting.value !== null ? wantedReplay.value : ""));
/** Whether a replay is shown, or will be. */
export const hasReplay = computed(() => replayName.value !== "");
/** Whether the shown run is, or may be, of other data than the replay: the gateway does not limit it to that one's position. */
export const isBorrowed = computed(() => hasReplay.value && run.value !== null && run.value.replay_uid !== replayName.value);
/** Whether the shown run has not traded what the first chart shows. */
export const isElsewhere = computed(() => run.value !== null && symbolOf(0) !== "" && !hasTraded(run.value, marketOf(symbolOf(0))));
export const runExchange = computed(() => run.value?.exchange ?? null);

/** The number of the run's trade that is shown; null for none. */
export const tradeNumber = computed(() => (/^\d{1,15}$/.test(parameter("trade") ?? "") ? Number(parameter("trade")) : null));

/** Whether the shown trade is that which the run has open. */
export const isOpenTrade = computed(() => parameter("trade") === OPEN_TRADE);

const NO_SYMBOLS: readonly string[] = [];

/** The symbols that charts can show now. Before a replay starts there are none: bars of the store would tell what comes. */
export const symbols = computed(() => (starting.value === null ? symbolsOf(replay.value, storedSymbols.value) : NO_SYMBOLS));

/** The market that the address wants without a replay, while the store has nothing of it: no other one takes its place. */
export const awaitedMarket = computed<string | null>(() => {
  const wanted = parameter("symbol") ?? "";
  return parameter("replay") === "" && wanted !== "" && namedSymbol(symbols.value, wanted) === undefined ? wanted : null;
});

/** The symbol of a chart; those beside the first have its symbol as their default. */
export function symbolOf(chart: number): string {
  if (awaitedMarket.value !== null) return "";
  const first = shownSymbol(symbols.value, parameter("symbol"), run.value);
  const wanted = chart === 0 ? null : parameter("symbol", chart);
  return wanted === null ? first : shownSymbol(symbols.value, wanted, null);
}

/** What is wrong with the wanted symbol of a chart, which shows another one in its place; null where nothing is. */
export function symbolProblem(chart: number): string | null {
  if (addressProblem.value !== null || awaitedMarket.value !== null) return addressProblem.value;
  const wanted = parameter("symbol", chart) ?? "";
  const known = symbols.value;
  const isLoading = played.value === null || known.length === 0;
  if (wanted === "" || isLoading || namedSymbol(known, wanted) !== undefined) return null;
  const of = replay.value === null ? "of the store" : `that the replay ${replay.value.name} plays`;
  return `${parameterName("symbol", chart)}: got ${wanted}, expected a symbol ${of}`;
}

/** The wanted bar length of a chart: the chosen one if there is such, else the shortest. */
export function resolutionOf(chart: number): Resolution | null {
  const known = resolutions.value ?? [];
  return known.find(({ interval }) => interval === parameter("interval", chart)) ?? known[0] ?? null;
}

export const chartCount = computed(() => {
  const count = Number(parameter("charts") ?? 1);
  return Number.isInteger(count) && count >= 1 && count <= CHARTS_MAX ? count : 1;
});

export const isEmbedded = computed(() => parameter("embed") === "chart");

/** Remember the shown replay from now on. */
export function rememberShown(): () => void {
  return effect(() => {
    const current = replay.value;
    if (current !== null && current.uid !== shown.peek()?.uid) batch(() => (shown.value = current));
  });
}
