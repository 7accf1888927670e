// Choose a symbol by its name: what is written, the arrows, and Enter.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get, messageOf } from "../data/request";
import type { SymbolListing } from "../data/types";
import { Modal } from "../shell/modal";
import { dialog } from "../transport/actions";
import { choose, parameterName } from "./selection";

const FOUND_MAX = 30;
const TYPING_MS = 150;

export function SymbolSearch({ chart }: { chart: number }) {
  const text = useSignal("");
  const found = useSignal<SymbolListing[] | null>(null);
  const problem = useSignal<string | null>(null);
  const marked = useSignal(0);
  const close = () => (dialog.value = null);

  useEffect(() => {
    let current = true;
    const timer = setTimeout(() => {
      get<SymbolListing[]>("/search", { query: text.value, limit: FOUND_MAX }).then(
        (listings) => {
          if (!current) return;
          found.value = listings.filter(({ type }) => type !== "transform");
          problem.value = null;
          marked.value = 0;
        },
        (error: unknown) => {
          if (current) problem.value = messageOf(error);
        },
      );
    }, TYPING_MS);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [text.value]);

  const take = (listing: SymbolListing | undefined) => {
    if (listing === undefined) return;
    close();
    const replay = chart === 0 ? { replay: null, run: null } : {};
    choose({ [parameterName("symbol", chart)]: listing.ticker, ...replay });
  };
  const onKey = (event: KeyboardEvent) => {
    const count = found.value?.length ?? 0;
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (event.key === "Enter") take(found.value?.[marked.value]);
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
        aria-activedescendant={(found.value ?? []).length === 0 ? undefined : `found-${marked.value}`}
        placeholder="BTC, coinbase:ETH/USD, tape …"
        autofocus
        autocomplete="off"
        value={text.value}
        onInput={({ currentTarget }) => (text.value = currentTarget.value)}
        onKeyDown={onKey}
      />
      {problem.value !== null && <p class="down" role="alert">{problem.value}</p>}
      {found.value === null && problem.value === null && <p class="note">Loading</p>}
      {found.value?.length === 0 && <p class="note">No symbol has this name.</p>}
      <ul id="found" role="listbox" aria-label="Symbols">
        {(found.value ?? []).map((listing, n) => (
          <li key={listing.ticker} id={`found-${n}`} role="option" aria-selected={n === marked.value} onClick={() => take(listing)}>
            <strong>{listing.ticker}</strong>
            <span>{listing.description}</span>
          </li>
        ))}
      </ul>
    </Modal>
  );
}
