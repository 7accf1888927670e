// The trade of the shown run that the address names: as a report has it, else as the gateway has it.
import { effect, type ReadonlySignal, useSignal, useSignalEffect } from "@preact/signals";
import { type Loadable, LOADING, Polled } from "../data/loadable";
import { chosenTrade } from "../run/chosen_trade";
import { PARTS_MS, tradeOf } from "../run/run_parts";
import type { Trade } from "../run/types";
import { runId, tradeNumber } from "./selection";

export function useShownTrade(): ReadonlySignal<Loadable<Trade>> {
  const shown = useSignal<Loadable<Trade>>(LOADING);
  useSignalEffect(() => {
    const [id, seq] = [runId.value, tradeNumber.value];
    shown.value = LOADING;
    if (id === null || seq === null) return;
    const chosen = chosenTrade.peek();
    let known = chosen?.run === id && chosen.trade.seq === seq ? chosen.trade : null;
    const polled = new Polled(async () => (known ??= await tradeOf(id, seq)), PARTS_MS);
    const ends = [polled.watch(), effect(() => void (shown.value = polled.signal.value))];
    return () => ends.forEach((end) => end());
  });
  return shown;
}
