// The trade of the shown run that the address names: as a report has it, else as the gateway has it; or the open one.
import { computed, effect, type ReadonlySignal, type Signal, useSignal, useSignalEffect } from "@preact/signals";
import { type Loadable, loaded, LOADING, Polled } from "../data/loadable";
import type { RunFeed } from "../data/run_feed";
import { chosenTrade } from "../run/chosen_trade";
import { type DrawnTrade, openTrade } from "../run/open_trade";
import { PARTS_MS, tradeOf } from "../run/run_parts";
import { marketOf } from "./defaults";
import { position } from "./replay_state";
import { hasReplay, isOpenTrade, replay, runExchange, runId, symbolOf, tradeNumber } from "./selection";

export function useShownTrade(feed: ReadonlySignal<RunFeed | null>): ReadonlySignal<Loadable<DrawnTrade>> {
  const shown = useSignal<Loadable<DrawnTrade>>(LOADING);
  useSignalEffect(() => {
    shown.value = LOADING;
    return isOpenTrade.value ? followOpen(feed, shown) : followClosed(shown);
  });
  return shown;
}

/** The trade of this number. */
function followClosed(shown: Signal<Loadable<DrawnTrade>>): (() => void) | undefined {
  const [id, seq] = [runId.value, tradeNumber.value];
  if (id === null || seq === null) return undefined;
  const chosen = chosenTrade.peek();
  let known = chosen?.run === id && chosen.trade.seq === seq ? chosen.trade : null;
  const polled = new Polled(async () => (known ??= await tradeOf(id, seq)), PARTS_MS);
  const notYet = { value: null, error: `trade: got ${seq}, expected a trade that the run has closed up to the replay's position` };
  const isClosed = computed(() => (polled.signal.value.value?.exit_ts ?? -Infinity) <= limit.value);
  const isKnown = computed(() => !hasReplay.value || replay.value !== null);
  const ends = [polled.watch(), effect(() => void (shown.value = isClosed.value ? polled.signal.value : isKnown.value ? notYet : LOADING))];
  return () => ends.forEach((end) => end());
}

/** How far a run may be shown: to the position of the replay. Before its first record, and until it is known, it has nothing. */
const limit = computed(() => (hasReplay.value ? (position.value ?? -Infinity) : Infinity));

/** The trade that is open after the fills up to the replay's position. It stays the same one until its position does not. */
function followOpen(feed: ReadonlySignal<RunFeed | null>, shown: Signal<Loadable<DrawnTrade>>): () => void {
  const text = computed(() => {
    const [, exchange, symbol] = /^(.*?):(.*)$/.exec(marketOf(symbolOf(0))) ?? [];
    const fills = exchange === runExchange.value ? (feed.value?.fills.value ?? []) : [];
    return JSON.stringify(openTrade(fills, symbol ?? ""));
  });
  return effect(() => {
    const trade = JSON.parse(text.value) as DrawnTrade | null;
    shown.value = trade === null ? { value: null, error: "No trade of this symbol is open." } : loaded(trade);
  });
}
