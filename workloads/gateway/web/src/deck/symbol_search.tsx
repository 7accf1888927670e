// Choose a symbol by its name: what is written, the arrows, and Enter.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { messageOf } from "../data/request";
import type { SymbolListing } from "../data/types";
import { Modal } from "../shell/modal";
import { dialog } from "../transport/actions";
import { marketOf } from "./defaults";
import { findSymbols } from "./found_symbols";
import { choose, NO_SIGHTS, noSight, parameterName } from "./selection";

const TYPING_MS = 150;

interface Answer {
  /** The text that was searched. */
  to: string;
  listings: SymbolListing[];
}

export function SymbolSearch({ chart }: { chart: number }) {
  const text = useSignal("");
  const answered = useSignal<Answer | null>(null);
  const found = answered.value?.listings ?? null;
  const isEntered = useRef(false); // Enter was pressed before the answer to the text was there
  const problem = useSignal<string | null>(null);
  const marked = useSignal(0);
  const close = () => (dialog.value = null);

  useEffect(() => {
    let current = true;
    const timer = setTimeout(() => {
      findSymbols(text.value, chart).then(
        (listings) => {
          if (!current) return;
          answered.value = { to: text.value, listings };
          problem.value = null;
          marked.value = 0;
          if (isEntered.current) take(answered.value.listings[0]);
        },
        (error: unknown) => {
          if (current) problem.value = messageOf(error);
        },
      );
    }, TYPING_MS);
    return () => {
      current = false;
      isEntered.current = false;
      clearTimeout(timer);
    };
  }, [text.value]);
  useEffect(() => document.getElementById(`found-${marked.value}`)?.scrollIntoView({ block: "nearest" }), [marked.value]);

  const take = (listing: SymbolListing | undefined) => {
    if (listing === undefined) return;
    close();
    const replay = chart === 0 ? { ...NO_SIGHTS, replay: null, run: null } : noSight(chart);
    choose({ [parameterName("symbol", chart)]: listing.ticker, ...replay });
  };
  const onKey = (event: KeyboardEvent) => {
    const count = found?.length ?? 0;
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (event.key === "Enter" && answered.value?.to === text.value) take(found?.[marked.value]);
    else if (event.key === "Enter") isEntered.current = true;
    else if (step !== 0 && count > 0) marked.value = (marked.value + step + count) % count;
    else return;
    event.preventDefault();
  };

  return (
    <Modal title="Symbol" class="search" onClose={close}>
      <input
        id="search"
        type="search"
        aria-label="Symbol"
        aria-controls="found"
        aria-activedescendant={(found ?? []).length === 0 ? undefined : `found-${marked.value}`}
        placeholder="BTC, coinbase:ETH/USD, tape …"
        autofocus
        autocomplete="off"
        value={text.value}
        onInput={({ currentTarget }) => (text.value = currentTarget.value)}
        onKeyDown={onKey}
      />
      {problem.value !== null && <p class="down" role="alert">{problem.value}</p>}
      {found === null && problem.value === null && <p class="note">Loading</p>}
      {found?.length === 0 && <p class="note">No symbol has this name.</p>}
      <ul id="found" role="listbox" aria-label="Symbols">
        {(found ?? []).map((listing, n) => (
          <li key={listing.ticker} id={`found-${n}`} role="option" aria-selected={n === marked.value} onClick={() => take(listing)}>
            <strong>{chart > 0 ? marketOf(listing.ticker) : listing.ticker}</strong>
            <span>{listing.description}</span>
          </li>
        ))}
      </ul>
    </Modal>
  );
}
